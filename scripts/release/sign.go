package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"helm.sh/helm/v4/pkg/provenance"
	"sigs.k8s.io/yaml"
)

// A signer signs as Helm does: with the library that Helm 4 verifies with.
type signer struct{ signatory *provenance.Signatory }

// newSigner loads the secret key of a keyring; nil if no keyring is named. The key
// is a part of its user ID, and may be empty if the keyring has one key only.
func newSigner(keyring, key, passphraseFile string) (*signer, error) {
	if keyring == "" {
		return nil, nil
	}
	if text, err := os.ReadFile(keyring); err == nil && bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN PGP")) {
		return nil, fmt.Errorf("SIGNING_KEYRING %s: it is armored: write it again with gpg --export-secret-keys, without --armor", keyring)
	}
	signatory, err := provenance.NewFromKeyring(keyring, key)
	if err == nil && key == "" {
		signatory.Entity, err = onlySecret(signatory.KeyRing)
	}
	if err != nil {
		return nil, fmt.Errorf("SIGNING_KEYRING %s: %w", keyring, err)
	}
	if signatory.Entity == nil || signatory.Entity.PrivateKey == nil {
		return nil, fmt.Errorf("SIGNING_KEYRING %s: no secret key matches SIGNING_KEY %q", keyring, key)
	}
	err = signatory.DecryptKey(func(string) ([]byte, error) {
		if passphraseFile == "" {
			return nil, errors.New("the key has a passphrase: set SIGNING_PASSPHRASE_FILE")
		}
		passphrase, err := os.ReadFile(passphraseFile)
		return bytes.TrimRight(passphrase, "\r\n"), err
	})
	if err != nil {
		return nil, fmt.Errorf("SIGNING_KEYRING %s: %w", keyring, err)
	}
	s := &signer{signatory}
	// A key that has expired, for example, is refused before the release is built.
	_, err = s.detached([]byte("trial"))
	if err == nil {
		_, err = s.provenance([]byte("trial"), "trial.tgz", []byte("name: trial\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("SIGNING_KEYRING %s: the key can't sign: %w", keyring, err)
	}
	return s, nil
}

// onlySecret returns the secret key of a keyring that has one: without a name, Helm's library
// chooses none.
func onlySecret(ring openpgp.EntityList) (*openpgp.Entity, error) {
	secret := slices.DeleteFunc(slices.Clone(ring), func(e *openpgp.Entity) bool { return e.PrivateKey == nil })
	switch len(secret) {
	case 0:
		return nil, errors.New("it holds no secret key: write it with gpg --export-secret-keys")
	case 1:
		return secret[0], nil
	}
	var names []string
	for _, e := range secret {
		names = append(names, slices.Sorted(maps.Keys(e.Identities))...)
	}
	return nil, fmt.Errorf("it holds several secret keys: set SIGNING_KEY to a part of the user ID of one: %s", strings.Join(names, ", "))
}

// provenance returns the .prov file of a plugin archive: plugin.yaml and the
// archive's checksum, signed (helm.sh/helm/v4/pkg/provenance).
func (s *signer) provenance(archive []byte, name string, pluginYAML []byte) (string, error) {
	metadata := map[string]any{}
	if err := yaml.Unmarshal(pluginYAML, &metadata); err != nil {
		return "", err
	}
	text, err := yaml.Marshal(metadata)
	if err != nil {
		return "", err
	}
	return s.signatory.ClearSign(archive, name, text)
}

// detached returns an armoured signature of the data, as `gpg --verify` reads it.
func (s *signer) detached(data []byte) ([]byte, error) {
	var out bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&out, s.signatory.Entity, bytes.NewReader(data), nil); err != nil {
		return nil, err
	}
	return append(out.Bytes(), '\n'), nil
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// TestNewSigner: the only key of a keyring needs no name, and what is wrong with a keyring is said
// with what to do.
func TestNewSigner(t *testing.T) {
	one, two := newKey(t, "One"), newKey(t, "Two")
	secret := func(w *bytes.Buffer, keys ...*openpgp.Entity) {
		for _, key := range keys {
			if err := key.SerializePrivate(w, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		write func(*bytes.Buffer)
		key   string
		want  string // a part of the error; empty for none
	}{
		"one key":              {func(w *bytes.Buffer) { secret(w, one) }, "", ""},
		"one key by its name":  {func(w *bytes.Buffer) { secret(w, one) }, "One", ""},
		"another name":         {func(w *bytes.Buffer) { secret(w, one) }, "Three", `no secret key matches SIGNING_KEY "Three"`},
		"two keys":             {func(w *bytes.Buffer) { secret(w, one, two) }, "", "set SIGNING_KEY to a part of the user ID of one: One <one@example.com>, Two <two@example.com>"},
		"one of two by name":   {func(w *bytes.Buffer) { secret(w, one, two) }, "two@example.com", ""},
		"a public key":         {func(w *bytes.Buffer) { fatal(t, two.Serialize(w)) }, "", "it holds no secret key"},
		"a public key and one": {func(w *bytes.Buffer) { fatal(t, two.Serialize(w)); secret(w, one) }, "", ""},
		"armored": {func(w *bytes.Buffer) {
			block, err := armor.Encode(w, openpgp.PrivateKeyType, nil)
			fatal(t, err)
			fatal(t, one.SerializePrivate(block, nil))
			fatal(t, block.Close())
		}, "", "it is armored: write it again with gpg --export-secret-keys, without --armor"},
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			test.write(&text)
			file := filepath.Join(t.TempDir(), "secret.gpg")
			fatal(t, os.WriteFile(file, text.Bytes(), 0o600))
			_, err := newSigner(file, test.key, "")
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T, name string) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity(name, "", strings.ToLower(name)+"@example.com", nil)
	fatal(t, err)
	return key
}

package tenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// Extension is what a kubeconfig context knows of its tenants, so that the
// wrapper needs to ask nobody. kubectl and client-go keep it when they rewrite
// the file.
type Extension struct {
	APIVersion string `json:"apiVersion"`
	// Current is the tenant that is meant when none is named.
	Current string  `json:"current"`
	Tenants []Known `json:"tenants"`
}

// Known is what a context knows of one tenant.
type Known struct {
	Name          string   `json:"name"`
	HomeNamespace string   `json:"homeNamespace"`
	Engine        Engine   `json:"engine"`
	Namespaces    []string `json:"namespaces,omitempty"`
	AllNamespaces bool     `json:"allNamespaces,omitempty"`
}

// Find returns what is known of the tenant of that name.
func (e *Extension) Find(name string) (Known, bool) {
	if e == nil {
		return Known{}, false
	}
	for _, t := range e.Tenants {
		if t.Name == name {
			return t, true
		}
	}
	return Known{}, false
}

// With returns a copy in which t is known, and is the current tenant.
func (e *Extension) With(t Known) *Extension {
	next := &Extension{APIVersion: APIVersion, Current: t.Name}
	if e != nil {
		next.Tenants = slices.Clone(e.Tenants)
	}
	at := slices.IndexFunc(next.Tenants, func(k Known) bool { return k.Name == t.Name })
	if at < 0 {
		next.Tenants = append(next.Tenants, t)
	} else {
		next.Tenants[at] = t
	}
	return next
}

// readExtension returns the context's extension, nil where it has none. An
// extension of another shape is an error: acting as if there were none could
// reach another tenant than the one that was chosen.
func readExtension(kctx *clientcmdapi.Context) (*Extension, error) {
	raw, found := kctx.Extensions[ExtensionName]
	if !found || raw == nil {
		return nil, nil
	}
	unknown, isRaw := raw.(*runtime.Unknown)
	if !isRaw {
		return nil, fmt.Errorf("extension %q has the unexpected type %T", ExtensionName, raw)
	}
	return parseExtension(unknown.Raw)
}

// parseExtension reads the JSON of an extension strictly.
func parseExtension(text []byte) (*Extension, error) {
	var e Extension
	if err := unmarshalStrictJSON(text, &e); err != nil {
		return nil, fmt.Errorf("extension %q has the wrong shape: %w", ExtensionName, err)
	}
	if e.APIVersion != APIVersion {
		return nil, fmt.Errorf("extension %q has apiVersion %q, this helm-tenant reads %s", ExtensionName, e.APIVersion, APIVersion)
	}
	for i, t := range e.Tenants {
		if err := CheckName(t.Name); err != nil {
			return nil, fmt.Errorf("extension %q: %w", ExtensionName, err)
		}
		if slices.ContainsFunc(e.Tenants[:i], func(other Known) bool { return other.Name == t.Name }) {
			return nil, fmt.Errorf("extension %q: duplicate tenant %q", ExtensionName, t.Name)
		}
		if err := checkNamespace("homeNamespace of "+t.Name, t.HomeNamespace); err != nil {
			return nil, fmt.Errorf("extension %q: %w", ExtensionName, err)
		}
		if err := (Tenant{Engine: t.Engine}).checkEngine(); err != nil {
			return nil, fmt.Errorf("extension %q: tenant %q: %w", ExtensionName, t.Name, err)
		}
		for _, ns := range t.Namespaces {
			if err := checkNamespace("namespaces of "+t.Name, ns); err != nil {
				return nil, fmt.Errorf("extension %q: %w", ExtensionName, err)
			}
		}
	}
	if _, found := e.Find(e.Current); !found {
		return nil, fmt.Errorf("extension %q: its current tenant %q is not among its tenants", ExtensionName, e.Current)
	}
	return &e, nil
}

// Use makes t the context's current tenant, beside those that the file knows at
// that moment, and returns what was written. Two at once lose neither's.
//
// Everything else in the file that defines the context stays as it was, comments
// and unknown keys too: it is edited as a YAML tree, and the result is compared with
// the original before it replaces it in one step. Other programs that use
// client-go's lock file are kept out meanwhile.
func (k *Kubeconfig) Use(t Known) (*Extension, error) {
	var written *Extension
	err := k.saveExtension(func(now *Extension) *Extension {
		written = now.With(t)
		return written
	})
	return written, err
}

// extensionIn is the context's extension in a kubeconfig's text, nil where there
// is none that can be read.
func extensionIn(text []byte, context string) *Extension {
	config, err := clientcmd.Load(text)
	if err != nil || config.Contexts[context] == nil {
		return nil
	}
	e, err := readExtension(config.Contexts[context])
	if err != nil {
		return nil
	}
	return e
}

func (k *Kubeconfig) saveExtension(next func(*Extension) *Extension) error {
	if k.File() == "" {
		return errors.New("there is no kubeconfig to write to: name the tenant by HELM_TENANT or --tenant instead")
	}
	// A kubeconfig is often a link into a folder of dotfiles: keep the link.
	file, err := filepath.EvalSymlinks(k.File())
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be written: %w", k.File(), reason(err))
	}
	unlock, err := lock(file, lockPatience)
	if err != nil {
		return err
	}
	defer unlock()
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be written: %w", file, reason(err))
	}
	if info.Mode().Perm()&0o200 == 0 {
		return fmt.Errorf("kubeconfig %s is read-only: make it writable, or name the tenant by HELM_TENANT or --tenant", file)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be read: %w", file, reason(err))
	}
	after, err := withExtension(before, k.Context, next(extensionIn(before, k.Context)))
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	return replaceFile(file, after, info)
}

// lockPatience is how long another program may hold the lock: kubectl does for
// as long as it writes a file.
const lockPatience = 3 * time.Second

// lock takes client-go's own lock on a kubeconfig: a file beside it with the
// suffix .lock (k8s.io/client-go/tools/clientcmd/loader.go, lockFile).
func lock(file string, patience time.Duration) (unlock func(), err error) {
	name := file + ".lock"
	deadline := time.Now().Add(patience)
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0)
		if err == nil {
			f.Close()
			return func() { os.Remove(name) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("kubeconfig %s can't be written: %w; name the tenant by HELM_TENANT or --tenant instead", file, err)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("kubeconfig %s is locked by another program; if none runs, remove %s", file, name)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// replaceFile puts content in the file's place; its mode and owner stay.
func replaceFile(file string, content []byte, was fs.FileInfo) error {
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be written: %w", file, err)
	}
	defer os.Remove(temp.Name()) // no longer there when all went well
	_, err = temp.Write(content)
	if err == nil {
		err = keepOwner(temp, was)
	}
	if err == nil {
		err = temp.Chmod(was.Mode().Perm())
	}
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("kubeconfig %s can't be written: %w", file, err)
	}
	return nil
}

// withExtension returns the kubeconfig text with e in the named context. JSON
// stays JSON, and YAML keeps its way of indenting lists; blank lines go.
func withExtension(text []byte, context string, e *Extension) ([]byte, error) {
	decoder := yamlv3.NewDecoder(bytes.NewReader(text))
	var doc, second yamlv3.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) != 1:
		return nil, errors.New("is empty")
	case err != nil:
		return nil, errors.New(oneLine(err))
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document; split it first")
	}
	contexts := mapValue(doc.Content[0], "contexts")
	entry := namedItem(contexts, context)
	kctx := mapValue(entry, "context")
	if kctx == nil || kctx.Kind != yamlv3.MappingNode {
		return nil, fmt.Errorf("context %q is not defined in it", context)
	}
	// Written as it will be read: what YAML 1.1, which Kubernetes reads, takes
	// for a number or a truth value gets quotes.
	isJSON := json.Valid(text)
	keyStyle, marshal := yamlv3.Style(0), yaml.Marshal
	if isJSON {
		keyStyle, marshal = yamlv3.DoubleQuotedStyle, json.Marshal
	}
	var value yamlv3.Node
	asText, err := marshal(e)
	if err == nil {
		err = yamlv3.Unmarshal(asText, &value)
	}
	if err != nil {
		return nil, err
	}
	block := value.Content[0]
	extensions := mapValue(kctx, "extensions")
	if extensions == nil || extensions.Kind != yamlv3.SequenceNode {
		extensions = &yamlv3.Node{Kind: yamlv3.SequenceNode}
		setMapValue(kctx, "extensions", extensions, keyStyle)
	}
	if item := namedItem(extensions, ExtensionName); item != nil {
		setMapValue(item, "extension", block, keyStyle)
	} else {
		item := &yamlv3.Node{Kind: yamlv3.MappingNode}
		setMapValue(item, "extension", block, keyStyle)
		setMapValue(item, "name", &yamlv3.Node{Kind: yamlv3.ScalarNode, Value: ExtensionName, Style: keyStyle}, keyStyle)
		extensions.Content = append(extensions.Content, item)
	}
	var out bytes.Buffer
	encoder := yamlv3.NewEncoder(&out)
	encoder.SetIndent(2)
	if contexts.Column == doc.Content[0].Column {
		encoder.CompactSeqIndent() // as kubectl writes it
	}
	err = encoder.Encode(&doc)
	after := out.Bytes()
	if err == nil && isJSON {
		after, err = layoutJSON(after, text)
	}
	if err == nil {
		err = sameButExtension(text, after, context)
	}
	if err != nil {
		return nil, err
	}
	return after, nil
}

// layoutJSON lays JSON out as the text like was: in one line, or indented as its
// first field is.
func layoutJSON(text, like []byte) ([]byte, error) {
	var out bytes.Buffer
	lines := bytes.SplitN(bytes.TrimSpace(like), []byte("\n"), 3)
	if len(lines) == 1 {
		err := json.Compact(&out, text)
		return out.Bytes(), err
	}
	indent := lines[1][:len(lines[1])-len(bytes.TrimLeft(lines[1], " \t"))]
	err := json.Indent(&out, text, "", string(indent))
	return out.Bytes(), err
}

// sameButExtension makes sure that client-go reads the same from both texts but
// for our extension in the named context.
func sameButExtension(before, after []byte, context string) error {
	a, err := clientcmd.Load(before)
	if err != nil {
		return err
	}
	b, err := clientcmd.Load(after)
	if err != nil {
		return err
	}
	for _, config := range []*clientcmdapi.Config{a, b} {
		if kctx := config.Contexts[context]; kctx != nil {
			delete(kctx.Extensions, ExtensionName)
			if len(kctx.Extensions) == 0 {
				kctx.Extensions = nil
			}
		}
	}
	if !reflect.DeepEqual(a, b) {
		return errors.New("writing it would change more than the context's extension; nothing was written")
	}
	return nil
}

func mapValue(node *yamlv3.Node, key string) *yamlv3.Node {
	if node == nil || node.Kind != yamlv3.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

func setMapValue(node *yamlv3.Node, key string, value *yamlv3.Node, keyStyle yamlv3.Style) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			node.Content[i+1] = value
			return
		}
	}
	node.Content = append(node.Content, &yamlv3.Node{Kind: yamlv3.ScalarNode, Value: key, Style: keyStyle}, value)
}

func namedItem(list *yamlv3.Node, name string) *yamlv3.Node {
	if list == nil || list.Kind != yamlv3.SequenceNode {
		return nil
	}
	for _, item := range list.Content {
		if n := mapValue(item, "name"); n != nil && n.Value == name {
			return item
		}
	}
	return nil
}

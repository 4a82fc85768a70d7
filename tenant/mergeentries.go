package tenant

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"helm-tenant/visible"
)

type newEntry struct {
	list, key, name string
	value           any
}

// withEntries returns a kubeconfig's text with the contexts and users of put in it, which
// replace those with the same names. Entries that are equal already stay as they are, and
// if the lists are in block style every other line keeps its bytes.
func withEntries(text []byte, put *clientcmdapi.Config) ([]byte, error) {
	current, err := clientcmd.Load(text)
	if err != nil {
		return nil, errors.New(visible.OneLine(err.Error()))
	}
	entries, err := newEntries(current, put)
	if err != nil || len(entries) == 0 {
		return text, err
	}
	contexts, users := slices.Collect(maps.Keys(put.Contexts)), slices.Collect(maps.Keys(put.AuthInfos))
	if after, err := splicedIn(text, entries); err == nil && sameButEntries(text, after, contexts, users) == nil && sameElsewhere(text, after, contexts, users) {
		if config, err := clientcmd.Load(after); err == nil {
			if missing, err := newEntries(config, put); err == nil && len(missing) == 0 {
				return after, nil
			}
		}
	}
	doc, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if err := doc.putEntry(entry); err != nil {
			return nil, err
		}
	}
	after, err := doc.encode()
	if err == nil {
		err = sameButEntries(text, after, contexts, users)
	}
	return after, err
}

// sameElsewhere reports whether two kubeconfigs differ in nothing but those contexts and
// users. Fields that client-go does not know are compared as well: the end of an entry,
// for one, may have a line of a text that looks like a comment.
func sameElsewhere(before, after []byte, contexts, users []string) bool {
	was, err := elsewhere(before, contexts, users)
	if err != nil {
		return false
	}
	current, err := elsewhere(after, contexts, users)
	return err == nil && equality.Semantic.DeepEqual(was, current)
}

// elsewhere returns a kubeconfig without those contexts and users.
func elsewhere(text []byte, contexts, users []string) (map[string]any, error) {
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for list, names := range map[string][]string{"contexts": contexts, "users": users} {
		entries, ok := all[list].([]any)
		if ok || all[list] == nil {
			entries = slices.DeleteFunc(entries, func(entry any) bool {
				named, _ := entry.(map[string]any)
				name, _ := named["name"].(string)
				return slices.Contains(names, name)
			})
			delete(all, list)
		}
		if len(entries) > 0 {
			all[list] = entries
		}
	}
	return all, nil
}

// newEntries returns the users and contexts of put that differ from those of have. The
// users come first: a context without its user can't be used.
func newEntries(current, put *clientcmdapi.Config) ([]newEntry, error) {
	var entries []newEntry
	add := func(list, key, name string, one *clientcmdapi.Config) error {
		value, err := entryValue(list, key, one)
		entries = append(entries, newEntry{list, key, name, value})
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(put.AuthInfos)) {
		if equality.Semantic.DeepEqual(withoutOriginUser(current.AuthInfos[name]), withoutOriginUser(put.AuthInfos[name])) {
			continue
		}
		if err := add("users", "user", name, &clientcmdapi.Config{AuthInfos: map[string]*clientcmdapi.AuthInfo{name: put.AuthInfos[name]}}); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(put.Contexts)) {
		if sameContext(current.Contexts[name], put.Contexts[name]) {
			continue
		}
		if err := add("contexts", "context", name, &clientcmdapi.Config{Contexts: map[string]*clientcmdapi.Context{name: put.Contexts[name]}}); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// entryValue returns the one entry of a list of a kubeconfig, as client-go writes it.
func entryValue(list, key string, one *clientcmdapi.Config) (any, error) {
	text, err := writeConfig(one)
	if err != nil {
		return nil, err
	}
	var written map[string]any
	if err := yaml.Unmarshal(text, &written); err != nil {
		return nil, err
	}
	entries, _ := written[list].([]any)
	if len(entries) != 1 {
		return nil, fmt.Errorf("client-go wrote %d entries for one of %s", len(entries), list)
	}
	entry, _ := entries[0].(map[string]any)
	return entry[key], nil
}

// errNotSpliced reports that a kubeconfig's layout does not allow editing its lines.
var errNotSpliced = errors.New("its lists are not in block style")

// splicedIn inserts entries into the lines of a kubeconfig's text.
func splicedIn(text []byte, entries []newEntry) ([]byte, error) {
	for _, entry := range entries {
		doc, err := parseTree(text)
		if err != nil {
			return nil, err
		}
		value, err := doc.node(entry.value)
		if err != nil {
			return nil, err
		}
		s := doc.splice()
		if done, err := s.put(entry.list, entry.name, doc.item(entry.key, value, entry.name)); err != nil || !done {
			return nil, errors.Join(err, errNotSpliced)
		}
		text = s.text()
	}
	return text, nil
}

// splicedOut removes entries from the lines of a kubeconfig's text.
func splicedOut(text []byte, contexts, users []string) ([]byte, error) {
	for _, removed := range []struct {
		list  string
		names []string
	}{{"contexts", contexts}, {"users", users}} {
		doc, err := parseTree(text)
		if err != nil {
			return nil, err
		}
		s := doc.splice()
		if !s.remove(removed.list, removed.names) {
			return nil, errNotSpliced
		}
		text = s.text()
	}
	return text, nil
}

// withoutEntries returns a kubeconfig's text without these contexts and users. If the
// lists are in block style every other line keeps its bytes.
func withoutEntries(text []byte, contexts, users []string) ([]byte, error) {
	if after, err := splicedOut(text, contexts, users); err == nil && sameButEntries(text, after, contexts, users) == nil && sameElsewhere(text, after, contexts, users) {
		return after, nil
	}
	doc, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	for key, names := range map[string][]string{"contexts": contexts, "users": users} {
		if err := expandAliases(mapValue(doc.top(), key)); err != nil {
			return nil, err
		}
		list := mapValue(doc.top(), key)
		if list == nil {
			continue
		}
		list.Content = slices.DeleteFunc(list.Content, func(item *yamlv3.Node) bool {
			name := mapValue(item, "name")
			return name != nil && slices.Contains(names, name.Value)
		})
		if len(list.Content) == 0 && list.Kind == yamlv3.SequenceNode {
			list.Style = yamlv3.FlowStyle // "[]"
		}
	}
	after, err := doc.encode()
	if err == nil {
		err = sameButEntries(text, after, contexts, users)
	}
	return after, err
}

func (t *tree) putEntry(entry newEntry) error {
	value, err := t.node(entry.value)
	if err != nil {
		return err
	}
	if err := expandAliases(mapValue(t.top(), entry.list)); err != nil {
		return err
	}
	items := mapValue(t.top(), entry.list)
	if items == nil || items.Kind != yamlv3.SequenceNode {
		items = &yamlv3.Node{Kind: yamlv3.SequenceNode}
		setMapValue(t.top(), entry.list, items, t.keyStyle())
	}
	if len(items.Content) == 0 && !t.isJSON {
		items.Style = 0 // not "[]" any more
	}
	if item := namedItem(items, entry.name); item != nil {
		setMapValue(item, entry.key, value, t.keyStyle())
	} else {
		items.Content = append(items.Content, t.item(entry.key, value, entry.name))
	}
	return nil
}

func withoutOriginUser(user *clientcmdapi.AuthInfo) *clientcmdapi.AuthInfo {
	if user == nil {
		return nil
	}
	user = user.DeepCopy()
	user.LocationOfOrigin = ""
	return user
}

// sameContext reports whether two contexts have the same cluster, user, namespace and
// tenants.
func sameContext(a, b *clientcmdapi.Context) bool {
	if a == nil || b == nil || a.Cluster != b.Cluster || a.AuthInfo != b.AuthInfo || a.Namespace != b.Namespace {
		return false
	}
	ofA, errA := readExtension(a)
	ofB, errB := readExtension(b)
	return errA == nil && errB == nil && equality.Semantic.DeepEqual(ofA, ofB)
}

// sameButEntries returns an error unless client-go reads the same from both texts except
// for these contexts and users.
func sameButEntries(before, after []byte, contexts, users []string) error {
	return sameBut(before, after, "the tenant's contexts and users", func(config *clientcmdapi.Config) {
		for _, name := range contexts {
			delete(config.Contexts, name)
		}
		for _, name := range users {
			delete(config.AuthInfos, name)
		}
	})
}

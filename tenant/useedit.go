package tenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

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
	for {
		err := decoder.Decode(&second)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || !isEmptyDocument(&second) { // a bare "---" at the end is none
			return nil, errors.New("holds more than one YAML document; split it first")
		}
	}
	if err := expandAliases(mapValue(doc.Content[0], "contexts")); err != nil {
		return nil, err
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

// isEmptyDocument reports whether a YAML document holds nothing.
func isEmptyDocument(doc *yamlv3.Node) bool {
	return len(doc.Content) == 0 || len(doc.Content) == 1 && doc.Content[0].Tag == "!!null"
}

// mostNodes bounds what aliases may stand for: they can refer to each other.
const mostNodes = 100_000

// expandAliases replaces the aliases below a node by copies of what they stand for: a
// context that is edited must not change another one that shares its text.
func expandAliases(node *yamlv3.Node) error {
	left := mostNodes
	var expand func(*yamlv3.Node) error
	expand = func(n *yamlv3.Node) error {
		if left--; left < 0 {
			return errors.New("its YAML aliases stand for too much; write the contexts out")
		}
		for i, child := range n.Content {
			if child.Kind == yamlv3.AliasNode {
				n.Content[i] = copyNode(child.Alias)
			}
			if err := expand(n.Content[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if node == nil {
		return nil
	}
	if node.Kind == yamlv3.AliasNode {
		*node = *copyNode(node.Alias)
	}
	return expand(node)
}

// copyNode copies a node without its anchor; what is below it is shared until it is
// expanded itself, and what was expanded is never edited but at one place.
func copyNode(n *yamlv3.Node) *yamlv3.Node {
	c := *n
	c.Anchor = ""
	c.Content = slices.Clone(n.Content)
	for i, child := range c.Content {
		if child.Kind != yamlv3.AliasNode {
			c.Content[i] = copyNode(child)
		}
	}
	return &c
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

package tenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"helm-tenant/visible"
)

// tree is a kubeconfig as a YAML tree, which keeps comments and unknown keys.
type tree struct {
	doc    yamlv3.Node
	text   []byte
	isJSON bool
}

// parseTree parses the text of a kubeconfig: one YAML document, or JSON.
func parseTree(text []byte) (*tree, error) {
	t := &tree{text: text, isJSON: json.Valid(text)}
	decoder := yamlv3.NewDecoder(bytes.NewReader(text))
	var second yamlv3.Node
	switch err := decoder.Decode(&t.doc); {
	case errors.Is(err, io.EOF), err == nil && len(t.doc.Content) != 1:
		return nil, errors.New("is empty")
	case err != nil:
		return nil, errors.New(visible.OneLine(err.Error()))
	}
	if top := t.top(); top.Kind == yamlv3.ScalarNode && top.Tag == "!!null" { // to client-go an empty kubeconfig
		t.doc.Content[0] = &yamlv3.Node{Kind: yamlv3.MappingNode, Tag: "!!map", HeadComment: top.HeadComment, LineComment: top.LineComment, FootComment: top.FootComment}
	}
	for {
		err := decoder.Decode(&second)
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil || !isEmptyDocument(&second) { // a bare "---" at the end is no document
			return nil, errors.New("holds more than one YAML document; split it first")
		}
	}
}

// top returns the mapping that is the document.
func (t *tree) top() *yamlv3.Node { return t.doc.Content[0] }

func (t *tree) keyStyle() yamlv3.Style {
	if t.isJSON {
		return yamlv3.DoubleQuotedStyle
	}
	return 0
}

// node returns a value as a node of the tree. Strings that YAML 1.1, which Kubernetes
// reads, takes for numbers or booleans get quotes.
func (t *tree) node(value any) (*yamlv3.Node, error) {
	marshal := yaml.Marshal
	if t.isJSON {
		marshal = json.Marshal
	}
	var node yamlv3.Node
	text, err := marshal(value)
	if err == nil {
		err = yamlv3.Unmarshal(text, &node)
	}
	if err != nil {
		return nil, err
	}
	return node.Content[0], nil
}

func (t *tree) item(key string, value *yamlv3.Node, name string) *yamlv3.Node {
	item := &yamlv3.Node{Kind: yamlv3.MappingNode}
	setMapValue(item, key, value, t.keyStyle())
	setMapValue(item, "name", &yamlv3.Node{Kind: yamlv3.ScalarNode, Tag: "!!str", Value: name, Style: t.keyStyle()}, t.keyStyle())
	return item
}

func (t *tree) encode() ([]byte, error) {
	var out bytes.Buffer
	if err := t.encoder(&out).Encode(&t.doc); err != nil {
		return nil, err
	}
	if t.isJSON {
		return layoutJSON(out.Bytes(), t.text)
	}
	return out.Bytes(), nil
}

// encoder returns a YAML encoder with the layout of the original text.
func (t *tree) encoder(out io.Writer) *yamlv3.Encoder {
	encoder := yamlv3.NewEncoder(out)
	encoder.SetIndent(2)
	if contexts := mapValue(t.top(), "contexts"); contexts != nil && contexts.Column == t.top().Column {
		encoder.CompactSeqIndent() // as kubectl writes it
	}
	return encoder
}

// isEmptyDocument reports whether a YAML document has no content.
func isEmptyDocument(doc *yamlv3.Node) bool {
	return len(doc.Content) == 0 || len(doc.Content) == 1 && doc.Content[0].Tag == "!!null"
}

// mostNodes bounds the expansion of aliases, which can refer to each other.
const mostNodes = 100_000

// expandAliases replaces the aliases below a node by copies of their targets: an edit of
// a context must not change another one that shares its text.
func expandAliases(node *yamlv3.Node) error {
	left := mostNodes
	var expand func(*yamlv3.Node) error
	expand = func(n *yamlv3.Node) error {
		if left--; left < 0 {
			return errors.New("its YAML aliases expand to too much; write the contexts out")
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

// copyNode copies a node without its anchor. The nodes below it are shared until they are
// expanded; an expanded node is edited at one place only.
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

// layoutJSON formats JSON as the text like: on one line, or indented as its first field.
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

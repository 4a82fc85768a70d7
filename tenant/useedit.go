package tenant

import (
	"errors"
	"fmt"
	"reflect"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// withExtension returns the kubeconfig text with e in the named context. JSON stays JSON,
// and YAML keeps its indentation of lists, but not blank lines.
func withExtension(text []byte, context string, e *Extension) ([]byte, error) {
	doc, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	if err := expandAliases(mapValue(doc.top(), "contexts")); err != nil {
		return nil, err
	}
	entry := namedItem(mapValue(doc.top(), "contexts"), context)
	kctx := mapValue(entry, "context")
	if kctx == nil || kctx.Kind != yamlv3.MappingNode {
		return nil, fmt.Errorf("context %q is not defined in it", context)
	}
	block, err := doc.node(e)
	if err != nil {
		return nil, err
	}
	extensions := mapValue(kctx, "extensions")
	if extensions == nil || extensions.Kind != yamlv3.SequenceNode {
		extensions = &yamlv3.Node{Kind: yamlv3.SequenceNode}
		setMapValue(kctx, "extensions", extensions, doc.keyStyle())
	}
	if item := namedItem(extensions, extensionName); item != nil {
		keepUnknown(block, mapValue(item, "extension"))
		setMapValue(item, "extension", block, doc.keyStyle())
	} else {
		extensions.Content = append(extensions.Content, doc.item("extension", block, extensionName))
	}
	after, err := doc.encode()
	if err == nil {
		err = sameButExtension(text, after, context)
	}
	if err != nil {
		return nil, err
	}
	return after, nil
}

// sameButExtension returns an error unless client-go reads the same from both texts
// except for our extension in the named context.
func sameButExtension(before, after []byte, context string) error {
	return sameBut(before, after, "the context's extension", func(config *clientcmdapi.Config) {
		if kctx := config.Contexts[context]; kctx != nil {
			delete(kctx.Extensions, extensionName)
			if len(kctx.Extensions) == 0 {
				kctx.Extensions = nil
			}
		}
	})
}

// sameBut returns an error if what client-go reads from two kubeconfigs differs in more
// than remove removes.
func sameBut(before, after []byte, operation string, remove func(*clientcmdapi.Config)) error {
	a, err := clientcmd.Load(before)
	if err != nil {
		return err
	}
	b, err := clientcmd.Load(after)
	if err != nil {
		return err
	}
	remove(a)
	remove(b)
	if !reflect.DeepEqual(a, b) {
		return errors.New("writing it would change more than " + operation + "; nothing was written")
	}
	return nil
}

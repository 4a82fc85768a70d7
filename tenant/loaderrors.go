package tenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"

	"helm-tenant/visible"
)

// noKubeconfig is ErrNoKubeconfig with a text of its own.
type noKubeconfig string

func (e noKubeconfig) Error() string { return string(e) }

func (e noKubeconfig) Is(t error) bool { return t == ErrNoKubeconfig }

// plainLoadError returns client-go's error as one line. Its error for two entries of one name
// prints the list with both, tokens and passwords included (k8s.io/client-go/tools/clientcmd/api/v1,
// conversion.go).
func plainLoadError(err error) string {
	text := strings.TrimPrefix(visible.OneLine(err.Error()), "yaml: ")
	before, _, lists := strings.Cut(text, " in list: ")
	if !lists {
		return text
	}
	_, name, _ := strings.Cut(before, "duplicate name ")
	for list, entries := range map[string]string{"[]NamedCluster ": "clusters", "[]NamedAuthInfo ": "users", "[]NamedContext ": "contexts", "[]NamedExtension ": "extensions"} {
		if strings.Contains(before, list) {
			return fmt.Sprintf("two %s are called %s", entries, name)
		}
	}
	return "two entries are called " + name
}

// explainLoad names the first file that client-go could not load, with the reason:
// client-go's own error is one text about all files, with names of Go types.
func explainLoad(files []string, err error) error {
	for _, file := range files {
		_, why := clientcmd.LoadFromFile(file)
		var atPath *fs.PathError
		var kind *json.UnmarshalTypeError
		switch {
		case why == nil, errors.Is(why, fs.ErrNotExist):
			continue
		case errors.As(why, &atPath):
			return fmt.Errorf("kubeconfig %s can't be read: %w", file, atPath.Err)
		case runtime.IsNotRegisteredError(why), strings.HasPrefix(why.Error(), "couldn't get version/kind"):
			return fmt.Errorf("kubeconfig %s is not one: it does not hold a Config of apiVersion v1", file)
		case errors.As(why, &kind):
			return fmt.Errorf("kubeconfig %s can't be understood: %s can't be a %s", file, kind.Field, kind.Value)
		}
		return fmt.Errorf("kubeconfig %s can't be understood: %s", file, plainLoadError(why))
	}
	return fmt.Errorf("kubeconfig %s can't be understood: %s", strings.Join(files, ", "), plainLoadError(err))
}

// reason returns the system's message without the call and the path, which may be a temporary
// file's.
func reason(err error) error {
	if atPath, ok := errors.AsType[*fs.PathError](err); ok {
		return atPath.Err
	}
	if renamed, ok := errors.AsType[*os.LinkError](err); ok {
		return renamed.Err
	}
	return err
}

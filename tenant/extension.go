package tenant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Extension is the memory of tenants in a kubeconfig context, with which the wrapper
// needs no request. kubectl and client-go keep it when they rewrite the file.
type Extension struct {
	APIVersion string `json:"apiVersion"`
	// Current is the default tenant.
	Current string  `json:"current"`
	Tenants []Known `json:"tenants"`
}

// Known is one tenant in an Extension.
type Known struct {
	Name          string   `json:"name"`
	HomeNamespace string   `json:"homeNamespace"`
	Engine        Engine   `json:"engine"`
	Namespaces    []string `json:"namespaces,omitempty"`
	AllNamespaces bool     `json:"allNamespaces,omitempty"`
	// Reader reports whether the caller may only read the tenant.
	Reader bool `json:"reader,omitempty"`
}

// Account returns the service account as which the caller acts under Helm 3 and 4.
func (t Known) Account() string {
	if t.Reader {
		return ReaderAccount
	}
	return HelmAccount
}

// Find returns the tenant of that name.
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

// with returns a copy in which t is known and the current tenant.
func (e *Extension) with(t Known) *Extension {
	next := &Extension{APIVersion: APIVersion, Current: t.Name}
	if e != nil {
		next.Tenants = slices.Clone(e.Tenants)
	}
	index := slices.IndexFunc(next.Tenants, func(k Known) bool { return k.Name == t.Name })
	if index < 0 {
		next.Tenants = append(next.Tenants, t)
	} else {
		next.Tenants[index] = t
	}
	return next
}

// readExtension returns the context's extension, nil if it has none. An extension of
// another form is an error: ignoring it could lead to another tenant than the chosen one.
func readExtension(kctx *clientcmdapi.Context) (*Extension, error) {
	raw, found := kctx.Extensions[extensionName]
	if !found || raw == nil {
		return nil, nil
	}
	unknown, isRaw := raw.(*runtime.Unknown)
	if !isRaw {
		return nil, fmt.Errorf("extension %q has the unexpected type %T", extensionName, raw)
	}
	return parseExtension(unknown.Raw)
}

// NewerExtensionError reports that a newer helm-tenant wrote a context's extension, in a
// form that this version does not read.
type NewerExtensionError struct{ APIVersion string }

func (e *NewerExtensionError) Error() string {
	return fmt.Sprintf("extension %q has apiVersion %q, this helm-tenant reads %s", extensionName, e.APIVersion, APIVersion)
}

// parseExtension parses the JSON of an extension. Unknown fields are ignored: a newer
// helm-tenant wrote them. If they change the meaning of others it writes another
// apiVersion, which is a *NewerExtensionError.
func parseExtension(text []byte) (*Extension, error) {
	var e Extension
	err := decodeJSON(json.NewDecoder(bytes.NewReader(text)), &e)
	group, _, _ := strings.Cut(APIVersion, "/")
	if strings.HasPrefix(e.APIVersion, group+"/") && e.APIVersion != APIVersion {
		return nil, &NewerExtensionError{e.APIVersion}
	}
	if err != nil {
		return nil, fmt.Errorf("extension %q has the wrong shape: %w", extensionName, err)
	}
	if e.APIVersion != APIVersion {
		return nil, fmt.Errorf("extension %q has apiVersion %q, this helm-tenant reads %s", extensionName, e.APIVersion, APIVersion)
	}
	for i, t := range e.Tenants {
		if err := CheckName(t.Name); err != nil {
			return nil, fmt.Errorf("extension %q: %w", extensionName, err)
		}
		if slices.ContainsFunc(e.Tenants[:i], func(other Known) bool { return other.Name == t.Name }) {
			return nil, fmt.Errorf("extension %q: duplicate tenant %q", extensionName, t.Name)
		}
		if err := checkNamespace("homeNamespace of "+t.Name, t.HomeNamespace); err != nil {
			return nil, fmt.Errorf("extension %q: %w", extensionName, err)
		}
		if err := (Tenant{Engine: t.Engine}).checkEngine(); err != nil {
			return nil, fmt.Errorf("extension %q: tenant %q: %w", extensionName, t.Name, err)
		}
		for _, ns := range t.Namespaces {
			if err := checkNamespace("namespaces of "+t.Name, ns); err != nil {
				return nil, fmt.Errorf("extension %q: %w", extensionName, err)
			}
		}
	}
	if _, found := e.Find(e.Current); !found {
		return nil, fmt.Errorf("extension %q: its current tenant %q is not among its tenants", extensionName, e.Current)
	}
	return &e, nil
}

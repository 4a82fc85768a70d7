package parts

import (
	"context"
	"os"
	"strings"
)

// An older Kubernetes, of which the API server and the controller manager are
// built. Which minors there are: those around which something that helm-tenant
// relies on appeared.
type olderKubernetes struct {
	minor, version string
	ldflags        string // that this version's sources need to link
	noOpenAPI      bool   // its kube-apiserver lacks generated sources (Part.NoOpenAPI)
}

// Go's linker refuses references to its internals by name, which the network
// packages of these versions hold.
const oldLinkNames = "-checklinkname=0"

var matrix = []olderKubernetes{
	{minor: "1.36", version: "v1.36.3"},                         // the previous minor version
	{minor: "1.30", version: "v1.30.14"},                        // the first with ValidatingAdmissionPolicies
	{minor: "1.24", version: "v1.24.17", ldflags: oldLinkNames}, // without them, and with PodSecurity
	// Before PodSecurity, policy/v1, EndpointSlices and CronJobs v1, and namespaces labelled
	// with their names.
	{minor: "1.19", version: "v1.19.16", ldflags: oldLinkNames, noOpenAPI: true},
	// Before Ingresses v1; the version of Helm 2.17's own client library.
	{minor: "1.16", version: "v1.16.15", ldflags: oldLinkNames, noOpenAPI: true},
}

// Matrix returns the minor versions of Kubernetes, such as 1.24, that have parts in addition to
// the current one's, newest first.
func Matrix() []string {
	var minors []string
	for _, k := range matrix {
		minors = append(minors, k.minor)
	}
	return minors
}

// OfMinor returns the name of a part of that minor version: the part's own name
// for the present Kubernetes, which is the empty minor.
func OfMinor(name, minor string) string {
	if minor == "" {
		return name
	}
	return name + "-" + minor
}

// ControlPlane returns the names of the parts that an API server with its
// controllers is made of, in that minor version of Kubernetes: the present one if
// it is empty.
func ControlPlane(minor string) []string {
	return []string{"etcd", OfMinor("kube-apiserver", minor), OfMinor("kube-controller-manager", minor)}
}

// matrixTable has the parts of the older versions. A default build leaves them
// out: each is minutes of a machine.
func matrixTable() []Part {
	var table []Part
	for _, k := range matrix {
		major, minor, _ := strings.Cut(k.minor, ".")
		flags := strings.TrimSpace(gitVersion + k.version + clientGitVersion + k.version +
			" -X k8s.io/component-base/version.gitMajor=" + major +
			" -X k8s.io/component-base/version.gitMinor=" + minor + " " + k.ldflags)
		for _, component := range []Part{
			{Name: "kube-apiserver", Minutes: "6 min"},
			{Name: "kube-controller-manager", Minutes: "1 min after kube-apiserver"},
		} {
			table = append(table, Part{
				Name: OfMinor(component.Name, k.minor), File: component.Name,
				Version: k.version, Folder: "kubernetes-" + k.minor,
				Package: kubernetes + component.Name, LDFlags: flags,
				Minutes: component.Minutes, Matrix: k.minor,
				NoOpenAPI: k.noOpenAPI && component.Name == "kube-apiserver",
			})
		}
	}
	return table
}

// Cached reports whether the named parts are built already, each of them.
func Cached(ctx context.Context, names ...string) (bool, error) {
	b, err := newBuilder(nil)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		p, err := Find(name)
		if err != nil {
			return false, err
		}
		binary, err := b.binary(ctx, p)
		if err != nil {
			return false, err
		}
		if _, err := os.Stat(binary); err != nil {
			return false, nil
		}
	}
	return true, nil
}

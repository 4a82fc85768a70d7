package cel

import (
	"fmt"
	"strings"
	"testing"

	admissionapi "k8s.io/api/admission/v1"
)

// A namespace with as many annotations as it can have, or more labels, is judged within the cost
// that the API server allows an expression: otherwise the policy would refuse every change of
// it, also those of an administrator and of the controller that deletes it.
func TestManyAnnotations(t *testing.T) {
	const size = 256 << 10 // of all annotations (k8s.io/apimachinery/pkg/api/validation, TotalAnnotationSizeLimitB)
	keys := func(limit int) string {
		var text strings.Builder
		for i := range limit {
			if fmt.Fprintf(&text, "'%x': '', ", i); text.Len() > size*3 {
				break
			}
		}
		return text.String()
	}
	many, some := keys(size), keys(1000)
	fewer := some[len("'0': '', "):]
	with := func(field, text string) string {
		return "{apiVersion: v1, kind: Namespace, metadata: {name: x, " + field + ": {" + text + "}}}"
	}
	const administrator = "create rolebindings.rbac.authorization.k8s.io"
	for _, test := range []struct {
		what, old, object string
		may               rights
		allowed           bool
	}{
		{"others become many", some, many, nil, false},
		{"nothing changes", many, many, nil, true},
		{"they become few", many, some, nil, true},
		{"a reserved one instead of many", many, "helm-tenant/home-namespace: x", nil, false},
		{"a reserved one among many", many, many + "helm-tenant/home-namespace: x", nil, false},
		{"the same by an administrator", many, many + "helm-tenant/home-namespace: x", rights{administrator}, true},
		{"another one beside some", some, fewer + "zzzz: ''", nil, true},
		{"a reserved one beside some", some, fewer + "helm-tenant/home-namespace: x", nil, false},
		{"a reserved one goes", fewer + "helm-tenant/home-namespace: x", fewer, nil, false},
	} {
		for _, field := range []string{"labels", "annotations"} {
			if got := judgeReserved(t, "namespaces", admissionapi.Update, test.may, with(field, test.old), with(field, test.object)); got != test.allowed {
				t.Errorf("%s, of %s: allowed is %t", test.what, field, got)
			}
		}
	}
	if !judgeReserved(t, "namespaces", admissionapi.Delete, nil, with("annotations", many), "") {
		t.Error("a namespace with many annotations can't be deleted")
	}
}

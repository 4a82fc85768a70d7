package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/install"
)

func TestExplain(t *testing.T) {
	c := &Client{where: `context "prod"`}
	secrets := schema.GroupResource{Resource: "secrets"}
	refused := &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/api/v1/namespaces/a?limit=500", Err: errors.New("dial tcp 10.0.0.1:6443: connect: connection refused")}
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing", nil, ""},
		{"no answer", refused, `the API server of context "prod" can't be reached: dial tcp 10.0.0.1:6443: connect: connection refused`},
		{"no answer in time", &url.Error{Op: "Get", URL: "https://x", Err: context.DeadlineExceeded}, `the API server of context "prod" did not answer in time: reading it was not finished`},
		{"interrupted", &url.Error{Op: "Get", URL: "https://x", Err: context.Canceled}, `interrupted while the API server of context "prod" was to answer: reading it was not finished`},
		{"a credential plugin that reports in lines", errors.New("getting credentials: exec: executable aws not found\n\nIt looks like you are trying to use a plugin.\n"),
			`the credentials of context "prod" can't be obtained: exec: executable aws not found It looks like you are trying to use a plugin.`},
		{"an expired login", &url.Error{Op: "Get", URL: "https://x", Err: errors.New("No valid id-token, and cannot refresh without refresh-token")},
			`the credentials of context "prod" can't be obtained: No valid id-token, and cannot refresh without refresh-token`},
		{"a login that is no token", &url.Error{Op: "Get", URL: "https://x", Err: errors.New("ID Token is not a valid JWT")}, `the credentials of context "prod" can't be obtained: ID Token is not a valid JWT`},
		{"a token file that is gone", &url.Error{Op: "Get", URL: "https://x", Err: errors.New(`failed to read token file "/var/t": open /var/t: no such file or directory`)},
			`the credentials of context "prod" can't be obtained: failed to read token file "/var/t": open /var/t: no such file or directory`},
		{"a credential plugin that prints something else", &url.Error{Op: "Get", URL: "https://x", Err: errors.New("getting credentials: decoding stdout: couldn't get version/kind; json parse error: json: cannot unmarshal string")},
			`the credentials of context "prod" can't be obtained: what the credential plugin of the kubeconfig prints is no ExecCredential; run it by hand`},
		{"bad credentials", apierrors.NewUnauthorized("Unauthorized"), `reading it: the credentials of context "prod" are not accepted: Unauthorized`},
		{"forbidden", apierrors.NewForbidden(secrets, "s", errors.New("no RBAC policy matched")), `reading it in context "prod": secrets "s" is forbidden: no RBAC policy matched`},
		{"not found", apierrors.NewNotFound(secrets, "s"), `reading it in context "prod": secrets "s" not found`},
		{"too many", apierrors.NewTooManyRequests("slow down", 1), `reading it: the API server of context "prod" is overloaded (429), try again later: slow down`},
		{"its own fault", apierrors.NewInternalError(errors.New("etcd is gone")), `reading it in context "prod": Internal error occurred: etcd is gone`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := c.explain("reading it", test.err)
			if diff := cmp.Diff(test.want, errorText(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// Callers decide by the API server's own answer.
			if apierrors.ReasonForError(got) != apierrors.ReasonForError(test.err) {
				t.Errorf("its reason is %q now", apierrors.ReasonForError(got))
			}
			if errors.Is(test.err, context.DeadlineExceeded) != errors.Is(got, context.DeadlineExceeded) {
				t.Error("the deadline is not in it any more")
			}
		})
	}
}

// TestExplainSlowPlugin: client-go runs a credential plugin within the time of a request.
func TestExplainSlowPlugin(t *testing.T) {
	late := &url.Error{Op: "Get", URL: "https://x", Err: context.DeadlineExceeded}
	c := &Client{where: `context "prod"`, config: &rest.Config{Timeout: 3 * time.Second}}
	const late3s = `the API server of context "prod" did not answer in time: reading it took longer than 3s`
	if got := errorText(c.explain("reading it", late)); got != late3s {
		t.Errorf("without a plugin: %s", got)
	}
	c.config.ExecProvider = &clientcmdapi.ExecConfig{Command: "kubelogin"}
	if got, want := errorText(c.explain("reading it", late)), late3s+`; the time that the program "kubelogin" of the kubeconfig took for the credentials counts`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRecordOf(t *testing.T) {
	record, err := install.Record(teamA())
	if err != nil {
		t.Fatal(err)
	}
	got, err := RecordOf(served(t, record))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "team-a" || got.Home() != "team-a-tiller" {
		t.Errorf("got %+v", got)
	}
	for _, test := range []struct {
		name string
		data map[string]string
		want string
	}{
		{"no data", nil, `ConfigMap helm-tenant in namespace "team-a-tiller" holds no tenant.yaml`},
		{"another key", map[string]string{"tenant.yml": "name: a"}, `ConfigMap helm-tenant in namespace "team-a-tiller" holds no tenant.yaml`},
		{"an unknown field", map[string]string{"tenant.yaml": "name: a\nnome: b\n"}, `ConfigMap helm-tenant in namespace "team-a-tiller": tenant.yaml: line 2: unknown field "nome" (a newer helm-tenant may have written it)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			broken := &corev1.ConfigMap{TypeMeta: record.TypeMeta, ObjectMeta: record.ObjectMeta, Data: test.data}
			_, err := RecordOf(served(t, broken))
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWriteError(t *testing.T) {
	change := Change{Action: Create, Key: Key{"Role", "a", "r"}}
	cause := apierrors.NewConflict(schema.GroupResource{Resource: "roles"}, "r", errors.New("it changed"))
	for _, test := range []struct {
		err  *WriteError
		want string
	}{
		{&WriteError{Change: change, Total: 3, Err: cause}, `create Role r in namespace a: Operation cannot be fulfilled on roles "r": it changed`},
		{&WriteError{Change: change, Made: 2, Total: 3, Err: cause}, `create Role r in namespace a: Operation cannot be fulfilled on roles "r": it changed (2 of 3 writes were made; the same command again finishes them)`},
	} {
		if diff := cmp.Diff(test.want, test.err.Error()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if !Outdated(test.err) {
			t.Error("a conflict is a reason to plan anew")
		}
	}
	if Outdated(&WriteError{Err: apierrors.NewForbidden(schema.GroupResource{}, "r", nil)}) {
		t.Error("a refusal is no reason to plan anew")
	}
}

// The message promises nothing: a request that is not valid is refused again.
func TestWriteErrorHints(t *testing.T) {
	resource := schema.GroupResource{Resource: "deployments"}
	for _, test := range []struct {
		err  error
		want string
	}{
		{apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, "d", nil), "(10 of 11 writes were made)"},
		{apierrors.NewBadRequest("unreadable"), "(10 of 11 writes were made)"},
		{apierrors.NewInternalError(errors.New("sorry")), "(10 of 11 writes were made; the same command again finishes them)"},
		{apierrors.NewForbidden(resource, "d", errors.New("no")), "(10 of 11 writes were made; the same command again finishes them)"},
	} {
		e := &WriteError{Change: Change{Action: Create, Key: Key{"Deployment", "a", "d"}}, Made: 10, Total: 11, Err: fmt.Errorf("writing: %w", test.err)}
		if got := e.Error(); !strings.HasSuffix(got, test.want) {
			t.Errorf("%q does not end with %q", got, test.want)
		}
	}
}

// TestNobody: a context without credentials is told as such, and not as a caller who lacks rights.
func TestNobody(t *testing.T) {
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "helm-tenant",
		errors.New(`User "system:anonymous" cannot get resource "configmaps" in API group "" in the namespace "a"`))
	for _, test := range []struct {
		name string
		as   string
		err  error
		want bool
	}{
		{"nobody", "", refused, true},
		{"somebody who acts as nobody", "system:anonymous", refused, false},
		{"somebody", "", apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "x", errors.New(`User "alice" cannot get resource "configmaps"`)), false},
	} {
		c := &Client{where: `context "prod"`, config: &rest.Config{Impersonate: rest.ImpersonationConfig{UserName: test.as}}}
		err := c.explain("reading it", test.err)
		if apierrors.IsUnauthorized(err) != test.want || apierrors.IsForbidden(err) == test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		if want := `reading it: the API server of context "prod" takes you for system:anonymous: the context's user is missing in the kubeconfig, or has no credentials that it accepts`; test.want && err.Error() != want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

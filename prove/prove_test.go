package prove

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rails"
)

func target(namespaces ...string) *Target {
	return &Target{
		Tenant: "team-a", Home: "team-a-tiller", Namespaces: namespaces, Binding: "helm-tenant.team-a.admin",
		Account: "tiller", Tiller: true, Member: &Identity{Role: Member, User: "alice", Groups: []string{"devs"}},
		HasReaders: true, Restricted: map[string]bool{}, Quotas: map[string]map[string]bool{},
		Other: &Other{Tenant: "team-b", Home: "team-b-helm", Namespace: "b", Account: "helm"},
	}
}

// status returns the API server's answer to a request that it refuses.
func status(code int, message string) Answer {
	text, _ := json.Marshal(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Message: message, Code: int32(code)})
	return Answer{Code: code, Body: text}
}

const (
	byRBAC      = `pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "a"`
	byBaseline  = `pods "tenant-proof" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true, hostPID=true, hostIPC=true), privileged (container "main" must not set securityContext.privileged=true), hostPath volumes (volume "node"), hostPort (container "main" uses hostPort 65000), non-default capabilities (container "main" must not include "SYS_ADMIN" in securityContext.capabilities.add), seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")`
	byGuard     = `services "tenant-proof" is forbidden: ValidatingAdmissionPolicy 'helm-tenant-guard-services' with binding 'helm-tenant-guard-services' denied request: no external IPs`
	byWebhook   = `admission webhook "validate.kyverno.svc" denied the request: is forbidden: violates PodSecurity "baseline": hostPath volumes (`
	byEscalates = `rolebindings.rbac.authorization.k8s.io "x" is forbidden: user "x" (groups=["a"]) is attempting to grant RBAC permissions not currently held:`
	byQuota     = `pods "tenant-proof" is forbidden: exceeded quota: helm-tenant, requested: pods=1, used: pods=1, limited: pods=1`
)

// guarded answers as a cluster on which everything is refused that must be.
func guarded(r Request) Answer {
	switch {
	case r.review && !r.Control:
		return review200(false)
	case r.review:
		return review200(true)
	case r.Control && r.Attempts[0] == controlAccount:
		return Answer{Code: 201, Body: []byte(`{"status":{"userInfo":{"username":"` + r.As.User + `"}}}`)}
	case r.Control:
		return Answer{Code: 201, Body: r.Body}
	case r.As.Role == Deployer && len(r.Attempts) > 1 && r.Attempts[0].ID == "privileged-container":
		return status(http.StatusForbidden, byBaseline)
	case r.Attempts[0].Optional:
		return Answer{Code: 201, Body: r.Body}
	case r.Attempts[0].Closes == closedByGuard:
		return status(http.StatusUnprocessableEntity, byGuard)
	}
	return status(http.StatusForbidden, byRBAC)
}

func review200(allowed bool) Answer {
	return Answer{Code: 201, Body: fmt.Appendf(nil, `{"kind":"SelfSubjectAccessReview","status":{"allowed":%t}}`, allowed)}
}

func exchange(t *Target, answer func(Request) Answer) []Exchange {
	var all []Exchange
	send := func(requests []Request) {
		for _, r := range requests {
			all = append(all, Exchange{r, answer(r)})
		}
	}
	send(t.Requests())
	send(t.Follow(all))
	return all
}

func find(t *testing.T, rows []Row, attempt string, as Role) Row {
	t.Helper()
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Attempt == attempt && (as == "" || r.As == as) })
	if i < 0 {
		t.Fatalf("no row of %s as %s", attempt, as)
	}
	return rows[i]
}

func TestTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range append([]*Attempt{controlPod, controlMember, controlAccount, controlReader, controlPolicy, controlBinding}, table...) {
		if seen[a.ID] || a.ID == "" || a.What == "" {
			t.Errorf("%q: no ID of its own, or no words", a.ID)
		}
		seen[a.ID] = true
		ways := 0
		for _, has := range []bool{a.pod != nil, a.request != nil, a.accepted != nil, a.configured != nil} {
			if has {
				ways++
			}
		}
		if ways != 1 || len(a.As) == 0 {
			t.Errorf("%s: it is asked in %d ways as %v", a.ID, ways, a.As)
		}
		if !strings.HasPrefix(a.ID, "control") && (a.Why == "" || a.Optional && a.Closes == "" || a.pod != nil && len(a.named) == 0) {
			t.Errorf("%s: what it gives, what refuses it or how PodSecurity names it is missing", a.ID)
		}
	}
}

// The guard protects what is called helm-tenant-..., whatever it is.
func TestNameIsNotProtected(t *testing.T) {
	if strings.HasPrefix(Name, rails.ObjectName) {
		t.Errorf("objects called %s are refused for their name", Name)
	}
}

func TestWritesAreDryRuns(t *testing.T) {
	tenant := target("a", "b")
	all := exchange(tenant, guarded)
	for _, e := range all {
		reads := e.Method == http.MethodGet && e.Query.Get("limit") == "1"
		asks := strings.HasPrefix(e.Path, "/apis/authorization.k8s.io/") || strings.HasPrefix(e.Path, "/apis/authentication.k8s.io/")
		if !reads && !asks && e.Query.Get("dryRun") != "All" {
			t.Errorf("%s %s would be stored", e.Method, e.Path)
		}
	}
}

func TestBudget(t *testing.T) {
	for _, n := range []int{1, 2, 5, 50} {
		var namespaces []string
		for i := range n {
			namespaces = append(namespaces, fmt.Sprintf("ns-%d", i))
		}
		for name, answer := range map[string]func(Request) Answer{"guarded": guarded, "open": func(r Request) Answer { return Answer{Code: 201, Body: r.Body} }} {
			for _, readers := range []bool{false, true} {
				tenant, mostOwn, mostEach := target(namespaces...), TenantRequests, NamespaceRequests
				if tenant.HasReaders = readers; readers {
					mostOwn, mostEach = mostOwn+ReaderTenantRequests, mostEach+ReaderNamespaceRequests
				}
				own, each := 0, map[string]int{}
				for _, e := range exchange(tenant, answer) {
					if e.Namespace == "" {
						own++
					} else {
						each[e.Namespace]++
					}
				}
				if own > mostOwn {
					t.Errorf("%d namespaces, %s, readers %t: %d requests for the tenant", n, name, readers, own)
				}
				for ns, count := range each {
					if count > mostEach {
						t.Errorf("%d namespaces, %s, readers %t: %d requests for namespace %s", n, name, readers, count, ns)
					}
				}
				if n == 1 && own+each["ns-0"] > mostOwn+mostEach {
					t.Errorf("%s, readers %t: %d requests in all", name, readers, own+each["ns-0"])
				}
			}
		}
	}
}

func TestEverythingIsRefused(t *testing.T) {
	tenant := target("a", "b")
	rows := tenant.Judge(exchange(tenant, guarded))
	report := NewReport([]string{"team-a"}, rows)
	if report.Result != string(Refused) {
		for _, r := range rows {
			if r.Result == Allowed || r.Result == Untried {
				t.Errorf("%s as %s in %q: %s %s", r.Attempt, r.As, r.Namespace, r.Result, r.Answer)
			}
		}
	}
	for attempt, by := range map[string]string{
		"host-pid": "PodSecurity baseline", "external-ips": "guard (helm-tenant-guard-services)", "cluster-binding": "RBAC", "token": "RBAC",
	} {
		if row := find(t, rows, attempt, Deployer); row.Result != Refused || row.By != by {
			t.Errorf("%s: %s by %q, want %q", attempt, row.Result, row.By, by)
		}
	}
	// The pod that is tried again shows what the level does not forbid.
	if row := find(t, rows, "run-as-root", Deployer); row.Result != Open || row.Closes != closedByRestricted {
		t.Errorf("run-as-root: %+v", row)
	}
	if row := find(t, rows, "control-pod", Deployer); row.Result != Accepted {
		t.Errorf("the control: %+v", row)
	}
}

func TestSettingsRequireRefusal(t *testing.T) {
	tenant := target("a")
	tenant.Restricted["a"], tenant.Hosts, tenant.Isolated = true, true, true
	tenant.Quotas["a"] = map[string]bool{"services.nodeports": true, "requests.cpu": true}
	rows := tenant.Judge(exchange(tenant, guarded))
	for _, attempt := range []string{"run-as-root", "node-port", "foreign-host", "metadata-egress"} {
		if row := find(t, rows, attempt, Deployer); row.Result != Allowed {
			t.Errorf("%s works, and a setting forbids it: %+v", attempt, row)
		}
	}
	if row := find(t, rows, "no-quota", Deployer); row.Result != Refused || row.By != "quota" {
		t.Errorf("the quota: %+v", row)
	}
	if row := find(t, rows, "no-object-quota", Deployer); row.Result != Open {
		t.Errorf("no quota bounds objects: %+v", row)
	}
}

// Nothing counts as refused to an identity that is refused what it must be able
// to do.
func TestControls(t *testing.T) {
	for _, test := range []struct {
		control string
		as      Role
	}{{"control-pod", Deployer}, {"control-member", Member}, {"control-account", Account}, {"control-reader", Reader}} {
		tenant := target("a")
		rows := tenant.Judge(exchange(tenant, func(r Request) Answer {
			if r.Control && r.Attempts[0].ID == test.control {
				if r.review {
					return review200(false)
				}
				return status(http.StatusForbidden, byRBAC)
			}
			return guarded(r)
		}))
		for _, r := range rows {
			sent := r.User != "" && r.Attempt != "no-quota" && r.Attempt != "no-object-quota"
			if r.As == test.as && sent && r.Result == Refused {
				t.Errorf("%s failed, and %s counts as refused", test.control, r.Attempt)
			}
		}
		if NewReport(nil, rows).Result != string(Untried) {
			t.Errorf("%s failed, and the report does not say so", test.control)
		}
	}
}

func TestAnotherUserThanAsked(t *testing.T) {
	tenant := target("a")
	rows := tenant.Judge(exchange(tenant, func(r Request) Answer {
		if r.Control && r.Attempts[0] == controlAccount {
			return Answer{Code: 201, Body: []byte(`{"status":{"userInfo":{"username":"somebody"}}}`)}
		}
		return guarded(r)
	}))
	if row := find(t, rows, "home-secrets", Account); row.Result != Untried {
		t.Errorf("%+v", row)
	}
}

// A webhook's refusal of a pod that tries several things at once is not a refusal of each of
// them, whatever its message.
func TestRefusalOfCombinedAttempts(t *testing.T) {
	tenant := target("a")
	rows := tenant.Judge(exchange(tenant, func(r Request) Answer {
		if len(r.Attempts) > 1 {
			return status(http.StatusForbidden, byWebhook)
		}
		return guarded(r)
	}))
	for _, attempt := range []string{"privileged-container", "host-path"} {
		if row := find(t, rows, attempt, Deployer); row.Result != Untried || !strings.Contains(row.Answer, "does not say for which") {
			t.Errorf("%s: %+v", attempt, row)
		}
	}
}

func TestMembersAndOthers(t *testing.T) {
	tenant := target("a")
	tenant.Member, tenant.MemberWhy, tenant.Other = nil, "the members are groups", nil
	rows := tenant.Judge(exchange(tenant, guarded))
	if row := find(t, rows, "home-secrets", Member); row.Result != Untried || row.Answer != "the members are groups" {
		t.Errorf("a member that is not known: %+v", row)
	}
	if row := find(t, rows, "other-secrets", Deployer); row.Result != Beyond {
		t.Errorf("no other tenant: %+v", row)
	}
	tenant.MemberWhy = ""
	rows = tenant.Judge(exchange(tenant, guarded))
	if row := find(t, rows, "home-secrets", Member); row.Result != Beyond {
		t.Errorf("no members: %+v", row)
	}
	tenant = target("a")
	tenant.Other.HasMember = true
	rows = tenant.Judge(exchange(tenant, guarded))
	for attempt, roles := range map[string]map[Role]Result{
		"other-secrets": {Deployer: Refused, Member: Beyond, Account: Refused}, "other-write": {Deployer: Refused}, "other-deployer": {Deployer: Refused, Member: Beyond},
	} {
		for role, want := range roles {
			if row := find(t, rows, attempt, role); row.Result != want {
				t.Errorf("the member is in the other tenant, too; %s as %s: %+v", attempt, role, row)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer Answer
		want   Result
		by     string
	}{
		{"accepted", Answer{Code: 201}, Allowed, ""},
		{"RBAC", status(403, byRBAC), Refused, "RBAC"},
		{"PodSecurity", status(403, byBaseline), Refused, "PodSecurity baseline"},
		{"guard", status(422, byGuard), Refused, "guard (helm-tenant-guard-services)"},
		{"webhook with PodSecurity's words", status(403, byWebhook), Refused, "webhook validate.kyverno.svc"},
		{"escalation", status(403, byEscalates), Refused, "RBAC's escalation check"},
		{"quota", status(403, byQuota), Refused, "quota helm-tenant"},
		{"another policy", status(422, strings.ReplaceAll(byGuard, "helm-tenant-guard-services", "no-lb")), Refused, "admission policy no-lb"},
		{"another plugin", status(403, `pods "x" is forbidden: no`), Refused, "another admission plugin"},
		{"invalid", status(422, `Pod "x" is invalid: spec: Required value`), Untried, ""},
		{"not there", status(404, `rolebindings "x" not found`), Untried, ""},
		{"exists", status(409, `pods "x" already exists`), Untried, ""},
		{"no dry run", status(400, `admission webhook "x" does not support dry run`), Untried, ""},
		{"overloaded", status(429, "too many requests"), Untried, ""},
		{"no impersonation", status(403, `users "alice" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster scope`), Untried, ""},
		{"no impersonation for this request", status(403, `services is forbidden: User "bob" cannot impersonate-on:serviceaccount:create resource "services" in API group "" in the namespace "a"`), Untried, ""},
		{"no impersonation of users", status(403, `users.authentication.k8s.io "alice" is forbidden: User "bob" cannot impersonate:user-info resource "users" in API group "authentication.k8s.io" at the cluster scope`), Untried, ""},
		{"no JSON", Answer{Code: 403, Body: []byte("<html>")}, Untried, ""},
		{"no answer", Answer{Err: fmt.Errorf("timeout")}, Untried, ""},
	} {
		v := judge(Request{}, test.answer)
		if v.result != test.want || v.by != test.by && v.result == Refused {
			t.Errorf("%s: %s by %q, want %s by %q", test.name, v.result, v.by, test.want, test.by)
		}
	}
	for _, test := range []struct {
		answer Answer
		want   Result
	}{
		{review200(true), Allowed}, {review200(false), Refused},
		{Answer{Code: 201, Body: []byte(`{"kind":"SelfSubjectAccessReview","status":{"allowed":false,"evaluationError":"no"}}`)}, Untried},
		{Answer{Code: 201, Body: []byte(`{}`)}, Untried},
		{status(403, byRBAC), Untried},
	} {
		if v := judge(Request{review: true}, test.answer); v.result != test.want {
			t.Errorf("review %s: %s, want %s", test.answer.Body, v.result, test.want)
		}
	}
}

// TestGroupPriority: groups of pods are tried where the API server serves them, and elsewhere
// the row says why not, whether there is another tenant or not.
func TestGroupPriority(t *testing.T) {
	for _, other := range []*Other{nil, target("a").Other} {
		tenant := target("a")
		tenant.Other = other
		if row := find(t, tenant.Judge(exchange(tenant, guarded)), "group-priority", Deployer); row.Result != Beyond || !strings.Contains(row.Answer, "serves no groups of pods") {
			t.Errorf("not served: %+v", row)
		}
		tenant.Workloads = WorkloadVersions[1]
		index := slices.IndexFunc(tenant.Requests(), func(r Request) bool { return r.Attempts[0].ID == "group-priority" })
		if index < 0 || tenant.Requests()[index].Path != "/apis/scheduling.k8s.io/v1beta1/namespaces/a/workloads" {
			t.Errorf("served: %+v", tenant.Requests())
		}
	}
}

func TestAlwaysPullImages(t *testing.T) {
	tenant := target("a")
	answer := func(r Request) Answer {
		a := guarded(r)
		if r.Control && r.Attempts[0] == controlPod {
			var pod corev1.Pod
			if err := json.Unmarshal(a.Body, &pod); err != nil {
				t.Fatal(err)
			}
			pod.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
			a.Body = encode(&pod)
		}
		return a
	}
	if row := find(t, tenant.Judge(exchange(tenant, answer)), "cached-image", Deployer); row.Result != Refused {
		t.Errorf("%+v", row)
	}
	if row := find(t, tenant.Judge(exchange(tenant, guarded)), "cached-image", Deployer); row.Result != Open {
		t.Errorf("%+v", row)
	}
}

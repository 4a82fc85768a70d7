package admin

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/lists"
	"helm-tenant/tenant"
)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseAccepted(t *testing.T) {
	got, err := ParseAccepted([]string{"cluster-wide", "everyone"})
	if err != nil {
		t.Fatal(err)
	}
	if !got.has(RiskClusterWide) || !got.has(RiskEveryone) || got.has(RiskSharedHome) {
		t.Errorf("got %v", got)
	}
	_, err = ParseAccepted([]string{"cluster-wide", "all"})
	want := `--accept-risk: "all" is not one of ` + strings.Join(lists.Strings(Risks), ", ")
	if diff := cmp.Diff(want, errorText(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMerged(t *testing.T) {
	one, zero := 1, 0
	was := tenant.Tenant{Name: "t", Namespaces: []string{"a", "b"}, Role: "edit", Tiller: tenant.Tiller{HistoryMax: &one, NodeSelector: map[string]string{"disk": "ssd"}},
		Rails: tenant.RailsOfBefore()}.WithDefaults()
	changed := func(change func(*tenant.Tenant)) tenant.Tenant {
		out := was
		change(&out)
		return out
	}
	for _, test := range []struct {
		name    string
		request Request
		was     tenant.Tenant
		want    tenant.Tenant
	}{
		{"a new one", Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"a"}}}, tenant.Tenant{},
			tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Rails: tenant.NewRails(false)}.WithDefaults()},
		{"a new one of a file", Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Rails: tenant.Rails{Guard: tenant.GuardWarn}}, Exact: true}, tenant.Tenant{},
			tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Rails: tenant.Rails{PodSecurity: tenant.PodSecurityBaseline, Guard: tenant.GuardWarn, Network: tenant.NetworkOpen}}.WithDefaults()},
		{"a new one of all namespaces", Request{Tenant: tenant.Tenant{Name: "t", AllNamespaces: true}}, tenant.Tenant{}, tenant.Tenant{Name: "t", AllNamespaces: true, Rails: tenant.RailsOfBefore()}.WithDefaults()},
		{"rails one by one, empty ones too", Request{Tenant: tenant.Tenant{Name: "t", Rails: tenant.Rails{Guard: tenant.GuardAudit, Quota: map[string]string{}}}},
			changed(func(t *tenant.Tenant) {
				t.Rails.Quota, t.Rails.Hosts = map[string]string{"pods": "1"}, []string{"a.org"}
			}),
			changed(func(t *tenant.Tenant) { t.Guard, t.Hosts = tenant.GuardAudit, []string{"a.org"} })},
		{"isolation goes with all that it had", Request{Tenant: tenant.Tenant{Name: "t", Rails: tenant.Rails{Network: tenant.NetworkOpen}}},
			changed(func(t *tenant.Tenant) { t.Network, t.AllowFrom = tenant.NetworkIsolated, []string{"10.0.0.0/8"} }), was},
		{"what is not said stays", Request{Tenant: tenant.Tenant{Name: "t"}}, was, was},
		{"namespaces are added", Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"b", "c"}}}, was, changed(func(t *tenant.Tenant) { t.Namespaces = []string{"a", "b", "c"} })},
		{"namespaces go with --prune only", Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"b", "c"}}, Prune: true}, was, changed(func(t *tenant.Tenant) { t.Namespaces = []string{"b", "c"} })},
		{"--prune without namespaces takes none", Request{Tenant: tenant.Tenant{Name: "t"}, Prune: true}, was, was},
		{"doubles stay, to be found", Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"c", "c"}}}, was, changed(func(t *tenant.Tenant) { t.Namespaces = []string{"a", "b", "c", "c"} })},
		{"another default namespace", Request{Tenant: tenant.Tenant{Name: "t"}, DefaultNamespace: "b"}, was, changed(func(t *tenant.Tenant) { t.Namespaces = []string{"b", "a"} })},
		{"a new default namespace", Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"c"}}, DefaultNamespace: "c"}, was, changed(func(t *tenant.Tenant) { t.Namespaces = []string{"c", "a", "b"} })},
		{"settings one by one, zeros too", Request{Tenant: tenant.Tenant{Name: "t", Role: "view", Tiller: tenant.Tiller{HistoryMax: &zero, Image: "x"}}}, was,
			changed(func(t *tenant.Tenant) { t.Role, t.Tiller.HistoryMax, t.Tiller.Image = "view", &zero, "x" })},
		{"all namespaces, and never back by silence", Request{Tenant: tenant.Tenant{Name: "t"}}, changed(func(t *tenant.Tenant) { t.AllNamespaces = true }), changed(func(t *tenant.Tenant) { t.AllNamespaces = true })},
		{"exactly what a file says", Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"c"}}, Exact: true}, was, tenant.Tenant{Name: "t", Namespaces: []string{"c"}, Rails: tenant.RailsOfBefore()}.WithDefaults()},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := test.was
			before.Namespaces = append([]string{}, test.was.Namespaces...)
			if diff := cmp.Diff(test.want, test.request.merged(test.was)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(test.was.Namespaces) > 0 && !cmp.Equal(before, test.was) {
				t.Errorf("what was changed to %+v", test.was)
			}
		})
	}
}

// Members, readers and owners have the same rules: subjects that stand for everybody need the
// risk's name; subjects that stand for nobody, or can do everything already, are refused in any
// case.
func TestCheckNamed(t *testing.T) {
	for _, as := range tenant.Relations {
		for _, test := range []struct {
			subject tenant.Subject
			// risk is how it ends without the risk accepted, refused how it ends with it.
			risk    Risk
			refused bool
		}{
			{tenant.User("alice"), "", false},
			{tenant.Group("devs"), "", false},
			{tenant.Group("system:serviceaccountsx"), "", false},
			{tenant.Account("ci", "robot"), "", false},
			{tenant.User("system:masters"), "", false}, // a user of that name is nobody special
			{tenant.Group("system:authenticated"), RiskEveryone, false},
			{tenant.Group("system:unauthenticated"), RiskEveryone, false},
			{tenant.Group("system:serviceaccounts"), RiskEveryone, false},
			{tenant.Group("system:serviceaccounts:ci"), RiskEveryone, false},
			{tenant.Group("system:nodes"), RiskEveryone, false},
			{tenant.User("system:anonymous"), RiskEveryone, false},
			{tenant.Group("system:authenticated:oauth"), RiskEveryone, false},
			{tenant.Group("system:bootstrappers"), RiskEveryone, false},
			{tenant.Group("system:bootstrappers:kubeadm:default-node-token"), RiskEveryone, false},
			{tenant.Group("system:bootstrappersx"), "", false},
			{tenant.User("system:bootstrap:abcdef"), RiskEveryone, false},
			{tenant.User("kubernetes-admin"), "", false}, // a person, whose groups say what they can do
			{tenant.User("system:kube-controllers"), "", false},
			{tenant.Group("system:kube-scheduler"), "", false},
			{tenant.Group("kubeadm:cluster-admins"), "", true},
			{tenant.User("system:apiserver"), "", true},
			{tenant.User("system:kube-controller-manager"), "", true},
			{tenant.User("system:kube-scheduler"), "", true},
			{tenant.User("system:kube-proxy"), "", true},
			{tenant.User("system:node:worker-1"), "", true},
			{tenant.Group("system:masters"), "", true},
			{tenant.Group("system:serviceaccounts:"), "", true},
			{tenant.Group("system:serviceaccounts:Not A Name"), "", true},
		} {
			subjects := tenant.Members{tenant.User("bob"), test.subject}
			err := checkNamed(as, subjects, nil)
			risk, isRisk := errors.AsType[*RiskError](err)
			invalid, isInvalid := errors.AsType[Invalid](checkNamed(as, subjects, Accepted{RiskEveryone}))
			switch {
			case isInvalid != test.refused || isInvalid && (len(invalid) != 1 || strings.Contains(invalid.Error(), "\n")):
				t.Errorf("%s as %s, with the risk: %v", test.subject, as, invalid)
			case isRisk != (test.risk != "") || isRisk && (risk.Risk != test.risk || !strings.Contains(err.Error(), string(as)+" opens")):
				t.Errorf("%s as %s: %v", test.subject, as, err)
			}
		}
	}
}

package audit

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/command"
	"helm-tenant/tenant"
)

// TestFixesAcceptWhatIs: an init that a finding prints is not refused for what the tenant is
// already.
func TestFixesAcceptWhatIs(t *testing.T) {
	adopted := func(s *Snapshot) { delete(s.Namespaces[0].Labels, tenant.LabelManagedBy) }
	neighbour := func(s *Snapshot) {
		s.Pods = append(s.Pods, Pod{Namespace: "a-tiller", Name: "web", Account: "web"})
	}
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		want  string
	}{
		{"nothing", func(*Snapshot) {}, ""},
		{"a home that was there", adopted, ""},
		{"a home with a neighbour that came later", neighbour, ""},
		{"a shared home", func(s *Snapshot) { adopted(s); neighbour(s) }, " --accept-risk=shared-home"},
		{"a namespace of Kubernetes", func(s *Snapshot) {
			s.Records[0].Tenant.Namespaces = []string{"a-1", "kube-public"}
		}, " --accept-risk=system-namespace"},
		{"all namespaces in a shared home", func(s *Snapshot) {
			adopted(s)
			neighbour(s)
			s.Records[0].Tenant.Namespaces, s.Records[0].Tenant.AllNamespaces = nil, true
		}, " --accept-risk=cluster-wide"},
		{"a role that writes namespaces", func(s *Snapshot) {
			s.Roles[0].Rules = append(s.Roles[0].Rules, rule("", "namespaces", "patch"))
		}, " --accept-risk=namespace-writer"},
		{"a shared namespace", func(s *Snapshot) { s.Namespaces[1].Labels[tenant.LabelTenant] = "b" }, " --share"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			test.plant(s)
			env := s.Workloads[0].Template.Spec.Containers[0].Env
			env[slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == "TILLER_HISTORY_MAX" })].Value = "0"
			findings := found(s, idHistory)
			if len(findings) != 1 {
				t.Fatalf("the findings: %v", findings)
			}
			if got, want := findings[0].Fix.String(), "helm tenant init a"+test.want; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// TestAccepting: what an init of a fix says itself counts, and what a tenant is that the fix
// destroys does not.
func TestAccepting(t *testing.T) {
	wide := tenant.Tenant{Name: "wide", AllNamespaces: true, Role: "admin"}
	s := &Snapshot{Records: []Record{{Namespace: "wide-tiller", Tenant: wide}}, Roles: []Role{{Name: "writer", Rules: worksRules()}, {Name: "admin", Rules: worksRules()}}}
	s.Roles[0].Rules = append(s.Roles[0].Rules, rule("", "namespaces", "patch"))
	a := &auditor{snapshot: s, clusterRoles: map[string]*Role{"writer": &s.Roles[0], "admin": &s.Roles[1]}}
	init := func(flags ...string) command.Command { return command.Tenant("init", "wide", flags...) }
	for _, test := range []struct {
		fix  command.Fix
		want string
	}{
		{command.Run(init()), "helm tenant init wide --accept-risk=cluster-wide"},
		{command.Run(init("--accept-risk=cluster-wide")), "helm tenant init wide --accept-risk=cluster-wide"},
		{command.Run(init("--namespaces=x")), "helm tenant init wide --namespaces=x"},
		{command.Run(init("--namespaces=x", "--role=writer")), "helm tenant init wide --namespaces=x --role=writer --accept-risk=namespace-writer"},
		{command.Run(init("--namespaces=kube-system")), "helm tenant init wide --namespaces=kube-system --accept-risk=system-namespace"},
		{narrow("wide"), "helm tenant destroy wide; helm tenant init wide --namespaces=NS"},
		{command.Run(command.Tenant("init", "other")), "helm tenant init other"},
		{command.Run(command.Tenant("grant", "wide", "--user=x")), "helm tenant grant wide --user=x"},
		{command.Advice("look"), "look"},
	} {
		if got := a.accepting(test.fix).String(); got != test.want {
			t.Errorf("%s: %s, want %s", test.fix, got, test.want)
		}
	}
}

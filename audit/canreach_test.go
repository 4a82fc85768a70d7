package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// reachedBy asks who reaches what: "HOME PATH,...", and through whom.
func reachedBy(s *Snapshot, who Subject, groups ...string) []string {
	var all []string
	for _, r := range Audit(s, Options{Ask: who, Groups: groups}).CanReach {
		var ids []string
		for _, p := range r.Paths {
			ids = append(ids, p.ID)
		}
		text := r.Home + " " + strings.Join(ids, ",")
		if len(r.Through) > 0 {
			text += " through " + strings.Join(r.Through, ", ")
		}
		all = append(all, text)
	}
	return all
}

// Who can be somebody, or whose deployer can do more, reaches what those reach.
func TestCanReachThroughOthers(t *testing.T) {
	zoe, yan, bot := User("zoe"), User("yan"), Account("outside", "bot")
	enter, pods := rule("", "pods/exec", "create"), rule("", "pods", "create")
	everything := rule("*", "*", "*")
	member := func(s *Snapshot, home string, who Subject) {
		for i, b := range s.Bindings {
			if b.Namespace == home && b.Name == "helm-tenant-member" {
				s.Bindings[i].Subjects = append(slices.Clone(b.Subjects), who)
			}
		}
	}
	const direct = "a-tiller exec"
	for _, test := range []struct {
		name   string
		change func(*Snapshot)
		groups []string
		want   []string
	}{
		{"nobody", func(*Snapshot) {}, nil, nil},
		{"herself", func(s *Snapshot) { s.give("a-tiller", "x", zoe, enter) }, nil, []string{direct}},
		{"an account whose pods she makes", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", zoe, pods)
		}, nil, []string{direct + " through service account outside:bot"}},
		{"an account whose token she mints", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", zoe, rule("", "serviceaccounts/token", "create", "bot"))
		}, nil, []string{direct + " through service account outside:bot"}},
		{"another account's token", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", zoe, rule("", "serviceaccounts/token", "create", "bat"))
		}, nil, nil},
		{"Secrets where no token lies", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", zoe, rule("", "secrets", "get"))
		}, nil, nil},
		{"Secrets where a token lies", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", zoe, rule("", "secrets", "get", "forever"))
			s.Tokens = append(s.Tokens, Token{Namespace: "outside", Name: "forever", Account: "bot"})
		}, nil, []string{direct + " through service account outside:bot"}},
		{"an account whose rights she can take", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", zoe, rule(rbacGroup, "rolebindings", "create"), rule(rbacGroup, "clusterroles", "bind"))
		}, nil, []string{direct + " through service account outside:bot"}},
		{"a user whom she may impersonate", func(s *Snapshot) {
			s.give("a-tiller", "x", yan, enter)
			s.give("", "y", zoe, rule("", "users", "impersonate", "yan"))
		}, nil, []string{direct + " through user yan"}},
		{"a user whom nobody impersonates by a RoleBinding", func(s *Snapshot) {
			s.give("a-tiller", "x", yan, enter)
			s.give("outside", "y", zoe, rule("", "users", "impersonate", "yan"))
		}, nil, nil},
		{"two, one by the other", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", yan, pods)
			s.give("", "z", zoe, rule("", "users", "impersonate", "yan"))
		}, nil, []string{direct + " through user yan, service account outside:bot"}},
		{"two who can be each other", func(s *Snapshot) {
			s.give("", "x", yan, rule("", "users", "impersonate", "zoe"))
			s.give("", "y", zoe, rule("", "users", "impersonate", "yan"))
		}, nil, nil},
		{"by a group of hers", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", Group("devs"), pods)
		}, []string{"devs"}, []string{direct + " through service account outside:bot"}},
		{"a group that she is not in", func(s *Snapshot) {
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", Group("devs"), pods)
		}, nil, nil},
		{"a deployer that reaches another", func(s *Snapshot) {
			member(s, "a-tiller", zoe)
			s.give("b-helm", "x", Account("a-tiller", "tiller"), rule("", "serviceaccounts", "impersonate"))
		}, nil, []string{"a-tiller port-forward", "b-helm impersonate-deployer through service account a-tiller:tiller"}},
		{"a deployer that she only loosens", func(s *Snapshot) {
			s.give("a-tiller", "y", zoe, rule("", "namespaces", "patch"))
			s.give("b-helm", "x", Account("a-tiller", "tiller"), rule("", "serviceaccounts", "impersonate"))
		}, nil, []string{"a-tiller change-home"}},
		{"a deployer that she loosens, and acts as through another", func(s *Snapshot) {
			s.give("a-tiller", "y", zoe, rule("", "namespaces", "patch"))
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", zoe, pods)
		}, nil, []string{direct + " through service account outside:bot", "a-tiller change-home"}},
		{"a deployer whose releases she reads, that leads to another", func(s *Snapshot) {
			s.give("a-tiller", "y", zoe, rule("", "secrets", "list"))
			s.give("a-tiller", "x", bot, enter)
			s.give("outside", "y", zoe, pods)
			s.give("b-helm", "x", Account("a-tiller", "tiller"), rule("", "serviceaccounts", "impersonate"))
		}, nil, []string{direct + " through service account outside:bot", "a-tiller read-secrets", "b-helm impersonate-deployer through service account outside:bot, service account a-tiller:tiller"}},
		{"a deployer that two of hers reach, one of them only to loosen it", func(s *Snapshot) {
			s.give("a-tiller", "y", yan, rule("", "namespaces", "patch"))
			s.give("a-tiller", "x", bot, enter)
			s.give("", "z", zoe, rule("", "users", "impersonate", "yan"))
			s.give("outside", "y", zoe, pods)
		}, nil, []string{direct + " through service account outside:bot"}},
		{"a deployer that is cluster-admin", func(s *Snapshot) {
			member(s, "a-tiller", zoe)
			s.give("", "x", Account("a-tiller", "tiller"), everything)
		}, nil, []string{"a-tiller port-forward", "b-helm ... through service account a-tiller:tiller"}},
		{"an open Tiller, from a pod", func(s *Snapshot) {
			s.open()
			s.give("outside", "y", zoe, rule("apps", "deployments", "create"))
		}, nil, []string{"a-tiller connect"}},
		{"an open Tiller, from a pod that is there", func(s *Snapshot) {
			s.open()
			s.give("outside", "y", zoe, rule("", "pods/exec", "create", "web-0"))
		}, nil, []string{"a-tiller connect"}},
		{"an open Tiller, from a deployer's pod", func(s *Snapshot) {
			s.open()
			member(s, "b-helm", zoe)
		}, nil, []string{"a-tiller take-node,connect through service account b-helm:helm", "b-helm impersonate-deployer"}},
		{"an open Tiller, and no pod", func(s *Snapshot) {
			s.open()
			s.give("outside", "y", zoe, rule("", "pods", "list"))
		}, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation))
			test.change(s)
			got := reachedBy(s, zoe, test.groups...)
			for i, text := range got {
				if before, after, found := strings.Cut(text, " through"); found && strings.Count(before, ",") > 5 {
					home, _, _ := strings.Cut(before, " ")
					got[i] = home + " ... through" + after
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// open has the first Tiller listen on its pod's address, with no NetworkPolicy.
func (s *Snapshot) open() {
	s.Workloads[0].Template.Spec.Containers[0].Command = []string{"/tiller"}
	s.Policies = nil
}

// Each way is told with all of its steps, from the one who was asked about.
func TestCanReachTellsTheWholeWay(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller))
	s.give("a-tiller", "enter", Account("outside", "bot"), rule("", "pods/exec", "create"))
	s.give("outside", "run", User("zoe"), rule("", "pods", "create"))
	got := Audit(s, Options{Ask: User("zoe")}).CanReach[0].Paths[0].Chains
	want := [][]string{
		{"user zoe", "RoleBinding run in namespace outside", "Role run", "create pods"},
		{"service account outside:bot", "RoleBinding enter in namespace a-tiller", "Role enter", "create pods/exec"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Many who can be many are followed in the time of an audit.
func TestCanReachOfMany(t *testing.T) {
	var teams []tenant.Tenant
	for i := range 200 {
		teams = append(teams, team(fmt.Sprintf("t%d", i), tenant.EngineTiller))
	}
	s := sceneOf(teams...)
	everywhere := []rbacv1.PolicyRule{rule("", "pods", "create")}
	for i := range 1000 {
		ns := fmt.Sprintf("space-%d", i)
		s.give(ns, "run", User("zoe"), everywhere...)
		s.give(ns, "chart", Account(ns, "web"), everywhere...)
	}
	if got := reachedBy(s, User("zoe")); got != nil {
		t.Errorf("zoe reaches %q", got)
	}
}

// A record's name is that of any revision, and of the storage that the Tiller has.
func TestPathsToRecords(t *testing.T) {
	inMaps := team("maps", tenant.EngineTiller)
	inMaps.Tiller.Storage = tenant.StorageConfigMap
	for _, test := range []struct {
		name string
		team tenant.Tenant
		rule rbacv1.PolicyRule
		want string
	}{
		{"an old revision", team("a", tenant.EngineTiller), rule("", "secrets", "get", "web.v1"), "read-secrets"},
		{"no revision", team("a", tenant.EngineTiller), rule("", "secrets", "get", "web.v9"), ""},
		{"a ConfigMap of a Tiller with Secrets", team("a", tenant.EngineTiller), rule("", "configmaps", "get"), ""},
		{"a ConfigMap", inMaps, rule("", "configmaps", "watch", "api.v1"), "read-configmaps"},
		{"another ConfigMap", inMaps, rule("", "configmaps", "get", "web.v1"), ""},
		{"a ConfigMap to write", inMaps, rule("", "configmaps", "patch", "api.v1"), "write-configmaps"},
		{"a ConfigMap to create", inMaps, rule("", "configmaps", "create"), "write-configmaps"},
		{"a role with which to read them", inMaps, rule(rbacGroup, "clusterroles", "bind", "readers"), "bind"},
		{"a role that reads no records", team("a", tenant.EngineTiller), rule(rbacGroup, "clusterroles", "bind", "readers"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(test.team)
			home := s.Records[0].Namespace
			s.RecordNames = []ObjectRef{{"Secret", home, "web.v1"}, {"ConfigMap", home, "api.v1"}, {"Secret", "elsewhere", "web.v9"}}
			s.Roles = append(s.Roles, Role{Name: "readers", Rules: []rbacv1.PolicyRule{rule("", "configmaps", "get")}})
			s.give(home, "x", User("zoe"), test.rule)
			if test.rule.Resources[0] == "clusterroles" {
				s.give(home, "y", User("zoe"), rule(rbacGroup, "rolebindings", "create"))
			}
			want := []string{home + " " + test.want}
			if test.want == "" {
				want = nil
			}
			if diff := cmp.Diff(want, reachedBy(s, User("zoe"))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, f := range Audit(s, Options{}).Findings {
				if f.ID != "HT052" && f.Subject != "user zoe" {
					t.Errorf("%s: %s", f.ID, f.Text)
				}
			}
		})
	}
}

// For a subject that may do everything in the cluster, one chain says so in addition to the
// paths.
func TestCanReachByEverything(t *testing.T) {
	zoe, yan, bot := User("zoe"), User("yan"), Account("outside", "bot")
	s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation))
	s.give("", "all", bot, rule("*", "*", "*"))
	s.give("outside", "y", zoe, rule("", "pods", "create"))
	s.give("", "much", yan, rule("", "*", "*"))
	for _, test := range []struct {
		who  Subject
		want [][]string
	}{
		{bot, [][]string{{bot.String(), "ClusterRoleBinding all", "ClusterRole all"}}},
		{zoe, nil}, // by one path, to whoever reaches every deployer
		{yan, nil},
	} {
		reached := Audit(s, Options{Ask: test.who}).CanReach
		if len(reached) == 0 {
			t.Errorf("%s reaches nothing", test.who)
		}
		for _, r := range reached {
			if diff := cmp.Diff(test.want, r.Everything); diff != "" || len(r.Paths) == 0 {
				t.Errorf("%s, %s, %d paths: -want +got:\n%s", test.who, r.Home, len(r.Paths), diff)
			}
		}
	}
}

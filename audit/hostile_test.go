package audit

import (
	"encoding/csv"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/command"
	"helm-tenant/command/shelltest"
	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// hostileScene returns a cluster in which every name that other people can choose is word: in a
// tenant's namespaces, in its home, and for an unmanaged Tiller.
func hostileScene(word string) *Snapshot {
	guarded := team("g", tenant.EngineImpersonation)
	guarded.Rails = tenant.NewRails(false)
	s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation), guarded)
	const home, ns = "a-tiller", "a-1"
	user, group, account := User(word), Group(word), Account(word, word)
	everything := rule("*", "*", "*")
	for i := range s.Bindings {
		if s.Bindings[i].Name == rbac.MemberName {
			s.Bindings[i].Subjects = append(s.Bindings[i].Subjects, user, group, account, Group(tenant.GroupAccounts+":"+word), Account("ci", word))
		}
	}
	s.give(ns, word, User("eve"), everything)
	s.give(ns, "by-"+word, user, everything)
	s.give(ns, "of-accounts", account, rule("", "pods", "get"))
	s.give(home, word, User("eve"), everything)
	s.give(home, "by", group, everything)
	s.give("", word, User("zoe"), everything)
	s.give("", "wide", user, everything)
	s.give("ci", word, User("eve"), everything)
	s.give("", "leaves-"+word, Account(home, "tiller"), rule("", "secrets", "get"))
	s.give("b-helm", "all", Account("ci", "robot"), everything)
	s.give("", "all-"+word, Account("b-helm", "helm"), everything)
	s.give(ns, "role", Account(home, "tiller"), rule("*", "*", "*"))
	s.Bindings = append(s.Bindings,
		Binding{Namespace: home, Name: "also-" + word, RoleKind: "Role", RoleName: rbac.MemberName, Subjects: []Subject{User("ann")}},
		Binding{Namespace: ns, Name: "two", RoleKind: "ClusterRole", RoleName: "admin", Subjects: []Subject{user, group}},
		Binding{Namespace: "c", Name: "helm-tenant." + word + ".admin", RoleKind: "ClusterRole", RoleName: "admin", Subjects: []Subject{Account("c-tiller", "tiller")}, Tenant: word},
		Binding{Namespace: "c", Name: "helm-tenant.gone." + word, RoleKind: "ClusterRole", RoleName: word, Subjects: []Subject{Account("gone-helm", "helm")}},
		Binding{Namespace: word, Name: "helm-tenant.gone.admin", RoleKind: "ClusterRole", RoleName: "admin", Subjects: []Subject{Account("gone-helm", "helm")}},
		Binding{Namespace: "d-helm", Name: rbac.MemberName, RoleKind: "Role", RoleName: rbac.MemberName, Subjects: []Subject{user}, Tenant: word})
	s.Namespaces = append(s.Namespaces, Namespace{Name: "d-helm"}, Namespace{Name: "gone-helm", Labels: map[string]string{tenant.LabelHome: "true"}}, Namespace{Name: "c-tiller"}, Namespace{Name: "c"},
		Namespace{Name: "e", Labels: map[string]string{tenant.LabelTenant: word}, Annotations: map[string]string{tenant.AnnotationHome: word}},
		Namespace{Name: "f", Labels: map[string]string{tenant.LabelTenant: "a"}, Annotations: map[string]string{tenant.AnnotationHome: home}})
	s.Accounts = append(s.Accounts, ServiceAccount{Namespace: "c-tiller", Name: "tiller"}, ServiceAccount{Namespace: "gone-helm", Name: "helm"})
	s.Disbelieved = append(s.Disbelieved, Record{Namespace: "gone-helm", Tenant: tenant.Tenant{Name: word}})
	template := install.Deployment(team("a", tenant.EngineTiller).WithDefaults()).Spec.Template
	template.Spec.Containers[0].Image = "tiller:" + word
	template.Spec.Containers[0].Command = []string{"/tiller", word}
	for _, owner := range []ObjectRef{{}, {word, home, word}, {"Deployment", home, word}, {"Deployment", home, install.DeploymentName}, {"Namespace", home, "kube-system"}} {
		s.Pods = append(s.Pods, Pod{Namespace: home, Name: "in-home", Account: "tiller", Labels: template.Labels, Owner: owner, Spec: &template.Spec},
			Pod{Namespace: ns, Name: "p", Account: word, Labels: template.Labels, Owner: owner, Spec: &template.Spec},
			Pod{Namespace: "hand", Name: "p-" + owner.Kind, Account: "default", Labels: template.Labels, Owner: owner, Spec: &template.Spec})
	}
	spec := install.Deployment(team("h", tenant.EngineTiller).WithDefaults()).Spec
	s.Workloads = append(s.Workloads, Workload{Kind: "Deployment", Namespace: "hand", Name: word, Template: &spec.Template, Deployment: &spec},
		Workload{Kind: "DaemonSet", Namespace: home, Name: word, Template: &template}, Workload{Kind: "StatefulSet", Namespace: home, Name: "z" + word})
	for _, kind := range []string{"Deployment", "ReplicaSet", "StatefulSet", "Job", "CronJob"} {
		s.Workloads = append(s.Workloads, Workload{Kind: kind, Namespace: "g-1", Name: word, Demand: &rails.Demand{Class: word + "x"}, Sets: []string{word, "by-" + word}},
			Workload{Kind: kind, Namespace: "g-1", Name: "by-" + word, Demand: &rails.Demand{Drivers: []string{word}, Storage: []string{word}}})
	}
	s.Workloads = append(s.Workloads, Workload{Kind: "ReplicaSet", Namespace: home, Name: "also-" + word, MadeBy: word, Account: word, Template: &template},
		Workload{Kind: "ReplicaSet", Namespace: "hand", Name: "also-" + word, MadeBy: word, Account: word, Template: &template})
	s.Demands = append(s.Demands, Demand{ObjectRef{"Ingress", "g-1", word}, &rails.Demand{Hosts: []string{word}, Annotations: map[string]string{word: word}}},
		Demand{ObjectRef{"Service", "g-1", word}, &rails.Demand{ExternalIPs: []string{word}}}, Demand{ObjectRef{"PersistentVolumeClaim", "g-1", word}, &rails.Demand{Volumes: []string{word}}})
	s.Tokens = append(s.Tokens, Token{home, word, "tiller"})
	s.Policies = append(s.Policies, NetworkPolicy{home, word, networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{}, Ingress: []networkingv1.NetworkPolicyIngressRule{{}}}})
	s.Services = append(s.Services, Service{home, word, template.Labels})
	s.Releases = append(s.Releases, Release{Home: home, Name: word, Namespace: word, Record: ObjectRef{"Secret", home, word}},
		Release{Home: home, Name: word + "2", Namespace: "kube-system", Record: ObjectRef{"Secret", home, "x.v1"}, Tried: true},
		Release{Home: home, Record: ObjectRef{"ConfigMap", home, word}, Problem: "it says " + word})
	s.File = []tenant.Located{{Tenant: tenant.Tenant{Name: "n", Namespaces: []string{"n-1"}, Members: tenant.Members{{Kind: "User", Name: word}}}.WithDefaults(), File: "tenants.yaml", Line: 1}}
	return s
}

var (
	kubectlVerb  = regexp.MustCompile(`^(delete|edit|get|label|status)$`)
	resourceName = regexp.MustCompile(`^[a-z]+$`)
	helmVerb     = regexp.MustCompile(`^(init|revoke|destroy|export|migrate)$`)
	helmFlag     = regexp.MustCompile(`^--[a-z]+(-[a-z]+)*(=|$)`)
	memberFlags  = regexp.MustCompile(`^--(user|group|service-account)=`)
)

// wrong returns what is wrong with a command if these names exist.
func wrong(c command.Command, names map[string]bool) string {
	switch {
	case slices.ContainsFunc(c, func(word string) bool { return word == "" || !visible.Plain(word) }):
		return "a word that is not seen"
	case c[0] == "kubectl":
		if c[1] == "rollout" {
			c = c[1:] // kubectl rollout status
		}
		end := slices.Index(c, "--")
		if end < 0 || !kubectlVerb.MatchString(c[1]) || !resourceName.MatchString(c[end-1]) {
			return "not a verb, a resource and a name"
		}
		for _, word := range c[2 : end-1] {
			if ns, ok := strings.CutPrefix(word, "--namespace="); word != "--overwrite" && word != "--output=yaml" && word != "--timeout=5m" && (!ok || !names[ns]) {
				return "the word " + word
			}
		}
		if !names[c[end+1]] || len(c) > end+2 && c[1] != "label" {
			return "another name than an object's"
		}
	case !slices.Equal(c[:2], command.Command{"helm", "tenant"}):
		return "neither helm's nor kubectl's"
	case c[2] == "--tenant=a":
		if !slices.Equal(c[3:5], command.Command{"delete", "--purge"}) || len(c) != 6 || !names[c[5]] || strings.HasPrefix(c[5], "-") {
			return "not the deletion of a release"
		}
	case slices.Equal(c[2:], command.Command{"apply", "--filename=tenants.yaml"}):
	case !helmVerb.MatchString(c[2]) || c[3] != "TENANT" && tenant.CheckName(c[3]) != nil:
		return "no verb and tenant"
	default:
		for _, word := range c[4:] {
			if !helmFlag.MatchString(word) {
				return "the word " + word
			}
			if value := memberFlags.ReplaceAllString(word, ""); value != word {
				list, err := csv.NewReader(strings.NewReader(value)).Read()
				if err != nil || len(list) != 1 || !names[list[0]] {
					return "the member " + value
				}
			}
		}
	}
	return ""
}

// namesIn returns the names that hostileScene gives.
func namesIn(s *Snapshot, word string) map[string]bool {
	names := map[string]bool{"tenants.yaml": true}
	for _, name := range []string{word, "by-" + word, "leaves-" + word, "also-" + word, "all-" + word, word + "2", tenant.GroupAccounts + ":" + word, word + ":" + word, "ci:" + word, "helm-tenant." + word + ".admin", "helm-tenant.gone." + word} {
		names[name] = true
	}
	for _, b := range s.Bindings {
		names[b.Name], names[b.Namespace] = true, true
		for _, who := range b.Subjects {
			names[who.Name] = true
		}
	}
	for _, p := range s.Pods {
		names[p.Name], names[p.Namespace] = true, true
	}
	for _, r := range s.Releases {
		names[r.Record.Name] = true
	}
	for _, ns := range s.Namespaces {
		names[ns.Name] = true
	}
	names["g-1"] = true
	return names
}

// No name that somebody else chose becomes a command or an option in a finding's fix, in any
// shell, and each object is named correctly.
func TestHostileNamesInFixes(t *testing.T) {
	ours := map[string]bool{command.Unnamed: true}
	for _, word := range []string{"plain", "x y", "-"} {
		for _, f := range Audit(hostileScene(word), Options{}).Findings {
			for _, fix := range f.Fixes() {
				for _, note := range fix.Notes {
					ours[note] = true
				}
			}
		}
	}
	var commands []command.Command
	var text strings.Builder
	reported, run := map[string]bool{}, map[string]bool{}
	for _, word := range shelltest.Hostile() {
		s := hostileScene(word)
		names := namesIn(s, word)
		r := Audit(s, Options{Ask: User(word), Groups: []string{word}})
		if len(r.Findings) < 20 {
			t.Errorf("%q: %d findings", word, len(r.Findings))
		}
		for _, f := range r.Findings {
			reported[f.ID] = true
			if commands := len(f.Fix.Commands); commands == 0 && len(f.Fix.Notes) == 0 {
				t.Errorf("%q: %s says nothing to mend it: %s", word, f.ID, f.Text)
			}
			for _, fix := range f.Fixes() {
				for _, note := range fix.Notes {
					if !ours[note] {
						t.Errorf("%q: %s: a note is not of our own words alone: %q", word, f.ID, note)
					}
				}
				for _, c := range fix.Commands {
					if problem := wrong(c, names); problem != "" {
						t.Errorf("%q: %s: %q: %s", word, f.ID, c, problem)
					}
				}
				// A fix that is the same for every word runs once.
				if key := fix.String(); len(fix.Commands) > 0 && !run[key] {
					run[key] = true
					text.WriteString(key + "\n")
					commands = append(commands, fix.Commands...)
				}
			}
		}
		checkReportAsJSON(t, word, r)
	}
	for _, id := range []string{idClusterAdmin, idLeaves, idForeign, idImpostor, idLongToken, idStray, idOpenGroup, idNoAccount, idOrphan, idUnmanaged, idOpen, idFile, idStillIn, idClusterWide, idRefused} {
		if !reported[id] {
			t.Errorf("no scene has %s", id)
		}
	}
	for _, shell := range shelltest.Shells {
		t.Run(shell.Name, func(t *testing.T) {
			t.Parallel()
			var want [][]string
			for _, c := range commands {
				want = append(want, c)
			}
			if diff := cmp.Diff(want, shell.Calls(t, text.String())); diff != "" {
				t.Errorf("-commands +run:\n%s", diff)
			}
		})
	}
}

// checkReportAsJSON looks at what a program and a person get of the report.
func checkReportAsJSON(t *testing.T, word string, r *Report) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Findings []struct {
			Text, Subject, Fix string
			Fixes              []struct {
				Commands [][]string
				Lines    []string
			}
		}
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for i, f := range read.Findings {
		finding := r.Findings[i]
		if !visible.Plain(f.Text) || !visible.Plain(f.Fix) {
			t.Errorf("%q: %s: for people it says %q, %q", word, finding.ID, f.Text, f.Fix)
		}
		if f.Subject != strings.ToValidUTF8(finding.Subject, "\ufffd") {
			t.Errorf("%q: %s: the subject is %q, not %q", word, finding.ID, f.Subject, finding.Subject)
		}
		for j, fix := range finding.Fixes() {
			var want [][]string
			for _, c := range fix.Commands {
				want = append(want, c)
			}
			if len(want)+len(f.Fixes[j].Commands) > 0 && !cmp.Equal(want, f.Fixes[j].Commands) {
				t.Errorf("%q: %s: the commands are %q, not %q", word, finding.ID, f.Fixes[j].Commands, want)
			}
		}
	}
}

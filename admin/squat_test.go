package admin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

func ownedAccount(namespace, name, owner string) runtime.Object {
	return &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{tenant.LabelTenant: owner}}}
}

// TestSquatted: somebody who may create namespaces creates one that looks like the tenant's
// home before the tenant is made.
func TestSquatted(t *testing.T) {
	byHelm := engine(tenant.EngineImpersonation)
	labelled := namespace("t-helm", tenant.LabelTenant, "t", tenant.LabelHome, "impersonation", tenant.LabelManagedBy, tenant.ManagedBy)
	record := recordIn("t-helm", "name: t\nnamespaces: [a, b]\nrole: cluster-admin\nengine: impersonation\n", "t")
	member := bindingOf("t-helm", "helm-tenant-member", "x", user("mallory"))
	member.(metav1.Object).SetLabels(map[string]string{tenant.LabelTenant: "t"})
	squatted := empty().with(labelled, record, ownedAccount("t-helm", "helm", "t"), member)
	squatted.strangers = map[string][]cluster.Stranger{"t-helm": {{Kind: "RoleBinding", Name: "mine"}, {Kind: "Secret", Name: "forever"}, {Kind: "Pod", Name: "miner"}}}
	const in = `namespace "t-helm" is labelled as the home of tenant "t", but no namespace of the tenant leads to it: whoever made it may hold tokens of its service accounts; in it: `

	for _, test := range []struct {
		name  string
		world world
		ask   Request
		want  string
	}{
		{"all of it", squatted, asked(byHelm), in + "ConfigMap helm-tenant, ServiceAccount helm, RoleBinding mine, token Secret forever, Pod miner"},
		{"a record that can't be read", empty().with(labelled, recordIn("t-helm", "x", "t")), asked(byHelm), in + "ConfigMap helm-tenant"},
		{"an account", empty().with(labelled, ownedAccount("t-helm", "helm", "t")), asked(byHelm), in + "ServiceAccount helm"},
		{"an account of another label", empty().with(labelled, ownedAccount("t-helm", "helm", "")), asked(byHelm), in + "ServiceAccount helm"},
		{"a labelled account in a namespace that is not", empty().with(namespace("h"), ownedAccount("h", "helm", "t")), asked(byHelm, home("h")), strings.ReplaceAll(in, "t-helm", "h") + "ServiceAccount helm"},
		{"a namespace that leads elsewhere", squatted.with(leadingTo("other", namespace("c", tenant.LabelTenant, "t"))), asked(byHelm), in + "ConfigMap helm-tenant, ServiceAccount helm, RoleBinding mine, token Secret forever, Pod miner"},
		{"a binding of members", empty().with(labelled, member), asked(byHelm), in + "RoleBinding helm-tenant-member"},
		{"a binding of members in a namespace that is not labelled", empty().with(namespace("t-helm"), member), asked(byHelm), in + "RoleBinding helm-tenant-member; Namespace t-helm was not made by helm-tenant"},
		{"a record in a namespace that is not labelled", empty().with(namespace("t-helm"), record), asked(byHelm), in + "ConfigMap helm-tenant; Namespace t-helm was not made by helm-tenant"},
		{"as a tenants file asks", squatted, asked(byHelm, exactly), in + "ConfigMap helm-tenant, ServiceAccount helm, RoleBinding mine, token Secret forever, Pod miner"},
		{"an empty one, as a run leaves that was killed", empty().with(labelled), asked(byHelm), ""},
		{"a namespace of the tenant's leads to it", squatted.with(leadingTo("t-helm", namespace("c", tenant.LabelTenant, "t"))), asked(byHelm), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.world.decide(t, test.ask).Err; got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}

	t.Run("adopted", func(t *testing.T) {
		got := squatted.decide(t, asked(byHelm, adopting))
		if got.Err != "" {
			t.Fatal(got.Err)
		}
		if !slices.Contains(got.Steps, "replace ServiceAccount helm in namespace t-helm") {
			t.Errorf("the account stays: %q", got.Steps)
		}
		want := []string{
			`namespace "t-helm" was made by others. Its service accounts are created again, which ends their tokens; everything else in it stays, and can act in it: ConfigMap helm-tenant, ServiceAccount helm, RoleBinding mine, token Secret forever, Pod miner`,
			`service account helm in namespace "t-helm" is created again: every token of it ends`,
		}
		if diff := cmp.Diff(want, got.Notes); diff != "" {
			t.Errorf("notes: -want +got:\n%s", diff)
		}
		prepared, err := decide(squatted.facts(t, asked(byHelm, adopting)), asked(byHelm, adopting))
		if err != nil {
			t.Fatal(err)
		}
		if prepared.Tenant.Role != tenant.DefaultRole || !prepared.Tenant.Members.IsZero() || len(prepared.Warnings) != 1 {
			t.Errorf("it is %+v, with warnings %q", prepared.Tenant, prepared.Warnings)
		}
		// An interrupted run leaves nothing of the stranger's behind a namespace that leads there.
		claims := slices.IndexFunc(got.Steps, func(step string) bool { return strings.Contains(step, " Namespace ") })
		for _, step := range got.Steps[max(0, claims):] {
			if strings.HasSuffix(step, " in namespace t-helm") {
				t.Errorf("%q comes after %q", step, got.Steps[claims])
			}
		}
		// What is written leads to the home: the same again changes nothing.
		second := squatted.written(prepared.Plan)
		if got := second.decide(t, asked(byHelm, adopting)); got.Err != "" || len(got.Steps) > 0 {
			t.Errorf("again: %+v", got)
		}
	})
}

// TestSquattedPeople: a stranger who binds a user in the home as one of the tenant's people makes
// nobody one of them, whatever the namespace is labelled.
func TestSquattedPeople(t *testing.T) {
	byHelm := engine(tenant.EngineImpersonation)
	for _, home := range []runtime.Object{namespace("t-helm"), namespace("t-helm", tenant.LabelTenant, "t", tenant.LabelHome, "impersonation", tenant.LabelManagedBy, tenant.ManagedBy)} {
		for _, name := range []string{"helm-tenant-member", "helm-tenant-reader", "helm-tenant-owner"} {
			binding := bindingOf("t-helm", name, "x", user("mallory"))
			binding.(metav1.Object).SetLabels(map[string]string{tenant.LabelTenant: "t"})
			w := empty().with(home, binding)
			w.strangers = map[string][]cluster.Stranger{"t-helm": nil}
			prepared, err := decide(w.facts(t, asked(byHelm, adopting)), asked(byHelm, adopting))
			if err != nil {
				t.Fatal(err)
			}
			for _, as := range tenant.Relations {
				if people := prepared.Tenant.People(as); !people.IsZero() {
					t.Errorf("%s: %v are people of relation %s", name, people, as)
				}
			}
			if got := w.decide(t, asked(byHelm)).Err; !strings.Contains(got, "RoleBinding "+name) {
				t.Errorf("%s: without --adopt it is %q", name, got)
			}
		}
	}
}

// TestSquattedOdd: what a stranger made so that its adoption fails half-way, and a record that names
// a namespace of another tenant.
func TestSquattedOdd(t *testing.T) {
	byHelm := engine(tenant.EngineImpersonation)
	labelled := namespace("t-helm", tenant.LabelTenant, "t", tenant.LabelHome, "impersonation", tenant.LabelManagedBy, tenant.ManagedBy)
	record := recordIn("t-helm", "name: t\nnamespaces: [theirs]\nengine: impersonation\n", "t")
	immutable := true
	record.Immutable = &immutable
	held := ownedAccount("t-helm", "helm", "t").(*corev1.ServiceAccount)
	held.Finalizers, held.OwnerReferences = []string{"example.com/never"}, []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "x"}}
	w := empty().with(labelled, record, held, namespace("theirs", tenant.LabelTenant, "other"))
	w.strangers = map[string][]cluster.Stranger{"t-helm": nil}

	if got := w.decide(t, asked(byHelm)).Err; !strings.Contains(got, "in it: ConfigMap helm-tenant, ServiceAccount helm") || strings.Contains(got, "theirs") {
		t.Errorf("it is refused: %s", got)
	}
	prepared, err := decide(w.facts(t, asked(byHelm, adopting)), asked(byHelm, adopting))
	if err != nil {
		t.Fatal(err)
	}
	replaced := 0
	for _, change := range prepared.Plan.Changes {
		if change.Action != cluster.Replace {
			continue
		}
		replaced++
		if set, _, _ := unstructured.NestedBool(change.Object.Object, "immutable"); set || len(change.Object.GetFinalizers())+len(change.Object.GetOwnerReferences()) > 0 {
			t.Errorf("%s keeps what the stranger wrote: %v", change.Key, change.Object)
		}
	}
	if replaced != 2 {
		t.Errorf("%d objects are replaced, not the record and the account", replaced)
	}
}

// TestTakenHome: what can act in a home namespace that had no tenant's label is named when it is
// adopted. Whoever may create namespaces can prepare one that is called like the home.
func TestTakenHome(t *testing.T) {
	byHelm := engine(tenant.EngineImpersonation)
	strangers := []cluster.Stranger{{Kind: "RoleBinding", Name: "mine"}, {Kind: "Secret", Name: "forever"}, {Kind: "Pod", Name: "miner"}}
	const warning = `namespace "t-helm" was made by others. What is in it stays, and can act in it: RoleBinding mine, token Secret forever, Pod miner`
	prepared := func(home string, objects ...runtime.Object) world {
		w := empty().with(append(objects, namespace(home))...)
		w.strangers = map[string][]cluster.Stranger{home: strangers}
		return w
	}
	named := func(home string) world {
		w := prepared(home)
		w.strangers[home] = append(slices.Clone(strangers), cluster.Stranger{Kind: "RoleBinding", Name: "helm-tenant-member"}, cluster.Stranger{Kind: "RoleBinding", Name: "helm-tenant-records"}, cluster.Stranger{Kind: "Deployment", Name: "tiller-deploy"})
		return w
	}
	old := prepared("t-tiller", tillerByHand("t-tiller", func(d *appsv1.Deployment) { d.Name = "old" })[1])
	old.strangers["t-tiller"] = append(slices.Clone(strangers), cluster.Stranger{Kind: "Deployment", Name: "old"})
	gives := bindingOf("t-helm", "mine", "edit", account("t-helm", "helm"))
	marked := empty().with(namespace("t-helm", tenant.LabelManagedBy, tenant.ManagedBy))
	marked.strangers = map[string][]cluster.Stranger{"t-helm": strangers}
	created := empty().after(t, asked(byHelm))
	created.strangers = map[string][]cluster.Stranger{"t-helm": strangers}
	for _, test := range []struct {
		name  string
		world world
		ask   Request
		want  string
	}{
		{"nothing else", prepared("t-helm"), asked(byHelm, adopting), warning},
		{"the deployer's account", prepared("t-helm", accountIn("t-helm", "helm")), asked(byHelm, adopting), warning},
		{"an account with the tenant's label, of which another warning tells", prepared("t-helm", ownedAccount("t-helm", "helm", "t")), asked(byHelm, adopting),
			`namespace "t-helm" was made by others. Its service accounts are created again, which ends their tokens; everything else in it stays, and can act in it: ServiceAccount helm, RoleBinding mine, token Secret forever, Pod miner`},
		{"a label of helm-tenant's", marked, asked(byHelm, adopting), warning},
		{"another home", prepared("h"), asked(byHelm, adopting, home("h")), strings.ReplaceAll(warning, "t-helm", "h")},
		{"a Tiller's home", prepared("t-tiller"), asked(adopting), strings.ReplaceAll(warning, "t-helm", "t-tiller")},
		{"a binding that the adoption deletes", prepared("t-helm", gives), asked(byHelm, adopting), strings.ReplaceAll(warning, "RoleBinding mine, ", "")},
		{"what is the tenant's by its name", named("t-tiller"), asked(adopting), strings.ReplaceAll(warning, "t-helm", "t-tiller")},
		{"what has the name of a Tiller's, in another home", named("t-helm"), asked(byHelm, adopting), warning + ", RoleBinding helm-tenant-records, Deployment tiller-deploy"},
		{"a Tiller of another name that the adoption deletes", old, asked(adopting), strings.ReplaceAll(warning, "t-helm", "t-tiller")},
		{"Kubernetes' own namespace", prepared("kube-system"), asked(byHelm, adopting, home("kube-system"), accept(RiskSharedHome)), ""},
		{"a tenant that exists", created, asked(byHelm, adopting), ""},
		{"no namespace yet", empty(), asked(byHelm, adopting), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := decide(test.world.facts(t, test.ask), test.ask)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(slices.Clone(p.Warnings), func(warning string) bool { return !strings.Contains(warning, "made by others") })
			if want := slices.DeleteFunc([]string{test.want}, func(text string) bool { return text == "" }); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestReadersAccountOfOthers: a stranger prepared the account of readers in a home that is
// adopted, and holds a token of it.
func TestReadersAccountOfOthers(t *testing.T) {
	reading := func(r *Request) { r.Tenant.Readers = tenant.Members{tenant.User("pam")} }
	byHelm := []func(*Request){engine(tenant.EngineImpersonation), accept(RiskReadsSecrets), exactly}
	prepared := func(label string, more ...runtime.Object) world {
		w := empty().with(append(more, clusterRole("view", "get", "list"), ownedAccount("t-helm", "helm-reader", label))...)
		w.strangers = map[string][]cluster.Stranger{"t-helm": nil}
		return w
	}
	plain, squatted := namespace("t-helm"), namespace("t-helm", tenant.LabelTenant, "t", tenant.LabelHome, "impersonation", tenant.LabelManagedBy, tenant.ManagedBy)
	const replaced, deleted = "replace ServiceAccount helm-reader in namespace t-helm", "delete ServiceAccount helm-reader in namespace t-helm"
	for _, test := range []struct {
		name  string
		world world
		more  []func(*Request)
		want  string // a step, or a part of the refusal
	}{
		{"without a label", prepared("", plain), []func(*Request){adopting, reading}, replaced},
		{"labelled", prepared("t", plain), []func(*Request){adopting, reading}, replaced},
		{"in a home that is labelled", prepared("", squatted), []func(*Request){adopting, reading}, replaced},
		{"labelled, for readers to come", prepared("t", plain), []func(*Request){adopting}, deleted},
		{"labelled, and not adopted", prepared("t", plain), []func(*Request){reading}, "in it: ServiceAccount helm-reader"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.world.decide(t, asked(append(byHelm, test.more...)...))
			if !slices.Contains(got.Steps, test.want) && !strings.Contains(got.Err, test.want) {
				t.Errorf("%s: it does %q", got.Err, got.Steps)
			}
		})
	}
	existing := empty().with(clusterRole("view", "get", "list")).after(t, asked(append(byHelm, reading)...))
	if got := existing.decide(t, asked(append(byHelm, reading, adopting)...)); got.Err != "" || len(got.Steps) > 0 {
		t.Errorf("of the tenant's own it says %q, and does %q", got.Err, got.Steps)
	}
}

// TestExisting: an existing tenant has none of the requested namespaces. The record in somebody
// else's home changes nothing about that.
func TestExisting(t *testing.T) {
	existing := empty().after(t, asked(namespaces("a")))
	inCluster := empty().after(t, asked(everywhere, accept(RiskClusterWide)))
	squatted := func(record string) world {
		return empty().with(namespace("shop"), leadingTo("t-tiller", namespace("decoy", tenant.LabelTenant, "t")),
			namespace("t-tiller", tenant.LabelTenant, "t", tenant.LabelHome, "tiller", tenant.LabelManagedBy, tenant.ManagedBy),
			recordIn("t-tiller", "name: t\n"+record, "t"))
	}
	const recorded = `names the namespaces a`
	for _, test := range []struct {
		name    string
		world   world
		request Request
		// record is what the warning says of the record, empty for no warning.
		record string
	}{
		{"another namespace", existing, asked(namespaces("b")), recorded},
		{"a file with another namespace", existing, asked(namespaces("b"), exactly), recorded},
		{"one more namespace", existing, asked(namespaces("a", "b")), ""},
		{"no namespace", existing, asked(namespaces()), ""},
		{"a new tenant", empty(), asked(namespaces("b")), ""},
		{"a namespace that a stranger's record names", squatted("namespaces: [decoy, shop]\n"), asked(namespaces("shop")), "names the namespaces decoy, shop"},
		{"the same in a file", squatted("namespaces: [decoy, shop]\n"), asked(namespaces("shop"), exactly), "names the namespaces decoy, shop"},
		{"a stranger's record of all namespaces", squatted("allNamespaces: true\n"), asked(namespaces("shop"), exactly), "says that it has all namespaces"},
		{"all namespaces, and a stranger's record", squatted("namespaces: [decoy]\n"), asked(everywhere, exactly, accept(RiskClusterWide)), "names the namespaces decoy"},
		{"all namespaces, and a stranger's record of all", squatted("allNamespaces: true\n"), asked(everywhere, exactly, accept(RiskClusterWide)), "says that it has all namespaces"},
		{"a tenant of all namespaces", inCluster, asked(everywhere), ""},
		{"a tenant that no longer has all namespaces", inCluster, asked(namespaces("a"), exactly), ""},
	} {
		prepared, err := decide(test.world.facts(t, test.request), test.request)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var want []string
		if test.record != "" {
			want = []string{`tenant "t" already exists, with the home namespace "t-tiller", and its record ` + test.record + `: if no admin created it, whoever did can act in the namespaces that it gets`}
		}
		got := slices.DeleteFunc(slices.Clone(prepared.Warnings), func(warning string) bool { return !strings.Contains(warning, "already exists") })
		if !slices.Equal(got, want) {
			t.Errorf("%s: warnings %q", test.name, prepared.Warnings)
		}
	}
}

// TestExistingShared: a namespace that the tenant shares carries another tenant's label, and
// its claim.
func TestExistingShared(t *testing.T) {
	sharing := func(r *Request) { r.Share = true }
	other := empty().after(t, Request{Tenant: tenant.Tenant{Name: "o", Namespaces: []string{"a"}}})
	existing := other.after(t, asked(sharing))
	request := asked(namespaces("a"), sharing)
	prepared, err := decide(existing.facts(t, request), request)
	if err != nil || slices.ContainsFunc(prepared.Warnings, func(warning string) bool { return strings.Contains(warning, "already exists") }) {
		t.Errorf("%v, %+v", err, prepared)
	}
}

// TestRemade: a namespace of the tenant's was deleted, and made again by somebody else.
func TestRemade(t *testing.T) {
	existing := empty().after(t, asked())
	second := edited(existing, cluster.Key{Kind: "Namespace", Name: "b"}, func(ns *unstructured.Unstructured) {
		ns.SetLabels(nil)
		ns.SetAnnotations(nil)
	})
	second.strangers = map[string][]cluster.Stranger{"b": {{Kind: "RoleBinding", Name: "mine"}, {Kind: "RoleBinding", Name: "helm-tenant-records"}, {Kind: "Pod", Name: "web"}}}
	got := second.decide(t, asked())
	want := []string{`namespace "b", which the tenant's record names, does not have the tenant's label: it may have been deleted and made again; others have rights in it: RoleBinding mine, RoleBinding helm-tenant-records`}
	if diff := cmp.Diff(want, got.Notes); diff != "" || got.Err != "" {
		t.Errorf("%s, notes: -want +got:\n%s", got.Err, diff)
	}
	for _, request := range []Request{asked(), asked(namespaces())} {
		if got := existing.decide(t, request); len(got.Notes) > 0 {
			t.Errorf("with nothing of the kind it notes %q", got.Notes)
		}
	}
	second.strangers = nil
	want = []string{`namespace "b", which the tenant's record names, does not have the tenant's label: it may have been deleted and made again, or whoever made the tenant may have named a namespace of others; its deployer gets the role "admin" there`}
	if diff := cmp.Diff(want, second.decide(t, asked(namespaces())).Notes); diff != "" {
		t.Errorf("without a namespace that is asked for, notes: -want +got:\n%s", diff)
	}
	if got := second.decide(t, asked()); len(got.Notes) > 0 {
		t.Errorf("of a namespace that is asked for it notes %q", got.Notes)
	}
}

// TestSquattedPair: a stranger makes a home and a namespace that leads to it, and names a
// namespace of others in the record: an init that names no namespace says so.
func TestSquattedPair(t *testing.T) {
	pair := empty().with(namespace("shop"), leadingTo("t-tiller", namespace("decoy", tenant.LabelTenant, "t")),
		namespace("t-tiller", tenant.LabelTenant, "t", tenant.LabelHome, "tiller", tenant.LabelManagedBy, tenant.ManagedBy),
		recordIn("t-tiller", "name: t\nnamespaces: [decoy, shop]\n", "t"))
	request := asked(namespaces())
	prepared, err := decide(pair.facts(t, request), request)
	if err != nil || len(prepared.Warnings) != 1 || !strings.Contains(prepared.Warnings[0], `namespace "shop"`) {
		t.Errorf("%v, %+v", err, prepared)
	}
}

// TestSquattedShared: a tenant whose namespaces all carry another tenant's label has none that
// could refer to its home. A stranger's home is refused nevertheless, and with --adopt the
// stranger's record is not believed.
func TestSquattedShared(t *testing.T) {
	sharing := func(r *Request) { r.Share = true }
	byHelm := engine(tenant.EngineImpersonation)
	bare := func(r *Request) {
		r.Tenant.Rails, r.Accepted = tenant.RailsOfBefore(), Risks
	}
	other := func(options ...func(*Request)) world {
		return empty().after(t, asked(append(options, func(r *Request) { r.Tenant.Name = "o" })...))
	}
	squatted := func(w world, objects ...runtime.Object) world {
		objects = append(objects, namespace("t-helm", tenant.LabelTenant, "t", tenant.LabelHome, "impersonation", tenant.LabelManagedBy, tenant.ManagedBy),
			recordIn("t-helm", "name: t\nnamespaces: [a, b]\nrole: cluster-admin\nengine: impersonation\n", "t"), ownedAccount("t-helm", "helm", "t"))
		return w.with(objects...)
	}
	binding := func(ns string) runtime.Object {
		b := bindingOf(ns, "helm-tenant.t.admin", "admin", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "t-helm", Name: "helm"})
		b.(metav1.Object).SetLabels(map[string]string{tenant.LabelTenant: "t"})
		return b
	}
	for _, test := range []struct {
		name    string
		world   world
		request Request
		refused bool
	}{
		{"a stranger's home", squatted(other()), asked(byHelm, sharing), true},
		{"without rails", squatted(other(bare)), asked(byHelm, sharing, bare), true},
		{"with a binding in one of the namespaces", squatted(other(bare), binding("a")), asked(byHelm, sharing, bare), true},
		{"the tenant's own", other().after(t, asked(byHelm, sharing)), asked(byHelm, sharing), false},
		{"the tenant's own without rails", other(bare).after(t, asked(byHelm, sharing, bare)), asked(byHelm, sharing, bare), false},
		{"no home yet", other(), asked(byHelm, sharing), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.world.decide(t, test.request)
			if refused := strings.Contains(got.Err, "whoever made it may hold tokens"); refused != test.refused || !refused && got.Err != "" {
				t.Errorf("got %q", got.Err)
			}
			if !test.refused {
				return
			}
			adopting(&test.request)
			prepared, err := decide(test.world.facts(t, test.request), test.request)
			if err != nil || prepared.Tenant.Role != tenant.DefaultRole || !slices.Contains(test.world.decide(t, test.request).Steps, "replace ServiceAccount helm in namespace t-helm") {
				t.Errorf("adopted: %v, %+v", err, prepared)
			}
		})
	}
}

// TestFinalizersOfStrangers: what a stranger holds with a finalizer is replaced or deleted all the
// same, an interrupted deletion too, and it is said; of an own binding with one likewise.
func TestFinalizersOfStrangers(t *testing.T) {
	byHelm := engine(tenant.EngineImpersonation)
	for name, ending := range map[string]bool{"held": false, "held, and being deleted": true} {
		t.Run(name, func(t *testing.T) {
			account := ownedAccount("t-helm", "helm", "t").(*corev1.ServiceAccount)
			member := bindingOf("t-helm", "helm-tenant-member", "x", user("mallory")).(*rbacv1.RoleBinding)
			member.Labels = map[string]string{tenant.LabelTenant: "t"}
			for _, held := range []metav1.Object{account, member} {
				held.SetFinalizers([]string{"example.com/never"})
				if ending {
					held.SetDeletionTimestamp(&metav1.Time{Time: time.Unix(1, 0)})
				}
			}
			labelled := namespace("t-helm", tenant.LabelTenant, "t", tenant.LabelHome, "impersonation", tenant.LabelManagedBy, tenant.ManagedBy)
			server, c := empty().with(labelled, account, member).start(t)
			before := server.Get(accountKey("t-helm", "helm")).GetUID()
			prepared := write(t, c, asked(byHelm, adopting))
			for _, key := range []cluster.Key{accountKey("t-helm", "helm"), memberKey("t-helm")} {
				if now := server.Get(key); now == nil || len(now.GetFinalizers()) > 0 || now.GetDeletionTimestamp() != nil || now.GetUID() == before {
					t.Errorf("%s is %v", key, now)
				}
				if note := key.String() + " is deleted in spite of its finalizers, which are removed: example.com/never"; !slices.Contains(prepared.Notes, note) {
					t.Errorf("no note %q among %q", note, prepared.Notes)
				}
			}
			if did := write(t, c, asked(byHelm)); len(did.Plan.Changes) > 0 {
				t.Errorf("it is done in two runs: %q", stepsOf(did.Plan))
			}
			held := server.Get(cluster.Key{Kind: "RoleBinding", Namespace: "a", Name: "helm-tenant.t.admin"})
			held.SetFinalizers([]string{"example.com/never"})
			server.Put(held)
			write(t, c, asked(byHelm, role("edit"), exactly))
			if now := server.Get(cluster.KeyOf(held)); now != nil {
				t.Errorf("with another role, the deployer still has the first one by %v", now)
			}
		})
	}
}

package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/audit"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/install"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// forbid refuses every list of these kinds.
func forbid(kinds ...string) func(clustertest.Request) *apierrors.StatusError {
	return func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb == "list" && slices.Contains(kinds, r.Kind) {
			return apierrors.NewForbidden(schema.GroupResource{Resource: strings.ToLower(r.Kind) + "s"}, "", errors.New("not yours"))
		}
		return nil
	}
}

// TestFind: where a tenant is looked for.
func TestFind(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked())
	write(t, c, Request{Tenant: tenant.Tenant{Name: "o", Namespaces: []string{"b"}, HomeNamespace: "elsewhere"}, Share: true})
	narrow := func(r clustertest.Request) *apierrors.StatusError { return forbid("ConfigMap")(r) }
	for _, test := range []struct {
		name, home string
		refuse     func(clustertest.Request) *apierrors.StatusError
		want, err  string
	}{
		{"t", "", nil, "t-tiller", ""},
		{"o", "", nil, "elsewhere", ""},
		{"o", "elsewhere", nil, "elsewhere", ""},
		{"x", "", nil, "", `there is no tenant "x" in `},
		{"t", "elsewhere", nil, "", `namespace "elsewhere" is the home of tenant "o", not of "t"`},
		{"t", "a", nil, "", `namespace "a" is not the home of tenant "t" in `},
		{"t", "", narrow, "t-tiller", ""},
		{"o", "", narrow, "", `there is no tenant "o" in `},
	} {
		t.Run(test.name+"/"+test.home, func(t *testing.T) {
			server.Refuse = test.refuse
			found, err := Find(t.Context(), c, test.name, test.home)
			if test.err == "" && (err != nil || found.Home() != test.want) || !strings.HasPrefix(errorText(err), test.err) {
				t.Errorf("found %q, %v", found.Home(), err)
			}
		})
	}
}

// TestDescribe: all that there is of a tenant, and what may not be read.
func TestDescribe(t *testing.T) {
	server, c := empty().with(bindingOf("a", "theirs", "edit", user("eve"), account("", "robot"))).start(t)
	write(t, c, asked(func(r *Request) { r.Tenant.Members = tenant.Members{tenant.User("alice")} }))
	server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED), &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "t-tiller", Name: "tiller-1", Labels: recognise.Labels()}, Status: corev1.PodStatus{Phase: corev1.PodRunning}})
	server.Remove(namespaceKey("b"))
	d, err := Describe(t.Context(), c, "t", "")
	if err != nil {
		t.Fatal(err)
	}
	wantIn := []NamespaceOf{
		{Name: "a", Bindings: []Binding{{"helm-tenant.t.admin", "ClusterRole admin", []string{"service account t-tiller:tiller"}, true}, {"theirs", "ClusterRole edit", []string{"user eve", "service account a:robot"}, false}}, Quota: []QuotaUse{}},
		{Name: "b", Missing: true, Bindings: []Binding{}, Quota: []QuotaUse{}}}
	if diff := cmp.Diff(wantIn, d.In); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !cmp.Equal(d.Members, tenant.Members{tenant.User("alice")}) || len(d.Pods) != 1 || d.Running == nil || len(d.Releases) != 1 || d.Releases[0].Name != "web" {
		t.Errorf("members %v, pods %v, releases %v", d.Members, d.Pods, d.Releases)
	}
	var drift []string
	for _, change := range d.Drift {
		drift = append(drift, string(change.Action)+" "+change.Key.String())
	}
	if diff := cmp.Diff([]string{"create Namespace b", "create RoleBinding helm-tenant.t.admin in namespace b"}, drift); diff != "" {
		t.Errorf("drift, -want +got:\n%s", diff)
	}
	taken := server.Get(tillerKey("t-tiller"))
	taken.SetLabels(recognise.Labels())
	server.Put(taken)
	if d, err = Describe(t.Context(), c, "t", ""); err != nil || d.Foreign != "Deployment tiller-deploy in namespace t-tiller was not made by helm-tenant" {
		t.Errorf("foreign is %q, %v", d.Foreign, err)
	}
	server.Refuse = forbid("Pod", "Secret", "RoleBinding", "Deployment")
	// The bindings of people are read by name, too, as an owner may.
	if d, err = Describe(t.Context(), c, "t", ""); err != nil || len(d.Unseen) != 4 || d.Drift != nil || len(d.Members) != 1 {
		t.Errorf("members are %v, unseen are %q, %v", d.Members, d.Unseen, err)
	}
	lists := server.Refuse
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Kind == "RoleBinding" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "rolebindings"}, "", errors.New("not yours"))
		}
		return lists(r)
	}
	if d, err = Describe(t.Context(), c, "t", ""); err != nil || len(d.Unseen) != 5 || d.Drift != nil || len(d.Members) != 0 {
		t.Errorf("members are %v, unseen are %q, %v", d.Members, d.Unseen, err)
	}
	if in := d.In[0]; in.Bindings != nil || in.Quota == nil {
		t.Errorf("bindings that may not be read are %v, and no quota is %v", in.Bindings, in.Quota)
	}
}

// TestInventory: every tenant, and every Tiller that is none's.
func TestInventory(t *testing.T) {
	server, c := empty().with(tillerByHand("old", func(*appsv1.Deployment) {})...).start(t)
	write(t, c, asked())
	write(t, c, Request{Tenant: tenant.Tenant{Name: "three", Namespaces: []string{"b"}, Engine: tenant.EngineImpersonation}, Share: true})
	server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED), record(t, "old", "db", "z", 1, release.Status_FAILED), recordIn("broken", "x", "broken"), namespace("broken", tenant.LabelTenant, "broken"))
	found, err := TakeInventory(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range found.Tenants {
		names = append(names, o.Name)
	}
	if diff := cmp.Diff([]string{"broken", "t", "three"}, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if found.Tenants[0].Problem == "" || found.Tenants[1].Tiller == nil || found.Tenants[2].Tiller != nil || found.Tenants[1].Releases["DEPLOYED"] != 1 {
		t.Errorf("got %+v", found.Tenants)
	}
	if len(found.Unmanaged) != 1 || found.Unmanaged[0].Namespace != "old" || found.Unmanaged[0].Releases["FAILED"] != 1 {
		t.Errorf("unmanaged are %+v", found.Unmanaged)
	}
	server.Refuse = forbid("RoleBinding", "Deployment")
	if found, err = TakeInventory(t.Context(), c); err != nil || len(found.Unseen) != 2 {
		t.Errorf("unseen are %v, %v", found.Unseen, err)
	}
}

// TestSnapshot: what an audit looks at, and what may not be seen.
func TestSnapshot(t *testing.T) {
	server, c := empty().with(tillerByHand("old", func(*appsv1.Deployment) {})...).with(bindingOf("", "all", "cluster-admin", account("old", "tiller"))).start(t)
	write(t, c, asked())
	server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED), recordIn("a", "name: forged\nnamespaces: [b]\n", "forged"),
		&corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "t-tiller", Name: "tiller-1", Labels: recognise.Labels()},
			Spec: corev1.PodSpec{ServiceAccountName: "tiller", Containers: []corev1.Container{{Name: "tiller", Image: "tiller"}}}},
		&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"}, ObjectMeta: metav1.ObjectMeta{Namespace: "t-tiller", Name: "rs", Labels: recognise.Labels()}},
		&networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "theirs"}})
	s, err := TakeSnapshot(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if s.Server.NoGetStreams != true || s.Server.NoConstrainedImpersonation || len(s.Records) != 1 || len(s.Disbelieved) != 1 || s.Admission != audit.AdmissionInForce || len(s.Unseen) > 0 {
		t.Errorf("server %+v, %d records, %d not believed, admission %v, unseen %v", s.Server, len(s.Records), len(s.Disbelieved), s.Admission, s.Unseen)
	}
	if !slices.ContainsFunc(s.Bindings, func(b audit.Binding) bool {
		return b.Name == "all" && cmp.Equal(b.Subjects, []audit.Subject{tenant.Account("old", "tiller")})
	}) || len(s.Workloads) != 3 || len(s.Pods) != 1 {
		t.Errorf("%d bindings, %d workloads, %d pods", len(s.Bindings), len(s.Workloads), len(s.Pods))
	}
	server.Refuse = forbid("RoleBinding", "Secret", "Pod")
	if s, err = TakeSnapshot(t.Context(), c); err != nil || len(s.Unseen) < 3 {
		t.Errorf("unseen are %v, %v", s.Unseen, err)
	}
	for _, policy := range install.Admission() {
		server.Remove(keysOf(install.Admission())[0])
		_ = policy
	}
	server.Refuse = nil
	if s, err = TakeSnapshot(t.Context(), c); err != nil || s.Admission != audit.AdmissionMissing {
		t.Errorf("admission is %v, %v", s.Admission, err)
	}
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Kind == "Pod" {
			return apierrors.NewInternalError(errors.New("broken"))
		}
		return nil
	}
	if _, err = TakeSnapshot(t.Context(), c); err == nil {
		t.Error("a list that fails is no error")
	}
}

// TestReach: the reads for finding out who reaches a tenant are the same as an audit's.
func TestReach(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Members: tenant.Members{tenant.User("alice")}}})
	server.Put(bindingOf("", "all", "admin", user("eve")))
	s, err := TakeReach(t.Context(), c)
	if err != nil || len(s.Unseen) > 0 {
		t.Fatalf("unseen are %v, %v", s.Unseen, err)
	}
	reach := audit.NewReach(s)
	for name, want := range map[string]bool{"alice": true, "eve": true, "zoe": false} {
		if ways := reach.Ways("t-tiller", tenant.User(name)); (len(ways) > 0) != want {
			t.Errorf("%s reaches it by %v", name, ways)
		}
	}
	server.Refuse = forbid("Pod")
	if s, err = TakeReach(t.Context(), c); err != nil || len(s.Unseen) != 1 {
		t.Errorf("unseen are %v, %v", s.Unseen, err)
	}
}

// TestOverlaps: what two tenants of files claim both.
func TestOverlaps(t *testing.T) {
	located := func(line int, name string, namespaces ...string) tenant.Located {
		return tenant.Located{Tenant: tenant.Tenant{Name: name, Namespaces: namespaces}, File: "f", Line: line}
	}
	tenants := []tenant.Located{located(1, "x", "a"), located(2, "y", "a"), located(3, "z", "x-tiller")}
	var got []string
	for _, err := range Overlaps(tenants, false) {
		got = append(got, err.Error())
	}
	want := []string{`f:2: namespace "a" is a namespace of tenant "y" and, at f:1, a namespace of tenant "x"`,
		`f:3: namespace "x-tiller" is a namespace of tenant "z" and, at f:1, the home namespace of tenant "x"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if shared := Overlaps(tenants, true); len(shared) != 1 {
		t.Errorf("with --share: %v", shared)
	}
}

// TestDestroyOfTwo: what another tenant has, too, stays with it.
func TestDestroyOfTwo(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"a", "b", "new", "labelled"}}, CreateNamespaces: true})
	write(t, c, Request{Tenant: tenant.Tenant{Name: "o", Namespaces: []string{"b"}}, Share: true})
	left := bindingOf("labelled", "x", "edit", user("eve")).(*rbacv1.RoleBinding)
	left.Labels = map[string]string{tenant.LabelTenant: "ghost"}
	server.Put(left, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: "t-tiller", Name: "theirs"}})
	removal, err := prepareRemoval(t.Context(), c, "t", true)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`namespace "t-tiller" stays, because it has objects that helm-tenant did not make: ConfigMap theirs`,
		`namespace "b" stays, because tenant "o" has it, too; it carries that tenant's label from now on`,
		`namespace "labelled" stays, because a RoleBinding there is labelled as tenant "ghost"'s`}
	for _, note := range want {
		if !slices.Contains(removal.Prepared.Notes, note) {
			t.Errorf("no note %q among %q", note, removal.Prepared.Notes)
		}
	}
	if _, err := Write(t.Context(), c, func(_ context.Context) (*Prepared, error) { return removal.Prepared, nil }, never); err != nil {
		t.Fatal(err)
	}
	if ns := server.Get(namespaceKey("b")); ns.GetLabels()[tenant.LabelTenant] != "o" || ns.GetAnnotations()[tenant.AnnotationHome] != "o-tiller" {
		t.Errorf("b is %v", ns.GetLabels())
	}
	if server.Get(namespaceKey("new")) != nil || server.Get(namespaceKey("labelled")).GetLabels()[tenant.LabelTenant] != "" {
		t.Error("a namespace that was created, or that is another's, is as before")
	}
	if second := write(t, c, Request{Tenant: tenant.Tenant{Name: "o", Namespaces: []string{"b"}}}); len(second.Plan.Changes) > 0 {
		t.Errorf("the other tenant lacks %q", stepsOf(second.Plan))
	}
}

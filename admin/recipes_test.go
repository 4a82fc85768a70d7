package admin

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/helm/pkg/proto/hapi/release"
	"sigs.k8s.io/yaml"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
)

// recipe reads the objects of a published way to run a Tiller.
func recipe(t *testing.T, name string) []runtime.Object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "recipes", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]func() runtime.Object{
		"Namespace": func() runtime.Object { return &corev1.Namespace{} }, "ServiceAccount": func() runtime.Object { return &corev1.ServiceAccount{} },
		"Service": func() runtime.Object { return &corev1.Service{} }, "Deployment": func() runtime.Object { return &appsv1.Deployment{} },
		"StatefulSet": func() runtime.Object { return &appsv1.StatefulSet{} }, "DaemonSet": func() runtime.Object { return &appsv1.DaemonSet{} }, "Pod": func() runtime.Object { return &corev1.Pod{} }, "Role": func() runtime.Object { return &rbacv1.Role{} },
		"RoleBinding": func() runtime.Object { return &rbacv1.RoleBinding{} }, "ClusterRoleBinding": func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
	}
	var objects []runtime.Object
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatal(err)
		}
		object := kinds[head.Kind]()
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		objects = append(objects, object)
	}
	return objects
}

// requestFor adopts the Tiller of a recipe, and names what has to be named for that.
func requestFor(name string) Request {
	request := asked(adopting, home("old"))
	switch name {
	case "flags-elsewhere":
		request.Tenant.Tiller.HistoryMax = new(6)
		fallthrough
	case "sidecar":
		request.Accepted = Accepted{RiskOtherContainers}
	}
	return request
}

// TestOtherContainers: nothing stops beside an adopted Tiller that was not named.
func TestOtherContainers(t *testing.T) {
	for name, want := range map[string]string{"helm-init": "", "helmsman": "", "sidecar": "dashboard of Deployment dashboard", "flags-elsewhere": "metrics of Deployment tiller-deploy"} {
		request := requestFor(name)
		request.Accepted = nil
		if want != "" {
			want = "other-containers: containers run beside Tiller with its service account and would stop, since a tenant's Tiller runs alone: " + want + "; run them in a workload of their own first"
		}
		if got := empty().with(recipe(t, name)...).decide(t, request); got.Err != want {
			t.Errorf("%s: %s", name, got.Err)
		}
	}
}

// TestLimitElsewhere: a history limit, or the namespace of the records, that a Tiller takes from
// a ConfigMap or Secret is neither lost nor guessed.
func TestLimitElsewhere(t *testing.T) {
	keep := corev1.EnvVar{Name: "TILLER_HISTORY_MAX", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "keep"}, Key: "n"}}}
	records := corev1.EnvVar{Name: "TILLER_NAMESPACE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "where"}, Key: "n"}}}
	unknown := `Deployment tiller-deploy in namespace "old" takes the number of revisions that it keeps from Secret keep, and a tenant's Tiller has it in its own settings`
	for _, test := range []struct {
		name   string
		env    corev1.EnvVar
		change func(*Request)
		want   string
		limit  int
	}{
		{"a limit", keep, func(*Request) {}, unknown, 0},
		{"a limit that the admin names", keep, func(r *Request) { r.Tenant.Tiller.HistoryMax = new(3) }, "", 3},
		{"a limit of a file, which says everything", keep, exactly, "", tenant.DefaultHistoryMax},
		{"the records' namespace", records, func(*Request) {}, `Deployment tiller-deploy in namespace "old" takes the namespace in which it stores its releases from ConfigMap where, and a tenant's Tiller stores them in its own: write the value into variable TILLER_NAMESPACE of the Deployment itself`, 0},
	} {
		objects := recipe(t, "helm-init")
		for _, object := range objects {
			if d, ok := object.(*appsv1.Deployment); ok {
				d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{test.env}
			}
		}
		request := asked(adopting, home("old"), test.change)
		prepared, err := decide(empty().with(objects...).facts(t, request), request)
		if errorText(err) != test.want {
			t.Errorf("%s: %v", test.name, err)
		} else if err == nil && *prepared.Tenant.Tiller.HistoryMax != test.limit {
			t.Errorf("%s: the limit is %d", test.name, *prepared.Tenant.Tiller.HistoryMax)
		}
	}
}

// TestRecipes: for each published way to run a Tiller, the removals and changes of init
// --adopt, and its report on rights that were removed and that remain.
func TestRecipes(t *testing.T) {
	for _, test := range []struct {
		recipe  string
		storage tenant.Storage
		// steps are those on objects of the recipe, notes all that are about it.
		steps, notes []string
	}{
		{"helm-init", "configmap",
			[]string{"delete ClusterRoleBinding tiller", "delete Service tiller-deploy in namespace old", "replace ServiceAccount tiller in namespace old", "update Deployment tiller-deploy in namespace old"},
			[]string{"taken from Tiller: ClusterRoleBinding tiller -> ClusterRole cluster-admin"}},
		{"default-account", "configmap",
			[]string{"update Deployment tiller-deploy in namespace old"},
			[]string{`Tiller no longer runs as service account "default" of namespace "old", which keeps the rights that it has: ClusterRoleBinding add-on-cluster-admin -> ClusterRole cluster-admin`,
				"Tiller's image: gcr.io/kubernetes-helm/tiller:v2.9.1 becomes ghcr.io/helm/tiller:v2.17.0"}},
		{"helm-docs-two-namespaces", "configmap",
			[]string{"delete RoleBinding tiller-binding in namespace a", "delete RoleBinding tiller-binding in namespace old", "replace ServiceAccount tiller in namespace old", "update Deployment tiller-deploy in namespace old"},
			[]string{"taken from Tiller: RoleBinding tiller-binding in namespace a -> Role tiller-manager", "taken from Tiller: RoleBinding tiller-binding in namespace old -> Role tiller-manager"}},
		{"kubergrunt", "secret",
			[]string{"update Deployment tiller-deploy in namespace old"},
			[]string{`Tiller no longer runs as service account "team-tiller" of namespace "old", which keeps the rights that it has: RoleBinding team-tiller-admin in namespace a -> ClusterRole admin`,
				"Tiller no longer uses TLS: only a port-forward reaches it; leave --tls out of helm's commands",
				"Tiller loses settings that a tenant's Tiller can't have: environment variable TILLER_TLS_CERTS, environment variable TILLER_TLS_ENABLE, environment variable TILLER_TLS_VERIFY, volume tiller-certs",
				"Tiller's image: gcr.io/kubernetes-helm/tiller:v2.11.0 becomes ghcr.io/helm/tiller:v2.17.0"}},
		{"magic-namespace", "configmap",
			[]string{"update Deployment tiller-deploy in namespace old"},
			[]string{`Tiller no longer runs as service account "magic-tiller" of namespace "old", which keeps the rights that it has: RoleBinding magic-tiller in namespace old -> ClusterRole admin`,
				"Tiller's image: gcr.io/kubernetes-helm/tiller:v2.9.1 becomes ghcr.io/helm/tiller:v2.17.0"}},
		{"helmsman", "secret",
			[]string{"delete Service tiller-deploy in namespace old", "update Deployment tiller-deploy in namespace old"},
			[]string{`Tiller no longer runs as service account "helmsman" of namespace "old", which keeps the rights that it has: RoleBinding helmsman-binding in namespace old -> Role helmsman-tiller`,
				"Tiller's image: gcr.io/kubernetes-helm/tiller:v2.11.0 becomes ghcr.io/helm/tiller:v2.17.0"}},
		{"helm-tiller-rbac", "configmap",
			[]string{"replace ServiceAccount tiller in namespace old", "update Deployment tiller-deploy in namespace old", "update RoleBinding tiller in namespace old"},
			[]string{"taken from Tiller, and left to its 1 other subject: RoleBinding tiller in namespace old -> Role tiller"}},
		{"stateful-set", "configmap",
			[]string{"delete StatefulSet releases in namespace old", "update ClusterRoleBinding platform"},
			[]string{`StatefulSet releases in namespace "old" goes: Deployment tiller-deploy takes its place`,
				"taken from Tiller, and left to its 2 other subjects: ClusterRoleBinding platform -> ClusterRole cluster-admin",
				`Tiller no longer runs as service account "deployer" of namespace "old", which keeps the rights that it has: ClusterRoleBinding platform -> ClusterRole cluster-admin`}},
		{"other-image", "secret",
			[]string{"delete Deployment helm-server in namespace old", "delete Service helm-server in namespace old", "replace ServiceAccount tiller in namespace old"},
			[]string{`Deployment helm-server in namespace "old" goes: Deployment tiller-deploy takes its place`,
				"Tiller loses settings that a tenant's Tiller can't have: environment variable STORAGE"}},
		{"variables", "secret",
			[]string{"delete Deployment releases in namespace old", "delete RoleBinding releases in namespace old", "delete Service releases in namespace old",
				"replace ServiceAccount tiller in namespace old", "update ClusterRoleBinding operators"},
			[]string{`Deployment releases in namespace "old" goes: Deployment tiller-deploy takes its place`,
				"taken from Tiller, and left to its 1 other subject: ClusterRoleBinding operators -> ClusterRole cluster-admin",
				"Tiller no longer uses TLS: only a port-forward reaches it; leave --tls out of helm's commands",
				"Tiller loses settings that a tenant's Tiller can't have: argument --tls-verify, environment variable DRIVER, environment variable KEEP, volume certs"}},
		{"daemon-set", "secret",
			[]string{"delete ClusterRoleBinding tiller-nodes", "delete DaemonSet releases in namespace old", "replace ServiceAccount tiller in namespace old"},
			[]string{`DaemonSet releases in namespace "old" goes: Deployment tiller-deploy takes its place`,
				"Tiller loses settings that a tenant's Tiller can't have: DNS settings, host network, tolerations",
				"taken from Tiller: ClusterRoleBinding tiller-nodes -> ClusterRole cluster-admin"}},
		{"bare-pod", "secret",
			[]string{"delete Pod tiller in namespace old", "delete RoleBinding tiller in namespace a", "replace ServiceAccount tiller in namespace old"},
			[]string{`Pod tiller in namespace "old" goes: Deployment tiller-deploy takes its place`,
				"Tiller no longer uses TLS: only a port-forward reaches it; leave --tls out of helm's commands",
				"Tiller loses settings that a tenant's Tiller can't have: argument --tls, argument --tls-cert, argument --tls-verify, volume certs",
				"taken from Tiller: RoleBinding tiller in namespace a -> ClusterRole admin"}},
		{"flags-elsewhere", "secret", // its records alone say it
			[]string{"delete RoleBinding tiller in namespace a", "delete Service tiller-deploy in namespace old", "replace Deployment tiller-deploy in namespace old", "replace ServiceAccount tiller in namespace old"},
			[]string{"Tiller loses settings that a tenant's Tiller can't have: container metrics, environment variable KEEP, environment variable STORAGE",
				"Tiller's history-max: what ConfigMap flags says becomes 6", "containers beside Tiller stop: metrics of Deployment tiller-deploy"}},
		{"sidecar", "configmap",
			[]string{"delete Deployment dashboard in namespace old", "delete RoleBinding dashboard in namespace a", "replace ServiceAccount tiller in namespace old"},
			[]string{`Deployment dashboard in namespace "old" goes: Deployment tiller-deploy takes its place`,
				"Tiller loses settings that a tenant's Tiller can't have: container dashboard", "containers beside Tiller stop: dashboard of Deployment dashboard"}},
	} {
		t.Run(test.recipe, func(t *testing.T) {
			objects := recipe(t, test.recipe)
			w := empty().with(objects...)
			w.records = map[tenant.Storage]int{test.storage: 3}
			request := requestFor(test.recipe)
			prepared, err := decide(w.facts(t, request), request)
			if err != nil {
				t.Fatal(err)
			}
			if prepared.Tenant.Tiller.Storage != test.storage {
				t.Errorf("the storage is %s", prepared.Tenant.Tiller.Storage)
			}
			var steps []string
			for _, step := range stepsOf(prepared.Plan) {
				step, _, _ = strings.Cut(step, ":")
				_, key, _ := strings.Cut(step, " ")
				for _, object := range inNamespaces(t, objects) {
					if object == key && !strings.HasPrefix(key, "Namespace") {
						steps = append(steps, step)
					}
				}
			}
			slices.Sort(steps)
			if diff := cmp.Diff(test.steps, steps); diff != "" {
				t.Errorf("steps: -want +got:\n%s", diff)
			}
			for _, note := range test.notes {
				if !slices.Contains(prepared.Notes, note) {
					t.Errorf("no note %q among\n%s", note, strings.Join(prepared.Notes, "\n"))
				}
			}
			// If its records are stored otherwise than its command line says, the error names
			// both.
			other := map[tenant.Storage]tenant.Storage{"secret": "configmap", "configmap": "secret"}[test.storage]
			w.records = map[tenant.Storage]int{other: 2}
			if test.recipe == "flags-elsewhere" {
				if prepared, err := decide(w.facts(t, request), request); err != nil || prepared.Tenant.Tiller.Storage != other {
					t.Errorf("with records of another storage: %v", err)
				}
				return
			}
			if got := w.decide(t, request).Err; !strings.Contains(got, "stores releases as "+string(test.storage)+"s, but the release records in namespace \"old\" are stored") {
				t.Errorf("with records of another storage: %s", got)
			}
			request.Tenant.Tiller.Storage = other
			if got := w.decide(t, request); got.Err != "" {
				t.Errorf("with the records' storage: %s", got.Err)
			}
		})
	}
}

// TestRecipeSettings: what init --adopt keeps of a Tiller's settings, however they are given.
func TestRecipeSettings(t *testing.T) {
	for _, test := range []struct {
		recipe, image, version string
		historyMax             int
		replicas               int32
		// warning is of the program, which the image may not have.
		warning string
	}{
		{"helm-init", "", "", 0, 1, ""},
		{"helmsman", "", "", 0, 1, ""},
		{"stateful-set", "registry.example/tiller", "v2.16.1", 0, 2, ""},
		{"other-image", "registry.example/platform/helm-server:1", "", 9, 1, ""},
		{"variables", "registry.example/platform/helm-server:7", "", 9, 3, "Tiller was started as /usr/local/bin/tiller in image registry.example/platform/helm-server:7, and a tenant's Tiller is started as /tiller"},
		{"daemon-set", "registry.example/tiller@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "", 3, 1, ""},
		{"bare-pod", "registry.example/mirror/helm-tiller", "v2.16.12", 0, 1, ""},
		{"flags-elsewhere", "registry.example/distroless/releases@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "", 6, 1, "Tiller was started as /app/tiller in image registry.example/distroless/releases@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, and a tenant's Tiller is started as /tiller"},
		{"sidecar", "", "", 4, 1, ""},
	} {
		request := requestFor(test.recipe)
		prepared, err := decide(empty().with(recipe(t, test.recipe)...).facts(t, request), request)
		if err != nil {
			t.Fatalf("%s: %v", test.recipe, err)
		}
		got := prepared.Tenant.Tiller
		if got.Image != test.image || got.Version != test.version || int(*got.HistoryMax) != test.historyMax || int32(*got.Replicas) != test.replicas {
			t.Errorf("%s: image %q, version %q, history %d, replicas %d", test.recipe, got.Image, got.Version, *got.HistoryMax, *got.Replicas)
		}
		if warnings := strings.Join(prepared.Warnings, "\n"); test.warning == "" && strings.Contains(warnings, "started as") || !strings.Contains(warnings, test.warning) {
			t.Errorf("%s: it warns of %q", test.recipe, warnings)
		}
	}
}

// TestOutsideObjects: releases with objects that the narrowed Tiller can't manage are named
// before it is narrowed.
func TestOutsideObjects(t *testing.T) {
	w := empty().with(recipe(t, "helm-init")...)
	role := migrate.Object{Resource: migrate.Resource{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: "reader"}}
	config := migrate.Object{Resource: migrate.Resource{APIVersion: "v1", Kind: "ConfigMap", Name: "shared"}}
	in := func(object migrate.Object, namespace string) migrate.Object {
		object.Namespace = namespace
		return object
	}
	for _, test := range []struct {
		name    string
		outside []outsideObject
		want    string
	}{
		{"a ClusterRole", []outsideObject{{migrate.Owner{Name: "web", Namespace: "a"}, role}}, "ClusterRole reader of release web"},
		{"in another's namespace", []outsideObject{{migrate.Owner{Name: "web", Namespace: "a"}, in(config, "z")}}, "ConfigMap shared in namespace z of release web"},
		{"in another namespace of the tenant's", []outsideObject{{migrate.Owner{Name: "web", Namespace: "a"}, in(config, "b")}}, ""},
		{"of a release that is outside itself", []outsideObject{{migrate.Owner{Name: "web", Namespace: "z"}, role}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.outside = test.outside
			want := ""
			if test.want != "" {
				want = "cluster-objects: releases hold objects outside the tenant's namespaces, which its Tiller could not upgrade or delete any more: " + test.want +
					"; take them out of the releases, or give these releases to an ops tenant of all namespaces"
			}
			if got := w.decide(t, asked(adopting, home("old"))); got.Err != want {
				t.Errorf("got %q", got.Err)
			}
			got := w.decide(t, asked(adopting, home("old"), accept(RiskClusterObjects)))
			if noted := slices.Contains(got.Notes, "its Tiller can't manage these objects of its releases: "+test.want); got.Err != "" || noted != (test.want != "") {
				t.Errorf("accepted: got %q, %q", got.Err, got.Notes)
			}
			if got := w.decide(t, asked(adopting, home("old"), everywhere, accept(RiskClusterWide))); got.Err != "" {
				t.Errorf("as a tenant of all namespaces: %s", got.Err)
			}
		})
	}
}

// inNamespaces returns the objects as they are reported.
func inNamespaces(t *testing.T, objects []runtime.Object) []string {
	t.Helper()
	var keys []string
	for _, key := range keysOf(objects) {
		keys = append(keys, key.String())
	}
	return keys
}

// TestTillersByWhatRuns: the list of tenants has every Tiller that init --adopt takes over,
// whatever it is called, and none that a member made in a namespace of the tenant's.
func TestTillersByWhatRuns(t *testing.T) {
	for _, name := range []string{"helm-init", "default-account", "helm-docs-two-namespaces", "kubergrunt", "magic-namespace", "helmsman", "helm-tiller-rbac", "stateful-set", "other-image", "variables", "daemon-set", "bare-pod", "flags-elsewhere", "sidecar"} {
		server, c := empty().with(recipe(t, name)...).start(t)
		write(t, c, asked())
		for _, object := range recipe(t, name) {
			switch o := object.(type) {
			case *appsv1.Deployment:
				o.Namespace = "a"
				server.Put(o)
			case *appsv1.StatefulSet:
				o.Namespace = "a"
				server.Put(o)
			case *appsv1.DaemonSet:
				o.Namespace = "a"
				server.Put(o)
			case *corev1.Pod:
				o.Namespace = "a"
				server.Put(o)
			}
		}
		found, err := TakeInventory(t.Context(), c)
		if err != nil || len(found.Unmanaged) != 1 || found.Unmanaged[0].Namespace != "old" || len(found.Unseen) > 0 {
			t.Errorf("%s: unmanaged are %v, %v", name, found.Unmanaged, err)
		}
		if len(found.Tenants) != 1 || found.Tenants[0].Tiller == nil || found.Tenants[0].Tiller.Version != "v2.17.0" {
			t.Errorf("%s: tenants are %v", name, found.Tenants)
		}
	}
}

// TestMigrateOtherStorage: records that the tenant's Tiller does not read are no reason to
// move nothing.
func TestMigrateOtherStorage(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked())
	secret := record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED)
	server.Put(&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: "t-tiller", Name: secret.Name, Labels: secret.Labels},
		Data: map[string]string{"release": string(secret.Data["release"])}})
	m, _ := migrating(t, c)
	server.Writes()
	want := `it can't move: the record of tenant "t" says that its Tiller stores releases as secrets, but the release records in namespace "t-tiller" are stored 0 as secrets, 1 as configmaps`
	if _, err := m.Begin(t.Context()); errorText(err) != want || len(server.Writes()) > 0 {
		t.Errorf("got %v", err)
	}
}

// TestAccountThatStays: the account of another name as which a Tiller ran before the adoption
// does not make its home a shared one; other pods or Secrets do.
func TestAccountThatStays(t *testing.T) {
	existing := empty().with(namespace("h")).after(t, asked(home("h")))
	for neighbour, shared := range map[string]bool{"ServiceAccount deployer": false, "Pod x": true, "Secret x": true} {
		existing.neighbours = map[string][]string{"h": {neighbour}}
		if got := existing.decide(t, asked(home("h"))); strings.HasPrefix(got.Err, "shared-home") != shared || !shared && len(got.Steps) > 0 {
			t.Errorf("%s: %q, %q", neighbour, got.Err, got.Steps)
		}
	}
	before := empty().with(namespace("h"))
	before.neighbours = map[string][]string{"h": {"ServiceAccount deployer"}}
	if got := before.decide(t, asked(home("h"))); !strings.HasPrefix(got.Err, "shared-home") {
		t.Errorf("a new tenant: %q", got.Err)
	}
}

// TestOwnerBesideAccountThatStays: a grant of an owner judges the home as init does.
func TestOwnerBesideAccountThatStays(t *testing.T) {
	for _, test := range []struct {
		neighbour runtime.Object
		shared    bool
	}{
		{serviceAccount("h", "deployer"), false},
		{&corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "h", Name: "x"}}, true},
	} {
		server, c := empty().with(namespace("h")).start(t)
		team := write(t, c, asked(home("h"))).Tenant
		server.Put(test.neighbour)
		_, err := Grant(t.Context(), c, team, GrantRequest{Who: tenant.Members{tenant.User("dana")}, As: tenant.RelationOwner}, false)
		risk, shared := errors.AsType[*RiskError](err)
		if shared != test.shared || shared && risk.Risk != RiskOwnerOfCluster || !shared && err != nil {
			t.Errorf("%s: %v", cluster.KeyOf(test.neighbour), err)
		}
	}
}

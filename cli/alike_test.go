package cli_test

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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
)

// remarks are the notes and warnings of a run, sorted. The dry run of apply prints the notes of
// a tenant below its name.
func remarks(got answered) []string {
	var found []string
	of := ""
	for line := range strings.Lines(got.stdout + got.stderr) {
		line = strings.TrimRight(line, "\n")
		if name, is := strings.CutPrefix(line, "tenant "); is {
			of, _, _ = strings.Cut(name, ":")
		}
		if note, is := strings.CutPrefix(line, "  ! "); is {
			line = "Note: tenant " + of + ": " + note
		}
		if strings.HasPrefix(line, "Note: ") || strings.HasPrefix(line, "Warning: ") {
			found = append(found, line)
		}
	}
	slices.Sort(found)
	return found
}

func meta(apiVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}

func namespaceNamed(name string) runtime.Object {
	return &corev1.Namespace{TypeMeta: meta("v1", "Namespace"), ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// refusedByTheGuard are objects of namespace a that the guard would refuse.
func refusedByTheGuard() []runtime.Object {
	return []runtime.Object{
		namespaceNamed("a"),
		&corev1.Service{TypeMeta: meta("v1", "Service"), ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web"}, Spec: corev1.ServiceSpec{ExternalIPs: []string{"192.0.2.1"}}},
		&rbacv1.RoleBinding{TypeMeta: meta("rbac.authorization.k8s.io/v1", "RoleBinding"), ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "guests"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"}}},
	}
}

// tillerByHand is a Tiller in a namespace as helm init makes it, whose account is an admin of
// the cluster.
func tillerByHand(namespace string) []runtime.Object {
	labels := map[string]string{"app": "helm", "name": "tiller"}
	deployment := &appsv1.Deployment{TypeMeta: meta("apps/v1", "Deployment"), ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tiller-deploy", Labels: labels}}
	deployment.Spec.Template.Labels = labels
	deployment.Spec.Template.Spec = corev1.PodSpec{ServiceAccountName: "tiller", Containers: []corev1.Container{{Name: "tiller", Image: "gcr.io/kubernetes-helm/tiller:v2.14.1",
		Env: []corev1.EnvVar{{Name: "TILLER_TLS_VERIFY", Value: "1"}}}}}
	return []runtime.Object{namespaceNamed(namespace), deployment,
		&corev1.ServiceAccount{TypeMeta: meta("v1", "ServiceAccount"), ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tiller"}},
		&rbacv1.ClusterRoleBinding{TypeMeta: meta("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), ObjectMeta: metav1.ObjectMeta{Name: "tiller"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "tiller"}}}}
}

// releaseOf is a release record of a Tiller, of which only the labels can be read.
func releaseOf(home string) runtime.Object {
	return &corev1.Secret{TypeMeta: meta("v1", "Secret"), ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: "web.v1",
		Labels: map[string]string{"NAME": "web", "OWNER": "TILLER", "STATUS": "DEPLOYED", "VERSION": "1"}}, Data: map[string][]byte{"release": []byte("x")}}
}

// alike is a command of which a dry run and the run are compared.
type alike struct {
	name    string
	holds   []runtime.Object
	before  []string
	command string
	file    string
	// says is a part of one of the notes.
	says string
}

// alikeCases each have a note or a warning, but for one.
func alikeCases() []alike {
	const created = "init t --create-namespaces --namespaces=a"
	file := "apiVersion: helm-tenant/v1\ntenants:\n- {name: t, namespaces: [a], quota: {services.nodeports: \"0\", pods: \"5\"}}\n"
	return []alike{
		{"init, objects that the guard refuses", refusedByTheGuard(), nil, "init t --namespaces=a", "", "the guard would refuse to create Service web"},
		{"init, adopting", slices.Concat(refusedByTheGuard(), tillerByHand("t-tiller")), nil, "init t --namespaces=a --adopt", "", "taken from Tiller: ClusterRoleBinding tiller"},
		{"init, adopting, the guard", slices.Concat(refusedByTheGuard(), tillerByHand("t-tiller")), nil, "init t --namespaces=a --adopt", "", "the guard would refuse to create RoleBinding guests"},
		{"init, not adopting", append(tillerByHand("old")[3:], namespaceNamed("old")), nil, "init t --namespaces=a --create-namespaces --home-namespace=old", "", "which --adopt removes"},
		{"init, a loose network", nil, []string{created + " --network=isolated"}, "init t --network=open", "", "no longer isolated"},
		{"init, the guard turned on", refusedByTheGuard(), []string{created + " --guard=off --accept-risk=no-guard"}, "init t --guard=enforce", "", "the guard would refuse"},
		{"init, a quota", nil, nil, created + " --quota=services.nodeports=0", "", "services.nodeports"},
		{"init, a namespace less", nil, []string{created + ",b"}, "init t --namespaces=b --prune", "", ""},
		{"init, a default namespace", nil, nil, "init t --namespaces=default --create-namespaces", "", `namespace "default"`},
		{"init, a system namespace", []runtime.Object{namespaceNamed("kube-system")}, nil, "init t --namespaces=kube-system --accept-risk=system-namespace", "", "gets no guard rails"},
		{"init, of the whole cluster", nil, nil, "init t --all-namespaces --accept-risk=cluster-wide", "", "no guard rails"},
		{"init, without cluster reads", refusedByTheGuard(), nil, "init t --namespaces=a --no-cluster-reads", "", "only the tenant's own namespaces were read"},
		{"init, without a record", refusedByTheGuard(), []string{"init t --namespaces=a", "remove record"}, "init t", "", "no record that can be read"},
		{"apply, objects that the guard refuses", refusedByTheGuard(), nil, "apply", file, "the guard would refuse to create Service web"},
		{"apply, unchanged", nil, []string{"apply --create-namespaces"}, "apply", file, "services.nodeports"},
		{"apply, adopting", slices.Concat(refusedByTheGuard(), tillerByHand("t-tiller")), nil, "apply --adopt", file[:len(file)-2] + ", tiller: {storage: configmap}}\n", "taken from Tiller"},
		{"apply, pruning", []runtime.Object{namespaceNamed("old"), releaseOf("old")}, []string{"init u --namespaces=b --create-namespaces --home-namespace=old --accept-risk=shared-home"},
			"apply --create-namespaces --prune --keep-releases --yes", file, "the release records stay in namespace old"},
		{"grant, a reader", nil, []string{"init t --namespaces=a --create-namespaces --engine=impersonation"}, "grant t --reader --user=eve --accept-risk=reads-secrets", "", "read every Secret"},
		{"revoke, with an account for Flux", nil, []string{"init t --namespaces=a --create-namespaces --engine=impersonation --flux-account=flux --user=eve"}, "revoke t --user=eve", "", "service account flux"},
		{"revoke, a group stays", nil, []string{created + " --user=eve --group=devs"}, "revoke t --user=eve", "", "everybody in these groups"},
		{"destroy, a home that stays", []runtime.Object{namespaceNamed("old"), releaseOf("old")}, []string{"init t --namespaces=b --create-namespaces --home-namespace=old --accept-risk=shared-home"},
			"destroy t --keep-releases --yes --wait=false", "", "the release records stay in namespace old"},
		{"freeze, without cluster reads", nil, []string{created}, "freeze t --reason=r --no-cluster-reads", "", "only the tenant's own namespaces are read"},
		{"thaw, without cluster reads", nil, []string{created, "freeze t --reason=r"}, "thaw t --no-cluster-reads", "", "only the tenant's own namespaces are read"},
		{"freeze, a home of another name", nil, []string{created + " --home-namespace=odd"}, "freeze t --reason=r --no-cluster-reads --home-namespace=odd", "", "only the tenant's own namespaces are read"},
		{"thaw, a home of another name", nil, []string{created + " --home-namespace=odd", "freeze t --reason=r"}, "thaw t --no-cluster-reads --home-namespace=odd", "", "only the tenant's own namespaces are read"},
		{"destroy, without cluster reads", nil, []string{created}, "destroy t --no-cluster-reads --yes --wait=false", "", "only the tenant's own namespaces are read"},
	}
}

// TestDryRunSaysWhatTheRunSays: each verb prints the same notes and warnings in a dry run and in
// the run, and each case below has some.
func TestDryRunSaysWhatTheRunSays(t *testing.T) {
	for _, test := range alikeCases() {
		t.Run(test.name, func(t *testing.T) {
			folder, err := os.MkdirTemp("", "alike") // t.TempDir would have the commas of the test's name, which separate files
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(folder) })
			t.Chdir(folder) // where apply --prune keeps release records
			server := clustertest.Start(t, append(test.holds,
				&rbacv1.ClusterRole{TypeMeta: meta("rbac.authorization.k8s.io/v1", "ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: "admin"}},
				&rbacv1.ClusterRole{TypeMeta: meta("rbac.authorization.k8s.io/v1", "ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: "cluster-admin"}})...)
			server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
				if r.Verb == "dry-run" && r.Kind == "Pod" { // as PodSecurity refuses a privileged one
					return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New(`violates PodSecurity "baseline:latest": privileged`))
				}
				return nil
			}
			path := filepath.Join(folder, "tenants.yaml")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			a := administrator{t, server, server.Kubeconfig()}
			words := func(command string) []string {
				args := strings.Fields(command)
				switch args[0] {
				case "apply":
					return append(args, "-f", path)
				case "init":
					return append(args, "--wait=false")
				case "destroy":
					return append(args, "--backup="+filepath.Join(t.TempDir(), "backup.yaml"))
				}
				return args
			}
			for _, command := range test.before {
				if command == "remove record" {
					server.Remove(cluster.Key{Kind: "ConfigMap", Namespace: "t-tiller", Name: "helm-tenant"})
					continue
				}
				a.runs(words(command)...)
			}
			server.Writes()
			planned := a.runs(append(words(test.command), "--dry-run")...)
			if wrote := server.Writes(); len(wrote) > 0 {
				t.Fatalf("the dry run writes %q", wrote)
			}
			done := a.runs(words(test.command)...)
			if diff := cmp.Diff(remarks(planned), remarks(done)); diff != "" {
				t.Errorf("notes of the dry run (-) and of the run (+):\n%s", diff)
			}
			if !strings.Contains(strings.Join(remarks(planned), "\n"), test.says) {
				t.Errorf("the dry run does not say %q:\n%s%s", test.says, planned.stdout, planned.stderr)
			}
		})
	}
}

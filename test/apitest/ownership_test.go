package apitest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/harness"
	"helm-tenant/test/records"
)

var ownershipResources = map[string]schema.GroupVersionResource{
	"ConfigMap":   {Version: "v1", Resource: "configmaps"},
	"Deployment":  {Group: "apps", Version: "v1", Resource: "deployments"},
	"ClusterRole": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
}

// object is an object of a release, in the words of a manifest.
type object struct{ kind, name, namespace, more string }

func (o object) yaml() string {
	text := map[string]string{"ConfigMap": "apiVersion: v1\n", "ClusterRole": "apiVersion: rbac.authorization.k8s.io/v1\n", "Nonsense": "apiVersion: example.com/v1\n",
		"Deployment": "apiVersion: apps/v1\nspec: {selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: x, image: x}]}}}\n"}[o.kind]
	text += "kind: " + o.kind + "\nmetadata:\n  name: " + o.name + "\n  labels: {app.kubernetes.io/managed-by: Tiller}\n"
	if o.namespace != "" {
		text += "  namespace: " + o.namespace + "\n"
	}
	return text + o.more
}

func manifestOf(objects ...object) string {
	var manifest strings.Builder
	for _, o := range objects {
		manifest.WriteString("\n---\n" + o.yaml())
	}
	return manifest.String()
}

// apply makes an object as a Tiller makes it.
func (w *world) apply(t *testing.T, namespace string, o object) {
	t.Helper()
	var u unstructured.Unstructured
	must(t, yaml.Unmarshal([]byte(o.yaml()), &u.Object))
	if o.kind == "ClusterRole" {
		_, err := w.dynamic.Resource(ownershipResources[o.kind]).Create(t.Context(), &u, metav1.CreateOptions{})
		must(t, err)
		t.Cleanup(func() {
			_ = w.root.RbacV1().ClusterRoles().Delete(context.Background(), o.name, metav1.DeleteOptions{})
		})
		return
	}
	if o.namespace != "" {
		namespace = o.namespace
	}
	_, err := w.dynamic.Resource(ownershipResources[o.kind]).Namespace(namespace).Create(t.Context(), &u, metav1.CreateOptions{})
	must(t, err)
}

// configMaps returns the names of the ConfigMaps of a namespace, without Kubernetes' own.
func (w *world) configMaps(t *testing.T, namespace string) []string {
	t.Helper()
	list, err := w.root.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	names := []string{}
	for _, m := range list.Items {
		if m.Name != "kube-root-ca.crt" {
			names = append(names, m.Name)
		}
	}
	return names
}

// disown takes from a ConfigMap what Helm 3 and 4 know it by.
func (w *world) disown(t *testing.T, namespace, name string) {
	t.Helper()
	patch := `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null},"annotations":{"meta.helm.sh/release-name":null,"meta.helm.sh/release-namespace":null}}}`
	_, err := w.root.CoreV1().ConfigMaps(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
}

// says fails the test unless stdout or stderr contain the words.
func says(t *testing.T, r harness.Result, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(r.Stdout+r.Stderr, word) {
			t.Errorf("%q is not said: %v", word, r)
		}
	}
}

// TestMigrateStampsOwnership: Helm 4 deletes a Tiller's objects after the migration is
// finished, and not before.
func TestMigrateStampsOwnership(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	keep := "  annotations: {helm.sh/resource-policy: keep}\n"
	deployed := []object{{"ConfigMap", "web", "", ""}, {"Deployment", "web", "", ""}, {"ConfigMap", "far", team.b, ""}, {"ConfigMap", "kept", "", keep}}
	odd := []object{
		{"ConfigMap", "others", "", "  annotations: {meta.helm.sh/release-name: theirs, meta.helm.sh/release-namespace: far-away}\n"},
		{"ClusterRole", team.name + "-role", "", ""}}
	missing := []object{{"ConfigMap", "missing", "", ""}, {"Nonsense", "old", "", ""}}
	for _, o := range append(append([]object{{"ConfigMap", "control", team.b, ""}}, deployed...), odd...) {
		w.apply(t, team.a, o)
	}
	w.stored(t, team,
		records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "SUPERSEDED", Manifest: manifestOf(object{"ConfigMap", "long-gone", "", ""})},
		records.Release{Name: "web", Namespace: team.a, Revision: 2, Status: "DEPLOYED", Manifest: manifestOf(deployed...)},
		records.Release{Name: "odd", Namespace: team.a, Revision: 1, Status: "DEPLOYED", Manifest: manifestOf(append(odd, missing...)...)},
		records.Release{Name: "control", Namespace: team.b, Revision: 1, Status: "DEPLOYED", Manifest: manifestOf(object{"ConfigMap", "control", "", ""})})
	before, err := w.root.AppsV1().Deployments(team.a).Get(t.Context(), "web", metav1.GetOptions{})
	must(t, err)
	admin := w.admin(t)
	admin.env = append(admin.env, "HELM_BIN="+w.Bin("helm4"))
	admin.must(t, "migrate", team.name, "--backup", backupFile(t))

	// The control: without the ownership Helm 4 leaves the object.
	w.helmOf(t, "helm4", "uninstall", "control", "--namespace", team.b)
	same(t, "objects", []string{"control", "far"}, w.configMaps(t, team.b))

	admin.requests(t)
	finish := []string{"migrate", team.name, "--finish", "--yes", "--accept-risk", "missing-releases"}
	stamped := []string{"ConfigMap web in namespace " + team.a, "Deployment web in namespace " + team.a, "ConfigMap far in namespace " + team.b, "ConfigMap kept in namespace " + team.a}
	r := admin.must(t, append(finish, "--dry-run")...)
	for _, what := range stamped {
		says(t, r, "would be stamped: "+what+" of release web\n")
	}
	admin.wroteNothing(t)
	r = admin.must(t, append(finish, "--backup", backupFile(t))...)
	for _, what := range stamped {
		says(t, r, "stamped  "+what+" of release web\n")
	}
	says(t, r, "ConfigMap missing in namespace "+team.a+" of release odd is gone",
		"ConfigMap others in namespace "+team.a+" of release odd is not stamped: it belongs to release theirs in namespace far-away",
		"ClusterRole "+team.name+"-role of release odd is not stamped: ", "is forbidden",
		"Nonsense old in namespace "+team.a+" of release odd is not stamped: this API server does not serve the kind in example.com/v1",
		"helm uninstall leaves objects named above (3)", "helm tenant migrate "+team.name+" --stamp")
	after, err := w.root.AppsV1().Deployments(team.a).Get(t.Context(), "web", metav1.GetOptions{})
	must(t, err)
	same(t, "the pod template", before.Spec.Template, after.Spec.Template)
	eventually(t, "the Deployment observed", func() error {
		now, err := w.root.AppsV1().Deployments(team.a).Get(t.Context(), "web", metav1.GetOptions{})
		if err == nil && now.Status.ObservedGeneration < after.Generation {
			err = fmt.Errorf("generation %d is observed, not %d", now.Status.ObservedGeneration, after.Generation)
		}
		return err
	})
	sets, err := w.root.AppsV1().ReplicaSets(team.a).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	same(t, "ReplicaSets", 1, len(sets.Items)) // a rollout would have made a second

	admin.requests(t)
	r = admin.fails(t, 3, []string{"helm uninstall leaves 3 objects"}, "migrate", team.name, "--stamp")
	if strings.Contains(r.Stderr, "stamped  ") {
		t.Errorf("what names its release is stamped again: %v", r)
	}
	w.helmOf(t, "helm4", "uninstall", "web", "--namespace", team.a)
	same(t, "objects", [][]string{{"kept", "others"}, {"control"}}, [][]string{w.configMaps(t, team.a), w.configMaps(t, team.b)})
	if _, err := w.root.AppsV1().Deployments(team.a).Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Deployment is there: %v", err)
	}
}

// impersonating makes a tenant of Helm 4 with a release web, and returns its admin.
func (w *world) impersonating(t *testing.T, team team) *user {
	t.Helper()
	w.makeTenant(t, team, "--engine", "impersonation")
	w.helmOf(t, "helm4", "install", "web", hello(), "--namespace", team.a)
	admin := w.admin(t)
	admin.env = append(admin.env, "HELM_BIN="+w.Bin("helm4"))
	return admin
}

// TestStampOfAFinishedTenant mends what an earlier helm-tenant left.
func TestStampOfAFinishedTenant(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.impersonating(t, team)
	w.disown(t, team.a, "web")
	admin.requests(t)
	says(t, admin.must(t, "migrate", team.name, "--stamp", "--dry-run"), "would be stamped: ConfigMap web in namespace "+team.a+" of release web\n")
	admin.wroteNothing(t)
	says(t, admin.must(t, "migrate", team.name, "--stamp"), "stamped  ConfigMap web in namespace "+team.a+" of release web\n", "the objects of 1 release of tenant "+team.name+" name their release\n")
	if r := admin.must(t, "migrate", team.name, "--stamp"); strings.Contains(r.Stderr, "stamped") {
		t.Errorf("it is stamped twice: %v", r)
	}
	w.helmOf(t, "helm4", "uninstall", "web", "--namespace", team.a)
	same(t, "objects", []string{}, w.configMaps(t, team.a))

	reader := w.newUser(t, "reader")
	w.allow(t, reader, "", append(readsAll, rule("", "secrets", "get"))...)
	w.helmOf(t, "helm4", "install", "web", hello(), "--namespace", team.a)
	reader.fails(t, 1, []string{"you lack ", "impersonate serviceaccounts/helm in namespace " + team.name + "-helm"}, "migrate", team.name, "--stamp")
	admin.fails(t, 2, []string{"--stamp is for a tenant that is not being migrated"}, "migrate", team.name, "--stamp", "--finish")
	tiller := newTeam()
	w.makeTenant(t, tiller)
	admin.fails(t, 1, []string{"it has the engine tiller, and so no releases of Helm 3 or 4", "helm tenant migrate " + tiller.name}, "migrate", tiller.name, "--stamp")
}

// TestDestroyReportsRemainingObjects: what helm left is named, and its warnings are shown.
func TestDestroyReportsRemainingObjects(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		name  string
		make  func(t *testing.T, made team)
		code  int
		words []string
		stays []string
	}{
		{"nothing stays", func(*testing.T, team) {}, 0, nil, []string{}},
		{"an object without the ownership", func(t *testing.T, made team) { w.disown(t, made.a, "web") }, 3, []string{
			"helm left an object of its releases: ConfigMap web in namespace NAME-a of release web", "helm: ", "skipping delete of resource not owned by this release"}, []string{"web"}},
		{"an object of another release", func(t *testing.T, made team) {
			patch := `{"metadata":{"annotations":{"meta.helm.sh/release-name":"theirs"}}}`
			_, err := w.root.CoreV1().ConfigMaps(made.a).Patch(t.Context(), "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			must(t, err)
		}, 0, []string{"Note: ConfigMap web in namespace NAME-a of release web stays: it belongs to release theirs in namespace NAME-a"}, []string{"web"}},
		{"an object that goes later", func(t *testing.T, made team) {
			patch := `{"metadata":{"finalizers":["example.com/slow"]}}`
			_, err := w.root.CoreV1().ConfigMaps(made.a).Patch(t.Context(), "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			must(t, err)
			t.Cleanup(func() {
				_, _ = w.root.CoreV1().ConfigMaps(made.a).Patch(context.Background(), "web", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			})
		}, 0, nil, []string{"web"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			team := newTeam()
			admin := w.impersonating(t, team)
			c.make(t, team)
			r := admin.run(t, "destroy", team.name, "--delete-releases", "--yes", "--wait=false", "--backup", backupFile(t))
			if r.Code != c.code {
				t.Errorf("exit code %d, not %d: %v", r.Code, c.code, r)
			}
			says(t, r, "deleted  release web", "tenant "+team.name+" is gone")
			for _, word := range c.words {
				says(t, r, strings.ReplaceAll(word, "NAME", team.name))
			}
			same(t, "objects", c.stays, w.configMaps(t, team.a))
		})
	}
}

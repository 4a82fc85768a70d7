package attack

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/test/harness"
)

// possessions are what every tenant has to lose: an object, a release record, and something
// that runs.
func possessions(target *ground) []*unstructured.Unstructured {
	record := "apiVersion: v1\nkind: Secret\ntype: helm.sh/release.v1\nmetadata: {name: sh.helm.release.v1.shop.v1, namespace: $NS, labels: {owner: helm, name: shop, status: deployed, version: '1'}}\nstringData: {release: x}\n"
	if target.account == "tiller" {
		record = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop.v1, namespace: $HOME, labels: {OWNER: TILLER, NAME: shop, STATUS: DEPLOYED, VERSION: '1'}}\nstringData: {release: x}\n"
	}
	var objects []*unstructured.Unstructured
	for _, text := range []string{
		podManifest("$NS", "shop", "\n  nodeSelector: {none: such}", pauseImage, "serve", ":65000"),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop, namespace: $NS}\ndata: {a: b}\n",
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: bot, namespace: $NS}\n",
		record,
		strings.Replace(controller("apps/v1", "Deployment", "", ""), "{name: $ID}", "{name: shop, namespace: $NS}", 1),
	} {
		object, err := parse(strings.NewReplacer("$NS", target.namespace, "$HOME", target.home, "$ID", "shop").Replace(text))
		if err != nil {
			panic(err)
		}
		objects = append(objects, object)
	}
	return objects
}

// live returns the objects of the tenant that an attack may change, by kind, namespace and name.
func (p *people) live(t *testing.T, target *ground) map[string]*unstructured.Unstructured {
	t.Helper()
	objects := map[string]*unstructured.Unstructured{}
	for namespace, kinds := range map[string][]string{
		target.home:      {"RoleBinding", "Role", "ConfigMap", "Secret", "ServiceAccount"},
		target.namespace: {"RoleBinding", "ConfigMap", "Secret", "ServiceAccount", "Deployment", "Pod"},
	} {
		for _, kind := range kinds {
			list, err := p.dynamic.Resource(resources[kind]).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, object := range list.Items {
				if strings.HasPrefix(object.GetName(), "tiller-deploy") || object.GetName() == "kube-root-ca.crt" {
					continue // controllers write them
				}
				objects[kind+" "+namespace+"/"+object.GetName()] = &list.Items[i]
			}
		}
	}
	return objects
}

// remember stores the state of the tenants before a theme's attacks.
func (p *people) remember(t *testing.T, grounds []pair) {
	t.Helper()
	for _, pair := range grounds {
		for _, target := range []*ground{&pair.ours, &pair.control} {
			p.before[target.tenant] = p.live(t, target)
		}
	}
}

// written returns an object without what the API server and controllers write.
func written(object *unstructured.Unstructured) []byte {
	plain := object.DeepCopy()
	delete(plain.Object, "status")
	for _, field := range []string{"resourceVersion", "uid", "managedFields", "creationTimestamp", "generation", "selfLink"} {
		unstructured.RemoveNestedField(plain.Object, "metadata", field)
	}
	annotations := plain.GetAnnotations()
	delete(annotations, "deployment.kubernetes.io/revision")
	plain.SetAnnotations(annotations)
	text, err := plain.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return text
}

// changed returns the objects that differ from the state before the theme's attacks.
func (p *people) changed(t *testing.T, target *ground) []string {
	t.Helper()
	var changed []string
	before, current := p.before[target.tenant], p.live(t, target)
	for key, object := range before {
		if current[key] == nil || current[key].GetUID() != object.GetUID() || current[key].GetDeletionTimestamp() != nil || !bytes.Equal(written(current[key]), written(object)) {
			changed = append(changed, key)
		}
	}
	for key := range current {
		if before[key] == nil {
			changed = append(changed, key)
		}
	}
	slices.Sort(changed)
	return changed
}

// restore restores the state before the theme's attacks.
func (p *people) restore(t *testing.T, target *ground) {
	t.Helper()
	for _, key := range p.changed(t, target) {
		kind, where, _ := strings.Cut(key, " ")
		namespace, name, _ := strings.Cut(where, "/")
		api := p.dynamic.Resource(resources[kind]).Namespace(namespace)
		if err := harness.Await(t.Context(), key+" to be as it was", func(ctx context.Context) (bool, error) {
			live, err := api.Get(ctx, name, metav1.GetOptions{})
			if err == nil && len(live.GetFinalizers()) > 0 {
				live.SetFinalizers(nil)
				if _, err := api.Update(ctx, live, metav1.UpdateOptions{}); err != nil {
					return false, err
				}
			}
			if err := api.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), PropagationPolicy: new(metav1.DeletePropagationBackground)}); err != nil && !apierrors.IsNotFound(err) {
				return false, err
			}
			was := p.before[target.tenant][key]
			if was == nil {
				return true, nil
			}
			second := &unstructured.Unstructured{}
			if err := second.UnmarshalJSON(written(was)); err != nil {
				return false, err
			}
			created, err := api.Create(ctx, second, metav1.CreateOptions{})
			if err == nil {
				p.before[target.tenant][key] = created
			}
			return err == nil, err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// compareTable compares the table of that name in docs/security.md with the results of the
// attacks, and writes it if a file is named.
func compareTable(t *testing.T, name, table string) {
	t.Helper()
	if file := tableFile(); file != "" {
		ext := filepath.Ext(file)
		if err := os.WriteFile(strings.TrimSuffix(file, ext)+"-"+name+ext, []byte(table), 0o644); err != nil {
			t.Error(err)
		}
		return
	}
	docs, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(docs), "<!-- attacks "+name+" -->\n")
	if current, _, found := strings.Cut(rest, "<!-- /attacks "+name+" -->"); !found || strings.TrimSpace(current) != strings.TrimSpace(table) {
		t.Errorf("docs/security.md has between <!-- attacks %s --> another table than:\n%s", name, table)
	}
}

package faults

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// observed are the kinds of objects that helm-tenant writes, or that it must
// leave alone.
var observed = []schema.GroupVersionResource{
	{Version: "v1", Resource: "namespaces"},
	{Version: "v1", Resource: "pods"},
	{Version: "v1", Resource: "serviceaccounts"},
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "services"},
	{Version: "v1", Resource: "resourcequotas"},
	{Version: "v1", Resource: "limitranges"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
}

// state has the objects of one name as JSON, with NAME for the name and without fields that the
// API server and its controllers add.
type state map[string]string

// states reads the objects of the cluster, by the name of that length at the beginning of a
// namespace's name. It only reads names with the prefix.
func (w *world) states(ctx context.Context, prefix string, length int) (map[string]state, error) {
	all := map[string]state{}
	for _, resource := range observed {
		list, err := w.dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			o := &list.Items[i]
			in := o.GetNamespace()
			if in == "" {
				in = o.GetName()
			}
			in = strings.TrimPrefix(in, "helm-tenant.") // a binding in the cluster
			if !strings.HasPrefix(in, prefix) || len(in) < length || isKubernetes(o) {
				continue
			}
			name := in[:length]
			key, text, err := normal(o, name)
			if err != nil {
				return nil, err
			}
			if all[name] == nil {
				all[name] = state{}
			}
			all[name][key] = text
		}
	}
	return all, nil
}

var ends = regexp.MustCompile(`"until":"[^"]*"`)

var since = regexp.MustCompile(`"since":"[^"]*"`)

// backedUpAt ends the name of a backup that nobody named.
var backedUpAt = regexp.MustCompile(`-[0-9]{8}-[0-9]{6}\.yaml`)

// frozenSince is when a tenant was frozen, in its record.
var frozenSince = regexp.MustCompile(`since: .*`)

// digests matches the digests of the records that a split copied, which include their
// namespace.
var digests = regexp.MustCompile(`"[0-9a-f]{64}"`)

// unzipped returns the content of a release record of any helm: base64 in a ConfigMap, and
// twice in a Secret.
func unzipped(text string) (string, error) {
	data := []byte(text)
	for !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		plain, err := base64.StdEncoding.DecodeString(string(data))
		if err != nil {
			return "", err
		}
		data = plain
	}
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	plain, err := io.ReadAll(reader)
	return string(plain), err
}

// isKubernetes reports whether Kubernetes puts such an object into each namespace, or makes
// it of a Deployment.
func isKubernetes(o *unstructured.Unstructured) bool {
	if o.GetKind() == "Pod" && strings.HasPrefix(o.GetName(), "tiller-deploy-") {
		return true
	}
	return o.GetKind() == "ServiceAccount" && o.GetName() == "default" || o.GetKind() == "ConfigMap" && o.GetName() == "kube-root-ca.crt"
}

// normal returns an object without what is new each time.
func normal(o *unstructured.Unstructured, name string) (key, text string, err error) {
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations", "deployment.kubernetes.io/revision")
	// When the pods were made again, as those of an adopted Tiller are.
	template := []string{"spec", "template", "metadata", "annotations"}
	unstructured.RemoveNestedField(o.Object, append(template, "kubectl.kubernetes.io/restartedAt")...)
	if rest, found, _ := unstructured.NestedMap(o.Object, template...); found && len(rest) == 0 {
		unstructured.RemoveNestedField(o.Object, template...)
	}
	if o.GetKind() == "Service" {
		unstructured.RemoveNestedField(o.Object, "spec", "clusterIP")
		unstructured.RemoveNestedField(o.Object, "spec", "clusterIPs")
	}
	if m := o.GetAnnotations()["helm-tenant/temporary"]; m != "" {
		unstructured.SetNestedField(o.Object, ends.ReplaceAllString(m, `"until":""`), "metadata", "annotations", "helm-tenant/temporary")
	}
	if m := o.GetAnnotations()["helm-tenant/migration"]; m != "" {
		m = backedUpAt.ReplaceAllString(since.ReplaceAllString(m, `"since":""`), "-TIME.yaml")
		unstructured.SetNestedField(o.Object, m, "metadata", "annotations", "helm-tenant/migration")
	}
	if text, found, _ := unstructured.NestedString(o.Object, "data", "tenant.yaml"); found {
		unstructured.SetNestedField(o.Object, frozenSince.ReplaceAllString(text, "since: THEN"), "data", "tenant.yaml")
	}
	if text, found, _ := unstructured.NestedString(o.Object, "data", "split.json"); found {
		text = digests.ReplaceAllString(since.ReplaceAllString(text, `"since":""`), `"DIGEST"`)
		unstructured.SetNestedField(o.Object, text, "data", "split.json")
	}
	if text, found, _ := unstructured.NestedString(o.Object, "data", "release"); found {
		// A name within it makes other words of the whole.
		if plain, err := unzipped(text); err == nil {
			unstructured.SetNestedField(o.Object, plain, "data", "release")
		}
	}
	if len(o.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	}
	if o.GetDeletionTimestamp() == nil {
		delete(o.Object, "status")
	}
	if subjects, found, _ := unstructured.NestedSlice(o.Object, "subjects"); found {
		// Their order means nothing.
		slices.SortFunc(subjects, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		o.Object["subjects"] = subjects
	}
	plain, err := json.MarshalIndent(o.Object, "    ", " ")
	insert := func(s string) string { return strings.ReplaceAll(s, name, "NAME") }
	return insert(fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())), insert(string(plain)), err
}

// differs says in what a state is not the wanted one.
func (current state) differs(want state) error {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		switch text, found := current[key]; {
		case !found:
			lines = append(lines, "lacks "+key)
		case text != want[key]:
			lines = append(lines, fmt.Sprintf("%s is\n    %s\n  and should be\n    %s", key, text, want[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(current)) {
		if _, found := want[key]; !found {
			lines = append(lines, "has "+key+", which should not be there")
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("state:\n  %s", strings.Join(lines, "\n  "))
}

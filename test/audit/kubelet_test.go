package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// nodeStatus writes the address of some-node, which is not there.
func nodeStatus(verb string) try {
	return func(ctx context.Context, a *actor) error {
		if verb == "update" {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "some-node"}, Status: statusAt("192.0.2.1", 10250)}
			return create(a.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{DryRun: dry.DryRun}))
		}
		return create(a.CoreV1().Nodes().Patch(ctx, "some-node", types.MergePatchType, []byte(`{"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":443}}}}`), dryPatch, "status"))
	}
}

// nodeAnew deletes some-node, which is not there, and makes another with an address of one's own.
func nodeAnew(ctx context.Context, a *actor) error {
	if err := a.CoreV1().Nodes().Delete(ctx, "some-node", metav1.DeleteOptions{DryRun: dry.DryRun}); !apierrors.IsNotFound(err) {
		return err
	}
	node, err := a.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"}, Status: statusAt("192.0.2.1", 443)}, dry)
	if err == nil && node.Status.DaemonEndpoints.KubeletEndpoint.Port != 443 {
		return apierrors.NewForbidden(corev1.Resource("nodes"), node.Name, fmt.Errorf("the status is %v", node.Status))
	}
	return err
}

func statusAt(address string, port int32) corev1.NodeStatus {
	return corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: port}}}
}

// TestKubeletIsReplaced goes the path replace-kubelet to its end: a port-forward of somebody
// else's arrives at the outsider's host, without a credential of theirs.
func TestKubeletIsReplaced(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	ctx := t.Context()
	arrived := make(chan *http.Request, 10)
	host := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r }))
	defer host.Close()
	must(t, create(w.root.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "some-node"}, Status: statusAt("192.0.2.1", 10250)}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(w.root.CoreV1().Nodes().Delete(context.Background(), "some-node", metav1.DeleteOptions{}))
	})
	spec := restricted("default")
	spec.NodeName = "some-node"
	must(t, create(w.root.CoreV1().Pods("outside").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "runs"}, Spec: spec}, metav1.CreateOptions{})))
	now := int64(0)
	p.later(func() {
		p.gone(w.root.CoreV1().Pods("outside").Delete(context.Background(), "runs", metav1.DeleteOptions{GracePeriodSeconds: &now}))
	})
	p.grant("outside", "forward", []string{"create pods/portforward"}, "user amy")
	p.grant("", "kubelet", []string{"patch nodes/status some-node"}, "user outsider")
	w.settle(t)
	p.same(w.audit(t).Findings, []string{"HT083  user outsider"})

	config := w.Config(t, "outsider")
	_, port, err := net.SplitHostPort(host.Listener.Addr().String())
	must(t, err)
	body := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":%s}}}}`, port)
	must(t, create(kubernetes.NewForConfigOrDie(config).CoreV1().Nodes().Patch(ctx, "some-node", types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status")))
	config, err = w.RESTConfig("amy")
	must(t, err)
	config.NextProtos = []string{"http/1.1"} // HTTP/2 upgrades no connection
	var forwarded *http.Request
	p.await("a port-forward at the outsider's host", func() bool {
		err := kubernetes.NewForConfigOrDie(config).CoreV1().RESTClient().Post().Namespace("outside").Resource("pods").Name("runs").SubResource("portforward").
			SetHeader("Connection", "Upgrade").SetHeader("Upgrade", "SPDY/3.1").Do(ctx).Error()
		select {
		case forwarded = <-arrived:
			return true
		default:
			t.Logf("the port-forward: %v", err)
			return false
		}
	})
	if !strings.Contains(forwarded.URL.Path, "/portForward/outside/runs") || forwarded.Header.Get("Authorization") != "" {
		t.Errorf("at %s arrived %v", forwarded.URL, forwarded.Header)
	}
	p.fix(w.audit(t).Findings)
}

// kustomizations is the definition of a kind that Flux carries out, as far as it matters here.
const kustomizations = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"kustomizations.kustomize.toolkit.fluxcd.io",
	"annotations":{"api-approved.kubernetes.io":"unapproved"}},"spec":{"group":"kustomize.toolkit.fluxcd.io","scope":"Namespaced",
	"names":{"kind":"Kustomization","listKind":"KustomizationList","plural":"kustomizations","singular":"kustomization"},
	"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object",
	"properties":{"path":{"type":"string"},"targetNamespace":{"type":"string"}}}}}}}]}}`

// TestDefinitionIsChanged goes the path change-definition: an object that is there says
// something else, and nobody wrote it.
func TestDefinitionIsChanged(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	ctx := t.Context()
	client := w.root.CoreV1().RESTClient()
	const crds, object = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/outside/kustomizations"
	must(t, client.Post().AbsPath(crds).Body([]byte(kustomizations)).Do(ctx).Error())
	p.later(func() {
		p.delete(crds + "/kustomizations.kustomize.toolkit.fluxcd.io")
		p.await("the end of the kind", func() bool {
			groups, err := w.root.ServerGroups()
			return err == nil && !slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == "kustomize.toolkit.fluxcd.io" })
		})
	})
	p.await("the kind", func() bool {
		err := client.Post().AbsPath(object).Body([]byte(`{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization","metadata":{"name":"apps"},"spec":{"path":"./apps"}}`)).Do(ctx).Error()
		return err == nil || apierrors.IsAlreadyExists(err)
	})
	p.same(w.audit(t).Findings, nil)
	p.grant("", "definitions", []string{"patch apiextensions.k8s.io:customresourcedefinitions"}, "user outsider")
	w.settle(t)
	p.same(w.audit(t).Findings, []string{"HT079  user outsider"})
	if lines := p.stillIn("gamma", "outsider"); !slices.Equal(lines, []string{"change-definition"}) {
		t.Errorf("revoke says %q", lines)
	}
	config := w.Config(t, "outsider")
	outsider := kubernetes.NewForConfigOrDie(config).CoreV1().RESTClient()
	if err := outsider.Get().AbsPath(object, "apps").Do(ctx).Error(); !apierrors.IsForbidden(err) {
		t.Errorf("the outsider reads the object: %v", err)
	}
	patch := `[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/targetNamespace/default","value":"kube-system"}]`
	must(t, outsider.Patch(types.JSONPatchType).AbsPath(crds, "kustomizations.kustomize.toolkit.fluxcd.io").Body([]byte(patch)).Do(ctx).Error())
	p.await("another object", func() bool {
		text, err := client.Get().AbsPath(object, "apps").DoRaw(ctx)
		must(t, err)
		var output struct {
			Spec struct {
				Path            string `json:"path"`
				TargetNamespace string `json:"targetNamespace"`
			} `json:"spec"`
		}
		must(t, json.Unmarshal(text, &output))
		return output.Spec.Path == "./apps" && output.Spec.TargetNamespace == "kube-system"
	})
	p.fix(w.audit(t).Findings)
}

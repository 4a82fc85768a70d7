package apitest

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// TestTheGuardOfStatus: nobody in a tenant's namespace can set the addresses of a load
// balancer. The roles admin and edit have no right to a status. For a subject that has it by
// another role, the guard refuses addresses in the status of a Service, by which kube-proxy
// takes over traffic, and not in that of an Ingress, which a controller of the tenant's own may
// have to write.
func TestTheGuardOfStatus(t *testing.T) {
	t.Parallel()
	w, team, actors := guardedTeam(t)
	ctx, root := t.Context(), w.as(t, "")
	const addresses = `{"status":{"loadBalancer":{"ingress":[{"ip":"10.96.0.1"}]}}}`
	objects := map[string]string{"Service": fmt.Sprintf(serves, "type: LoadBalancer"), "Ingress": ingress("", "host: x.team.example.com, ")}
	set := func(who, kind string) error {
		client := root
		if who != "" {
			client = actors[who]
		}
		_, err := client.Resource(guarded[kind]).Namespace(team.a).Patch(ctx, "x", types.MergePatchType, []byte(addresses), metav1.PatchOptions{DryRun: []string{"All"}}, "status")
		return err
	}
	for kind, text := range objects {
		_, err := root.Resource(guarded[kind]).Namespace(team.a).Create(ctx, parsed(t, team, text), metav1.CreateOptions{})
		must(t, err)
		for who := range actors {
			if err := set(who, kind); !apierrors.IsForbidden(err) {
				t.Errorf("%s, status of a %s: %v", who, kind, err)
			}
			live, err := actors[who].Resource(guarded[kind]).Namespace(team.a).Patch(ctx, "x", types.MergePatchType, []byte(addresses), metav1.PatchOptions{})
			must(t, err)
			if status, _, _ := unstructured.NestedSlice(live.Object, "status", "loadBalancer", "ingress"); status != nil {
				t.Errorf("%s set the status of a %s by the object: %v", who, kind, status)
			}
		}
		if err := set("", kind); err != nil {
			t.Errorf("an admin, status of a %s: %v", kind, err)
		}
	}
	w.role(t, team.a, "statuses", rule("", "services/status", "patch", "update"), rule("networking.k8s.io", "ingresses/status", "patch", "update"))
	w.bind(t, team.a, "statuses", "Role", "statuses", rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.home, Name: "tiller"})
	eventually(t, "the right to a status", func() error { return set("deployer", "Ingress") })
	if err := byGuard(set("deployer", "Service"), "services"); err != nil {
		t.Error(err)
	}
}

package apitest

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// TestTheGuardOfRoles: a Role that an admin's binding gives to outsiders gets no more
// rules from the tenant, neither by an update nor by being made again; others do.
func TestTheGuardOfRoles(t *testing.T) {
	t.Parallel()
	w, team, actors := guardedTeam(t)
	ctx, root := t.Context(), w.as(t, "")
	roles := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
	const shape = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: %s, labels: {%s}}, rules: [%s]}"
	const reads, lists = "{apiGroups: [''], resources: [configmaps], verbs: [get]}", "{apiGroups: [''], resources: [configmaps], verbs: [list]}"
	const wider = "{apiGroups: [''], resources: [configmaps], verbs: [get, list]}"
	for name, subject := range map[string]string{
		"given": "{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}", "own": "{kind: ServiceAccount, namespace: OWN, name: d}",
		"gone": "{kind: ServiceAccount, namespace: default, name: d}", "mixed": "{kind: ServiceAccount, namespace: NS, name: d}, {kind: Group, apiGroup: rbac.authorization.k8s.io, name: eves}",
	} {
		binding := parsed(t, team, fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: %[1]s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}, subjects: [%[2]s]}", name, subject))
		if _, err := root.Resource(guarded["RoleBinding"]).Namespace(team.a).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if name == "gone" {
			continue // its Role is not there
		}
		if _, err := root.Resource(roles).Namespace(team.a).Create(ctx, parsed(t, team, fmt.Sprintf(shape, name, "", reads+", "+lists)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	wanted := func(client dynamic.Interface, name, labels, rules string) error {
		object := parsed(t, team, fmt.Sprintf(shape, name, labels, rules))
		api := client.Resource(roles).Namespace(team.a)
		live, err := root.Resource(roles).Namespace(team.a).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			_, err = api.Create(ctx, object, metav1.CreateOptions{DryRun: []string{"All"}})
			return err
		}
		object.SetResourceVersion(live.GetResourceVersion())
		_, err = api.Update(ctx, object, metav1.UpdateOptions{DryRun: []string{"All"}})
		return err
	}
	// The API server knows the bindings a moment after they were made.
	for _, name := range []string{"given", "gone", "mixed"} {
		eventually(t, "the binding "+name, func() error { return byGuard(wanted(actors["person"], name, "", wider), "roles") })
	}
	for _, test := range []struct {
		what, name, labels, rules string
		refused                   bool
	}{
		{"a rule more", "given", "", reads + ", " + lists + ", {apiGroups: [''], resources: [secrets], verbs: [get]}", true},
		{"a verb more", "given", "", wider + ", " + lists, true},
		{"the same", "given", "a: b", reads + ", " + lists, false},
		{"in another order", "given", "", lists + ", " + reads, false},
		{"fewer", "given", "", reads, false},
		{"none", "given", "", "", false},
		{"one of several subjects is an outsider", "mixed", "", wider, true},
		{"the tenant's own account has it", "own", "", wider, false},
		{"made again", "gone", "", reads, true},
		{"made again without rules", "gone", "", "", false},
		{"bound to nobody", "free", "", wider, false},
	} {
		for who, client := range actors {
			if who == "editor" {
				continue // edit writes no Roles
			}
			err := wanted(client, test.name, test.labels, test.rules)
			switch {
			case !test.refused && err != nil:
				t.Errorf("%s, %s: %v", who, test.what, err)
			case test.refused:
				if err := byGuard(err, "roles"); err != nil {
					t.Errorf("%s, %s: %v", who, test.what, err)
				}
			}
		}
		if err := wanted(root, test.name, test.labels, test.rules); err != nil {
			t.Errorf("an admin, %s: %v", test.what, err)
		}
	}
}

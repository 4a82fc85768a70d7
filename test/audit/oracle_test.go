package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/harness"
)

// rbacObjects are all roles and bindings of a cluster, as rbacoracle takes them.
type rbacObjects struct {
	Roles               []rbacv1.Role
	RoleBindings        []rbacv1.RoleBinding
	ClusterRoles        []rbacv1.ClusterRole
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
}

// readRBAC reads those that a cluster has.
func readRBAC(ctx context.Context, client kubernetes.Interface) (*rbacObjects, error) {
	api, all := client.RbacV1(), metav1.ListOptions{}
	roles, err := api.Roles("").List(ctx, all)
	if err != nil {
		return nil, err
	}
	bindings, err := api.RoleBindings("").List(ctx, all)
	if err != nil {
		return nil, err
	}
	clusterRoles, err := api.ClusterRoles().List(ctx, all)
	if err != nil {
		return nil, err
	}
	clusterBindings, err := api.ClusterRoleBindings().List(ctx, all)
	if err != nil {
		return nil, err
	}
	return &rbacObjects{roles.Items, bindings.Items, clusterRoles.Items, clusterBindings.Items}, nil
}

// oracle is a process of rbacoracle: Kubernetes' own authorizer without an API
// server. Several goroutines may ask it.
type oracle struct {
	mutex   sync.Mutex
	send    *json.Encoder
	answers *json.Decoder
}

// newOracle starts one, which ends with the test.
func newOracle(t *testing.T) *oracle {
	t.Helper()
	program, err := harness.Command("test/rbacoracle", ".", "rbacoracle")
	must(t, err)
	cmd := exec.Command(program)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close() // the oracle ends at the end of its input
		must(t, cmd.Wait())
	})
	return &oracle{send: json.NewEncoder(stdin), answers: json.NewDecoder(bufio.NewReader(stdout))}
}

func (o *oracle) exchange(message, answer any) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if err := o.send.Encode(message); err != nil {
		return fmt.Errorf("asking rbacoracle: %w", err)
	}
	if err := o.answers.Decode(answer); err != nil {
		return fmt.Errorf("the answer of rbacoracle: %w", err)
	}
	return nil
}

// know replaces the objects by which it decides.
func (o *oracle) know(objects *rbacObjects) error {
	var nothing any
	return o.exchange(map[string]any{"Objects": objects}, &nothing)
}

// may returns an authority.
func (o *oracle) may(question authorizationv1.SubjectAccessReviewSpec) (allowed bool, err error) {
	err = o.exchange(map[string]any{"Question": question}, &allowed)
	return allowed, err
}

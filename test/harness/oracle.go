package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// RBAC are roles and bindings, as rbacoracle takes them.
type RBAC struct {
	Roles               []rbacv1.Role
	RoleBindings        []rbacv1.RoleBinding
	ClusterRoles        []rbacv1.ClusterRole
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
}

// ReadRBAC reads the roles and bindings of the cluster and of those namespaces; the namespace ""
// is for all.
func ReadRBAC(ctx context.Context, client kubernetes.Interface, namespaces ...string) (*RBAC, error) {
	api, all := client.RbacV1(), metav1.ListOptions{}
	clusterRoles, err := api.ClusterRoles().List(ctx, all)
	if err != nil {
		return nil, err
	}
	clusterBindings, err := api.ClusterRoleBindings().List(ctx, all)
	if err != nil {
		return nil, err
	}
	objects := &RBAC{ClusterRoles: clusterRoles.Items, ClusterRoleBindings: clusterBindings.Items}
	for _, namespace := range namespaces {
		bindings, err := api.RoleBindings(namespace).List(ctx, all)
		if err != nil {
			return nil, err
		}
		objects.RoleBindings = append(objects.RoleBindings, bindings.Items...)
		if len(bindings.Items) == 0 {
			continue // roles that nothing binds give no rights
		}
		roles, err := api.Roles(namespace).List(ctx, all)
		if err != nil {
			return nil, err
		}
		objects.Roles = append(objects.Roles, roles.Items...)
	}
	return objects, nil
}

// Oracle is a process of rbacoracle: Kubernetes' own authorizer without an API server, so
// without its delay after writes. Several goroutines may ask it.
type Oracle struct {
	mutex   sync.Mutex
	send    *json.Encoder
	answers *json.Decoder
	stop    func() error
}

// NewOracle starts one, which ends by Stop, or with this process.
func NewOracle() (*Oracle, error) {
	program, err := Command("test/rbacoracle", ".", "rbacoracle")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting rbacoracle: %w", err)
	}
	// The oracle ends at the end of its input.
	stop := func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	return &Oracle{send: json.NewEncoder(stdin), answers: json.NewDecoder(bufio.NewReader(stdout)), stop: stop}, nil
}

// Stop ends the process.
func (o *Oracle) Stop() error { return o.stop() }

// May answers questions about those objects, or about those of the last call that had some.
func (o *Oracle) May(objects *RBAC, questions ...authorizationv1.SubjectAccessReviewSpec) (allowed []bool, err error) {
	message := struct {
		Objects   *RBAC
		Questions []authorizationv1.SubjectAccessReviewSpec
	}{objects, questions}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if err := o.send.Encode(message); err != nil {
		return nil, fmt.Errorf("asking rbacoracle: %w", err)
	}
	if err := o.answers.Decode(&allowed); err != nil {
		return nil, fmt.Errorf("the answer of rbacoracle: %w", err)
	}
	if len(allowed) != len(questions) {
		return nil, fmt.Errorf("rbacoracle has %d answers to %d questions", len(allowed), len(questions))
	}
	return allowed, nil
}

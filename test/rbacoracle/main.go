// Command rbacoracle decides requests with Kubernetes' own RBAC authorizer, the code of the API
// server, over given roles and bindings. It is a module and a process of its own because
// k8s.io/kubernetes is not a library.
//
// It reads JSON values on standard input and answers each with one. The first is Objects, and
// further Objects replace them; the answer is null. All other values are Questions; the answer
// is true or false.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
)

// Message is Objects or a Question.
type Message struct {
	Objects  *Objects
	Question *authorizationv1.SubjectAccessReviewSpec
}

// Objects are all roles and bindings of a cluster.
type Objects struct {
	Roles               []*rbacv1.Role
	RoleBindings        []*rbacv1.RoleBinding
	ClusterRoles        []*rbacv1.ClusterRole
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "rbacoracle: %v\n", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer) error {
	messages, answers := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var oracle *rbac.RBACAuthorizer
	for {
		var m Message
		if err := messages.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a message: %w", err)
		}
		var answer any
		switch {
		case m.Objects != nil:
			_, all := validation.NewTestRuleResolver(m.Objects.Roles, m.Objects.RoleBindings, m.Objects.ClusterRoles, m.Objects.ClusterRoleBindings)
			oracle = rbac.New(all, all, all, all)
		case m.Question == nil || m.Question.ResourceAttributes == nil || oracle == nil:
			return errors.New("a message that holds no objects, and no question about any")
		default:
			q, about := m.Question, m.Question.ResourceAttributes
			// An error says which of the roles that are bound are not there.
			decision, _, _ := oracle.Authorize(context.Background(), authorizer.AttributesRecord{
				User: &user.DefaultInfo{Name: q.User, Groups: q.Groups}, ResourceRequest: true, APIVersion: "*",
				Namespace: about.Namespace, Verb: about.Verb, APIGroup: about.Group,
				Resource: about.Resource, Subresource: about.Subresource, Name: about.Name,
			})
			answer = decision == authorizer.DecisionAllow
		}
		if err := answers.Encode(answer); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
}

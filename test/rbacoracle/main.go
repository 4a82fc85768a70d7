// Command rbacoracle decides requests with Kubernetes' own RBAC authorizer, the code of the API
// server, over given roles and bindings. It is a module and a process of its own because
// k8s.io/kubernetes is not a library.
//
// It reads JSON values on standard input, each a Message, and answers each with one: true or
// false for each of its questions.
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

// Message has questions about the Objects in it, or about those of the last message that had
// any.
type Message struct {
	Objects   *Objects
	Questions []authorizationv1.SubjectAccessReviewSpec
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
		if m.Objects != nil {
			_, all := validation.NewTestRuleResolver(m.Objects.Roles, m.Objects.RoleBindings, m.Objects.ClusterRoles, m.Objects.ClusterRoleBindings)
			oracle = rbac.New(all, all, all, all)
		}
		answer := make([]bool, len(m.Questions))
		for i, q := range m.Questions {
			about := q.ResourceAttributes
			if about == nil || oracle == nil {
				return errors.New("a question that is about no resource, or before any objects")
			}
			// An error says which of the roles that are bound are not there.
			decision, _, _ := oracle.Authorize(context.Background(), authorizer.AttributesRecord{
				User: &user.DefaultInfo{Name: q.User, Groups: q.Groups}, ResourceRequest: true, APIVersion: "*",
				Namespace: about.Namespace, Verb: about.Verb, APIGroup: about.Group,
				Resource: about.Resource, Subresource: about.Subresource, Name: about.Name,
			})
			answer[i] = decision == authorizer.DecisionAllow
		}
		if err := answers.Encode(answer); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
}

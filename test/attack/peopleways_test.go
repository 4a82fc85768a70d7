package attack

import (
	"context"
	"errors"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

// tryPeople is how one of peopleAttacks is tried.
type tryPeople = func(ctx context.Context, c kubernetes.Interface, target *attacked) error

// changes returns an attack that gets a binding of the home namespace and updates it, as
// kubectl edit does.
func changes(name string, change func(b *rbacv1.RoleBinding, target *attacked)) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		return retry.RetryOnConflict(retry.DefaultRetry, func() error {
			b, err := c.RbacV1().RoleBindings(target.home).Get(ctx, name, metav1.GetOptions{})
			if err == nil {
				change(b, target)
				_, err = c.RbacV1().RoleBindings(target.home).Update(ctx, b, metav1.UpdateOptions{})
			}
			return err
		})
	}
}

// admits returns an attack that adds a subject to the members' binding.
func admits(s rbacv1.Subject) tryPeople {
	return changes(memberBinding, func(b *rbacv1.RoleBinding, _ *attacked) { b.Subjects = append(b.Subjects, s) })
}

// turns returns an attack that replaces the members' binding by one of another role for the
// attacker. Kubernetes changes no binding's role, so the binding is deleted and created.
func turns(kind, role string) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		err := changes(memberBinding, func(b *rbacv1.RoleBinding, _ *attacked) {
			b.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
		})(ctx, c, target)
		if !apierrors.IsInvalid(err) {
			return err
		}
		if err := c.RbacV1().RoleBindings(target.home).Delete(ctx, memberBinding, metav1.DeleteOptions{}); err != nil {
			return err
		}
		_, err = c.RbacV1().RoleBindings(target.home).Create(ctx, bindingTo(target, target.home, memberBinding, kind, role), metav1.CreateOptions{})
		return err
	}
}

// oneselfIn is a patch that makes the attacker a binding's only subject.
const oneselfIn = `{"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"$ME"}]}`

func named(kind, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: kind, APIGroup: rbacv1.GroupName, Name: name}
}

// bindingTo returns a binding of a role to the attacker.
func bindingTo(target *attacked, namespace, name, kind, role string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Subjects: []rbacv1.Subject{named("User", target.me)}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}}
}

// binds returns an attack that creates a binding of a role to the attacker.
func binds(namespace func(*attacked) string, kind, role string) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		_, err := c.RbacV1().RoleBindings(namespace(target)).Create(ctx, bindingTo(target, namespace(target), target.id, kind, role), metav1.CreateOptions{})
		return err
	}
}

func atHome(target *attacked) string      { return target.home }
func inNamespace(target *attacked) string { return target.namespace }

// fill replaces what stands for names.
func (target *attacked) fill(text string) string {
	return strings.NewReplacer("$ID", target.id, "$ME", target.me, "$HOME", target.home, "$NS", target.namespace, "$TENANT", target.tenant).Replace(text)
}

// requestTo returns a request of that verb to the API group of a kind.
func requestTo(c kubernetes.Interface, verb, kind string) *rest.Request {
	groups := map[string]rest.Interface{"": c.CoreV1().RESTClient(), "apps": c.AppsV1().RESTClient(), rbacv1.GroupName: c.RbacV1().RESTClient()}
	return groups[resources[kind].Group].Verb(verb)
}

// cluster returns the namespace of what is in none.
func cluster(*attacked) string { return "" }

// merges returns an attack by one merge patch of an object.
func merges(kind string, namespace func(*attacked) string, name, patch string, subresource ...string) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		return requestTo(c, "PATCH", kind).Namespace(namespace(target)).Resource(resources[kind].Resource).Name(target.fill(name)).SubResource(subresource...).
			SetHeader("Content-Type", mergeType).Body([]byte(target.fill(patch))).Do(ctx).Error()
	}
}

// removes returns an attack by the deletion of an object.
func removes(kind string, namespace func(*attacked) string, name string) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		return requestTo(c, "DELETE", kind).Namespace(namespace(target)).Resource(resources[kind].Resource).Name(name).Do(ctx).Error()
	}
}

// reads returns an attack by a list of objects.
func reads(kind string, namespace func(*attacked) string) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		return requestTo(c, "GET", kind).Namespace(namespace(target)).Resource(resources[kind].Resource).Do(ctx).Error()
	}
}

// tokens returns an attack that asks for a token of a service account.
func tokens(namespace func(*attacked) string, account string) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		name := account
		if name == "" {
			name = target.account
		}
		_, err := c.CoreV1().ServiceAccounts(namespace(target)).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	}
}

// impersonates returns an attack that acts as an account.
func impersonates(user func(*attacked) string) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		return c.CoreV1().RESTClient().Get().AbsPath("/version").SetHeader("Impersonate-User", user(target)).Do(ctx).Error()
	}
}

func deployerOf(target *attacked) string {
	return "system:serviceaccount:" + target.home + ":" + target.account
}

// enters returns an attack that connects to a pod. If authorizer and admission control allow it, the
// API server answers that the pod is on no node.
func enters(verb, subresource string) tryPeople {
	return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		err := requestTo(c, verb, "Pod").Namespace(target.namespace).Resource("pods").Name("shop").SubResource(subresource).Param("command", "true").Do(ctx).Error()
		if _, answered := errors.AsType[*apierrors.StatusError](err); answered && !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) && !apierrors.IsUnauthorized(err) {
			return nil
		}
		return err
	}
}

func createObject(ctx context.Context, c kubernetes.Interface, target *attacked) error {
	_, err := c.CoreV1().ConfigMaps(target.namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: target.id}}, metav1.CreateOptions{})
	return err
}

// record is where the tenant's release is kept.
func (target *attacked) record() (namespace, name string) {
	if target.account == "tiller" {
		return target.home, "shop.v1"
	}
	return target.namespace, "sh.helm.release.v1.shop.v1"
}

package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/harness"
)

// Those who attack in TestPeople.
const (
	asRoot           = "root"
	asOwner          = "an owner"
	asReader         = "a reader"
	asReaders        = "a reader as the readers' account"
	asOncall         = "a member for a time"
	asOncallDeployer = "a member for a time as the deployer"
	asFlux           = "the account for Flux"
	asIceDeployer    = "a frozen tenant's deployer"
	asIceFlux        = "a frozen tenant's account for Flux"
	asOwnAccount     = "a frozen tenant's own account with `admin`"
	asPerson         = "a person with `admin` in a frozen tenant"
	asOtherAccount   = "another tenant's account with `admin` in a frozen one"
)

// peopleTheme is a list of attacks on the same tenants.
type peopleTheme struct {
	name    string
	as      []string
	grounds []pair
	attacks []peopleAttack
}

// peopleAttack is one request to the API server, or several that are one attempt. It
// worked if try returns no error.
type peopleAttack struct {
	what string
	try  tryPeople
	// first runs before the attack, and is no attack.
	first func(p *people, t *testing.T)
	// notAs are subjects that can't make the attack, and only the engine with which it exists.
	notAs []string
	only  string
	// known says for whom it works, and why: it is documented, and tried so that the
	// documentation stays true.
	known map[string]string
}

// attacked is the place of an attack, with a name that no other attack uses, and the name of
// the attacker.
type attacked struct {
	ground
	id, me string
}

const memberBinding, readerBinding, ownerBinding = "helm-tenant-member", "helm-tenant-reader", "helm-tenant-owner"

func peopleThemes() []peopleTheme {
	own, term, ice := pairOf("own", ""), pairOf("term", ""), pairOf("ice", "")
	ownTiller, iceTiller := pairOf("own-tiller", "-tiller"), pairOf("ice-tiller", "-tiller")
	const admins = "freeze lists them: helm-tenant ends no rights that an admin gave"
	return []peopleTheme{
		{"owners", []string{asOwner}, []pair{own, ownTiller}, ownerAttacks()},
		{"readers", []string{asReader, asReaders}, []pair{term}, append(writes(), readerAttacks()...)},
		{"members for a time", []string{asOncall, asOncallDeployer}, []pair{term}, termAttacks()},
		{"the account for Flux", []string{asFlux}, []pair{term}, fluxAttacks()},
		{"a frozen tenant", []string{asIceDeployer, asIceFlux, asOwnAccount}, []pair{ice, iceTiller}, append(writes(), frozenAttacks()...)},
		{"a frozen tenant, by those whom an admin let in", []string{asPerson, asOtherAccount}, []pair{ice, iceTiller}, []peopleAttack{
			{what: "create an object in its namespace", try: createObject, known: map[string]string{asPerson: admins, asOtherAccount: admins}},
		}},
	}
}

// ownerAttacks returns an owner's attempts to get more rights.
func ownerAttacks() []peopleAttack {
	all := []peopleAttack{
		{what: "become admin of the home namespace", try: binds(atHome, "ClusterRole", "admin")},
		{what: "become admin of the home namespace by another role in the members' binding", try: turns("ClusterRole", "admin")},
		{what: "become an owner once more by another role in the members' binding", try: turns("Role", ownerBinding)},
		{what: "bind the owners' Role once more", try: binds(atHome, "Role", ownerBinding)},
		{what: "bind cluster-admin in the tenant's namespace", try: binds(inNamespace, "ClusterRole", "cluster-admin")},
		{what: "bind the members' Role in the tenant's namespace", try: binds(inNamespace, "Role", memberBinding)},
		{what: "make the readers' binding one of admin, by an update of what is not there", only: "tiller", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			_, err := c.RbacV1().RoleBindings(target.home).Update(ctx, bindingTo(target, target.home, readerBinding, "ClusterRole", "admin"), metav1.UpdateOptions{})
			return err
		}},
		{what: "let oneself into another tenant", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			_, err := c.RbacV1().RoleBindings(target.otherHome).Update(ctx, bindingTo(target, target.otherHome, memberBinding, "Role", memberBinding), metav1.UpdateOptions{})
			return err
		}},
	}
	for _, in := range []struct {
		what    string
		subject rbacv1.Subject
	}{
		{"everybody", named("Group", "system:authenticated")},
		{"everybody without a name", named("Group", "system:unauthenticated")},
		{"every service account", named("Group", "system:serviceaccounts")},
		{"the accounts of another namespace", named("Group", "system:serviceaccounts:kube-system")},
		{"the anonymous user", named("User", "system:anonymous")},
		{"the administrators' group", named("Group", "system:masters")},
		{"an account written as a user", named("User", "system:serviceaccount:kube-system:bot")},
		{"an account of no namespace", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "kube-system:x", Name: "bot"}},
		{"a user without a name", named("User", " ")},
		{"a user whose name writes backwards", named("User", "alice\u202e")},
	} {
		all = append(all, peopleAttack{what: "let in " + in.what, try: admits(in.subject)})
	}
	return append(all, []peopleAttack{
		{what: "let in so many that nobody can read them", try: changes(memberBinding, func(b *rbacv1.RoleBinding, _ *attacked) {
			for i := range 5000 {
				b.Subjects = append(b.Subjects, named("User", fmt.Sprintf("user-%d", i)))
			}
		})},
		{what: "let everybody read", only: "helm", try: changes(readerBinding, func(b *rbacv1.RoleBinding, _ *attacked) {
			b.Subjects = append(b.Subjects, named("Group", "system:authenticated"))
		})},
		{what: "change the record", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			record, err := c.CoreV1().ConfigMaps(target.home).Get(ctx, "helm-tenant", metav1.GetOptions{})
			if err == nil {
				record.Data["tenant.yaml"] = strings.ReplaceAll(record.Data["tenant.yaml"], target.namespace, "kube-system")
				_, err = c.CoreV1().ConfigMaps(target.home).Update(ctx, record, metav1.UpdateOptions{})
			}
			return err
		}},
		{what: "make one more owner", try: changes(ownerBinding, func(b *rbacv1.RoleBinding, _ *attacked) { b.Subjects = append(b.Subjects, named("User", "eve")) })},
		{what: "remove all owners, by an update", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			b := bindingTo(target, target.home, ownerBinding, "Role", ownerBinding)
			b.Subjects = nil
			_, err := c.RbacV1().RoleBindings(target.home).Update(ctx, b, metav1.UpdateOptions{})
			return err
		}},
		{what: "remove all owners, by a patch", try: merges("RoleBinding", atHome, ownerBinding, `{"subjects":[]}`)},
		{what: "delete the owners' binding", try: removes("RoleBinding", atHome, ownerBinding)},
		{what: "delete the members' binding", try: removes("RoleBinding", atHome, memberBinding)},
		{what: "have the members' binding collected as garbage", try: changes(memberBinding, func(b *rbacv1.RoleBinding, _ *attacked) {
			b.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "00000000-0000-0000-0000-000000000000"}}
		})},
		{what: "keep the members' binding from being deleted", try: changes(memberBinding, func(b *rbacv1.RoleBinding, _ *attacked) { b.Finalizers = []string{"example.com/mine"} })},
		{what: "label the members' binding as another tenant's", try: changes(memberBinding, func(b *rbacv1.RoleBinding, target *attacked) { b.Labels["helm-tenant/tenant"] = target.other })},
		{what: "remove the members' binding's labels", try: changes(memberBinding, func(b *rbacv1.RoleBinding, _ *attacked) { b.Labels = nil })},
		{what: "annotate the members' binding", try: changes(memberBinding, func(b *rbacv1.RoleBinding, _ *attacked) { b.Annotations = map[string]string{"example.com/mine": "x"} })},
		{what: "give the members' Role more rights", try: merges("Role", atHome, memberBinding, `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`)},
		{what: "change the home namespace", try: merges("Namespace", cluster, "$HOME", `{"metadata":{"labels":{"attack":"$ID"}}}`)},
		{what: "act as the deployer", try: impersonates(deployerOf)},
		{what: "get a token of the deployer", try: tokens(atHome, "")},
		{what: "list the home's pods", try: reads("Pod", atHome)},
		{what: "read the home's Secrets", try: reads("Secret", atHome)},
		{what: "create an object in the tenant's namespace", try: createObject},
		{what: "list another tenant's members", try: reads("RoleBinding", func(target *attacked) string { return target.otherHome })},
	}...)
}

// writes returns the ways to change something in a tenant's namespace.
func writes() []peopleAttack {
	selected := func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
		return c.CoreV1().ConfigMaps(target.namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=shop"})
	}
	onRecord := func(do func(ctx context.Context, c kubernetes.Interface, namespace, name string) error) tryPeople {
		return func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			namespace, name := target.record()
			return do(ctx, c, namespace, name)
		}
	}
	return []peopleAttack{
		{what: "create an object", try: createObject},
		{what: "update an object", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			_, err := c.CoreV1().ConfigMaps(target.namespace).Update(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Data: map[string]string{"a": target.id}}, metav1.UpdateOptions{})
			return err
		}},
		{what: "patch an object", try: merges("ConfigMap", inNamespace, "shop", `{"data":{"a":"$ID"}}`)},
		{what: "change an object by server-side apply", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			text := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"shop"},"data":{"a":%q}}`, target.id)
			_, err := c.CoreV1().ConfigMaps(target.namespace).Patch(ctx, "shop", types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: "attack", Force: new(true)})
			return err
		}},
		{what: "delete an object", try: removes("ConfigMap", inNamespace, "shop")},
		{what: "delete objects by a selector", try: selected},
		{what: "change a release record", try: onRecord(func(ctx context.Context, c kubernetes.Interface, namespace, name string) error {
			_, err := c.CoreV1().Secrets(namespace).Patch(ctx, name, types.MergePatchType, []byte(`{"stringData":{"release":"y"}}`), metav1.PatchOptions{})
			return err
		})},
		{what: "delete a release record", try: onRecord(func(ctx context.Context, c kubernetes.Interface, namespace, name string) error {
			return c.CoreV1().Secrets(namespace).Delete(ctx, name, metav1.DeleteOptions{})
		})},
		{what: "make a release record", try: onRecord(func(ctx context.Context, c kubernetes.Interface, namespace, name string) error {
			created, owner, version := "sh.helm.release.v1.mine.v1", "owner", "version"
			secretType := corev1.SecretType("helm.sh/release.v1")
			labels := map[string]string{owner: "helm", "name": "mine", "status": "deployed", version: "1"}
			if name == "shop.v1" {
				created, secretType = "mine.v1", corev1.SecretTypeOpaque
				labels = map[string]string{"OWNER": "TILLER", "NAME": "mine", "STATUS": "DEPLOYED", "VERSION": "1"}
			}
			_, err := c.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: created, Labels: labels}, Type: secretType, StringData: map[string]string{"release": "x"}}, metav1.CreateOptions{})
			return err
		})},
		{what: "scale a Deployment", try: merges("Deployment", inNamespace, "shop", `{"spec":{"replicas":1}}`, "scale")},
		{what: "restart a Deployment", try: merges("Deployment", inNamespace, "shop", `{"spec":{"template":{"metadata":{"annotations":{"again":"$ID"}}}}}`)},
		{what: "evict a pod", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			return c.PolicyV1().Evictions(target.namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: target.namespace, Name: "shop"}})
		}},
		{what: "put a container into a pod", try: merges("Pod", inNamespace, "shop",
			`{"spec":{"ephemeralContainers":[{"name":"mine","image":"registry.k8s.io/pause:3.10","securityContext":`+`{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}`+`}]}}`, "ephemeralcontainers")},
		{what: "exec in a pod", try: enters("POST", "exec")},
		{what: "exec in a pod, by GET", try: enters("GET", "exec")},
		{what: "attach to a pod", try: enters("POST", "attach")},
		{what: "port-forward to a pod", try: enters("POST", "portforward")},
		{what: "proxy to a pod", try: enters("POST", "proxy")},
		{what: "get a token of an account of the namespace", try: tokens(inNamespace, "bot")},
		{what: "bind a role", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			b := bindingTo(target, target.namespace, target.id, "ClusterRole", "view")
			b.Subjects = []rbacv1.Subject{{Kind: "ServiceAccount", Name: "bot", Namespace: target.namespace}}
			_, err := c.RbacV1().RoleBindings(target.namespace).Create(ctx, b, metav1.CreateOptions{})
			return err
		}},
	}
}

// readerAttacks returns a reader's attempts other than writing.
func readerAttacks() []peopleAttack {
	const known = "a reader reads every Secret of the tenant's namespaces: --accept-risk=reads-secrets"
	asThemself := []string{asReaders} // the one who impersonates is refused by their own name
	return []peopleAttack{
		{what: "act as the deployer", try: impersonates(deployerOf), notAs: asThemself},
		{what: "act as an account of the tenant's namespace", try: impersonates(func(target *attacked) string { return "system:serviceaccount:" + target.namespace + ":bot" }), notAs: asThemself},
		{what: "get a token of the deployer", try: tokens(atHome, "")},
		{what: "get a token of the readers' account", try: tokens(atHome, "helm-reader")},
		{what: "let oneself in as a member", try: merges("RoleBinding", atHome, memberBinding, oneselfIn)},
		{what: "take everybody else out of the readers' binding", try: merges("RoleBinding", atHome, readerBinding, oneselfIn)},
		{what: "change the namespace", try: merges("Namespace", cluster, "$NS", `{"metadata":{"labels":{"attack":"$ID"}}}`)},
		{what: "read the home's Secrets", try: reads("Secret", atHome)},
		{what: "read another tenant's Secrets", try: reads("Secret", func(target *attacked) string { return target.otherNamespace })},
		{what: "read the Secrets of all namespaces", try: reads("Secret", cluster)},
		{what: "read the tenant's Secrets", try: reads("Secret", inNamespace), known: map[string]string{asReaders: known}},
	}
}

// termAttacks are what members try whose time is limited.
func termAttacks() []peopleAttack {
	const temporary = "helm-tenant/temporary"
	asThemself := []string{asOncallDeployer}
	return []peopleAttack{
		{what: "stay for good, by the annotation", try: merges("RoleBinding", atHome, memberBinding, `{"metadata":{"annotations":{"`+temporary+`":null}}}`)},
		{what: "move the end", try: merges("RoleBinding", atHome, memberBinding,
			`{"metadata":{"annotations":{"`+temporary+`":"[{\"user\":\"people-oncall\",\"until\":\"2099-01-01T00:00:00Z\"}]"}}}`)},
		{what: "let oneself in for good", try: merges("RoleBinding", atHome, memberBinding, oneselfIn)},
		{what: "get a token of the deployer, to keep it", try: tokens(atHome, "")},
		{what: "use the tenant when the time is over", first: (*people).end, try: impersonates(deployerOf), notAs: asThemself,
			known: map[string]string{asOncall: "Kubernetes ends no grant; the audit says so, HT036"}},
		{what: "use the tenant after a revoke --expired", first: (*people).revokeExpired, try: impersonates(deployerOf), notAs: asThemself},
	}
}

// end lets the time of people-oncall be over.
func (p *people) end(t *testing.T) {
	t.Helper()
	bindings := p.root.RbacV1().RoleBindings("people-term-helm")
	b, err := bindings.Get(t.Context(), memberBinding, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	was := b.Annotations["helm-tenant/temporary"]
	var terms []map[string]any
	if err := json.Unmarshal([]byte(was), &terms); err != nil || len(terms) != 1 {
		t.Fatalf("%v: %s", err, was)
	}
	terms[0]["until"] = time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	text, err := json.Marshal(terms)
	if err != nil {
		t.Fatal(err)
	}
	b.Annotations["helm-tenant/temporary"] = string(text)
	if _, err := bindings.Update(t.Context(), b, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// revokeExpired removes expired grants, as a CronJob does.
func (p *people) revokeExpired(t *testing.T) {
	t.Helper()
	out, err := p.helmTenant(t.Context(), "revoke", "people-term", "--expired")
	if err != nil || !strings.Contains(string(out), "people-oncall") {
		t.Fatalf("%v: %s", err, out)
	}
	if err := harness.Settle(t.Context(), p.root, metav1.NamespaceDefault); err != nil {
		t.Fatal(err)
	}
}

// fluxAttacks are what whoever has the account for Flux tries beyond the tenant's role.
func fluxAttacks() []peopleAttack {
	return []peopleAttack{
		{what: "create an object in another tenant's namespace", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			_, err := c.CoreV1().ConfigMaps(target.otherNamespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: target.id}}, metav1.CreateOptions{})
			return err
		}},
		{what: "read another tenant's Secrets", try: reads("Secret", func(target *attacked) string { return target.otherNamespace })},
		{what: "create an object in the home namespace", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			_, err := c.CoreV1().ConfigMaps(target.home).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: target.id}}, metav1.CreateOptions{})
			return err
		}},
		{what: "act as the deployer", try: impersonates(deployerOf)},
		{what: "get a token of the deployer", try: tokens(atHome, "")},
		{what: "let oneself in as a member", try: merges("RoleBinding", atHome, memberBinding, oneselfIn)},
		{what: "bind a role to a person", try: binds(inNamespace, "ClusterRole", "view")},
		{what: "bind cluster-admin", try: binds(inNamespace, "ClusterRole", "cluster-admin")},
		{what: "change the namespace", try: merges("Namespace", cluster, "$NS", `{"metadata":{"labels":{"attack":"$ID"}}}`)},
		{what: "change its own binding", try: merges("RoleBinding", inNamespace, "helm-tenant.$TENANT.admin", `{"metadata":{"labels":{"attack":"$ID"}}}`)},
		{what: "create an object in the tenant's namespace, by a token that a member got before the revoke", first: (*people).revokeAlice, try: createObject,
			known: map[string]string{asFlux: "the account is the tenant's: revoke names it, and init with an empty --flux-account ends its tokens"}},
		{what: "read the home's Secrets, by that token", try: reads("Secret", atHome)},
		{what: "create an object in the tenant's namespace, by that token after the account was removed", first: (*people).removeFlux, try: createObject},
	}
}

// revokeAlice takes out a member, who may have got a token of the account for Flux.
func (p *people) revokeAlice(t *testing.T) {
	t.Helper()
	cmd, err := p.command(t.Context(), "revoke", "people-term", "--user", "people-alice")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "service account flux in the namespaces of tenant people-term keeps its role") {
		t.Fatalf("%v: %s", err, out)
	}
}

// removeFlux takes the account for Flux away, and waits until the API server accepts its
// tokens no more: it caches what it found out about a token.
func (p *people) removeFlux(t *testing.T) {
	t.Helper()
	if out, err := p.helmTenant(t.Context(), "init", "people-term", "--flux-account="); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := harness.Await(t.Context(), "the API server to refuse the token", func(ctx context.Context) (bool, error) {
		_, err := p.actors[asFlux].CoreV1().ConfigMaps("people-term-1").List(ctx, metav1.ListOptions{})
		return apierrors.IsUnauthorized(err), nil
	}); err != nil {
		t.Fatal(err)
	}
}

// frozenAttacks are what is tried to end a freeze, or to get around it.
func frozenAttacks() []peopleAttack {
	return []peopleAttack{
		{what: "thaw: change the namespace", try: merges("Namespace", cluster, "$NS", `{"metadata":{"labels":{"helm-tenant/frozen":null}}}`)},
		{what: "thaw: change the home namespace", try: merges("Namespace", cluster, "$HOME", `{"metadata":{"labels":{"helm-tenant/frozen":null}}}`)},
		{what: "thaw: change the record", try: merges("ConfigMap", atHome, "helm-tenant", `{"data":{"tenant.yaml":""}}`)},
		{what: "act as another account of the namespace and create an object", try: func(ctx context.Context, c kubernetes.Interface, target *attacked) error {
			return c.CoreV1().RESTClient().Post().Namespace(target.namespace).Resource("configmaps").SetHeader("Impersonate-User", "system:serviceaccount:"+target.namespace+":bot").
				SetHeader("Content-Type", jsonType).Body(fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q}}`, target.id)).Do(ctx).Error()
		}},
	}
}

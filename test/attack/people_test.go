package attack

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
)

// TestPeople makes each of peopleAttacks with the credentials of subjects that have less than a
// member's rights: owners, readers, temporary members, the account for Flux, and everybody who
// can write in a frozen tenant. The control is an administrator of the cluster who does the
// same to a tenant of the same kind that is not frozen, for whom each attack must succeed. The
// results are compared with the table in docs/security.md.
func TestPeople(t *testing.T) {
	t.Parallel()
	p := &people{prover: newProver(t), before: map[string]map[string]*unstructured.Unstructured{}}
	p.apply(t)
	p.letIn(t)
	var rows []string
	other := groundOf("people-other", "")
	p.before[other.tenant] = p.live(t, &other)
	for _, theme := range peopleThemes() {
		grounds := theme.grounds
		p.remember(t, grounds)
		for _, a := range theme.attacks {
			if a.first != nil {
				a.first(p, t)
				p.remember(t, grounds)
			}
			rows = append(rows, p.rows(t, theme, a)...)
		}
		for i := range grounds {
			if changed := p.changed(t, &grounds[i].ours); len(changed) > 0 {
				t.Errorf("%s: after all attacks these are not as they were: %q", theme.name, changed)
			}
		}
	}
	if changed := p.changed(t, &other); len(changed) > 0 {
		t.Errorf("after all attacks these of another tenant are not as they were: %q", changed)
	}
	compareTable(t, "people", "| as whom | attack | ours | control |\n"+strings.Repeat("|---", 4)+"|\n"+strings.Join(rows, "\n")+"\n")
}

// people has the tenants, and those who attack.
type people struct {
	*prover
	dynamic dynamic.Interface
	actors  map[string]kubernetes.Interface
	users   map[string]string // the API server's name for each
	// before is the state of the tenants before any attack, by tenant and object.
	before map[string]map[string]*unstructured.Unstructured
	count  int
}

// ground is the attacked tenant, and another tenant.
type ground struct{ tenant, home, namespace, account, other, otherHome, otherNamespace string }

func groundOf(tenant, other string) ground {
	g := ground{tenant: tenant, home: tenant + "-helm", namespace: tenant + "-1", account: "helm", other: other, otherHome: other + "-helm", otherNamespace: other + "-1"}
	if strings.Contains(tenant, "tiller") {
		g.home, g.account = tenant+"-tiller", "tiller"
	}
	return g
}

// pair is a tenant, and the one of the same kind for the control.
type pair struct {
	ours, control ground
	// suffix is added to the attackers' names.
	suffix string
}

func pairOf(kind, suffix string) pair {
	return pair{ours: groundOf("people-"+kind, "people-other"), control: groundOf("people-ctl"+suffix, "people-ctl-other"), suffix: suffix}
}

// peopleFile has the tenants. Each has members, readers and owners, so that the objects that
// attacks change exist.
const peopleFile = `
apiVersion: helm-tenant/v1
tenants:
- {name: people-own, namespaces: [people-own-1], engine: impersonation, members: {users: [people-alice]}, readers: {users: [people-pam]}, owners: {users: [people-dana]}}
- {name: people-own-tiller, namespaces: [people-own-tiller-1], engine: tiller, members: {users: [people-alice], groups: ["system:serviceaccounts:ci"]}, owners: {users: [people-dana]}}
- {name: people-term, namespaces: [people-term-1], engine: impersonation, fluxAccount: flux, members: {users: [people-alice]}, readers: {users: [people-pam]}, temporary: [{user: people-oncall, until: %[1]s, reason: INC-1}]}
- {name: people-ice, namespaces: [people-ice-1], engine: impersonation, fluxAccount: flux, members: {users: [people-alice]}}
- {name: people-ice-tiller, namespaces: [people-ice-tiller-1], engine: tiller, members: {users: [people-alice]}}
- {name: people-other, namespaces: [people-other-1], engine: impersonation, members: {users: [people-bob]}}
- {name: people-ctl, namespaces: [people-ctl-1], engine: impersonation, fluxAccount: flux, members: {users: [people-bob]}, readers: {users: [people-bob]}, owners: {users: [people-bob]}, temporary: [{user: people-oncall, until: %[1]s, reason: INC-1}]}
- {name: people-ctl-tiller, namespaces: [people-ctl-tiller-1], engine: tiller, members: {users: [people-bob]}, owners: {users: [people-bob]}}
- {name: people-ctl-other, namespaces: [people-ctl-other-1], engine: impersonation, members: {users: [people-bob]}}
`

// apply creates the tenants and the objects that attacks would take, and freezes two of them.
func (p *people) apply(t *testing.T) {
	t.Helper()
	cmd, err := p.command(t.Context(), "apply", "-f", "-", "--create-namespaces", "--wait=false", "--accept-risk=reads-secrets", "--accept-risk=everyone")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = strings.NewReader(fmt.Sprintf(peopleFile, time.Now().Add(4*time.Hour).UTC().Format(time.RFC3339)))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config := p.cluster.RootConfig(t)
	p.dynamic = dynamic.NewForConfigOrDie(config)
	for _, name := range []string{"own", "own-tiller", "term", "ice", "ice-tiller", "other", "ctl", "ctl-tiller", "ctl-other"} {
		target := groundOf("people-"+name, "")
		p.settled(t, target.namespace, "default")
		for _, object := range possessions(&target) {
			if _, err := p.dynamic.Resource(resources[object.GetKind()]).Namespace(object.GetNamespace()).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tenant := range []string{"people-ice", "people-ice-tiller"} {
		if out, err := p.helmTenant(t.Context(), "freeze", tenant, "--reason", "INC-2"); err != nil {
			t.Fatalf("freeze: %v %s", err, out)
		}
	}
}

// letIn makes the clients of those who attack.
func (p *people) letIn(t *testing.T) {
	t.Helper()
	p.actors, p.users = map[string]kubernetes.Interface{}, map[string]string{}
	add := func(name, user string, config *rest.Config) {
		p.actors[name], p.users[name] = kubernetes.NewForConfigOrDie(config), user
	}
	person := func(name, user, as string) {
		t.Helper()
		config := p.cluster.Config(t, user)
		config.Impersonate.UserName = as
		add(name, cmp.Or(as, user), config)
	}
	account := func(name, namespace, account string) {
		t.Helper()
		p.settled(t, namespace, account)
		add(name, "system:serviceaccount:"+namespace+":"+account, p.tokenConfig(t, namespace, account))
	}
	config := p.cluster.RootConfig(t)
	add(asRoot, "root", config)
	person(asOwner, "people-dana", "")
	person(asOwner+"-tiller", "people-dana", "")
	person(asReader, "people-pam", "")
	person(asReaders, "people-pam", "system:serviceaccount:people-term-helm:helm-reader")
	person(asOncall, "people-oncall", "")
	person(asOncallDeployer, "people-oncall", "system:serviceaccount:people-term-helm:helm")
	account(asFlux, "people-term-1", "flux")
	account(asIceDeployer, "people-ice-helm", "helm")
	account(asIceFlux, "people-ice-1", "flux")
	account(asIceDeployer+"-tiller", "people-ice-tiller-tiller", "tiller")
	for suffix, namespace := range map[string]string{"": "people-ice-1", "-tiller": "people-ice-tiller-1"} {
		p.bind(t, namespace, "own", rbacv1.Subject{Kind: "ServiceAccount", Name: "bot", Namespace: namespace})
		p.bind(t, namespace, "person", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: "people-editor"})
		p.bind(t, namespace, "other", rbacv1.Subject{Kind: "ServiceAccount", Name: "bot", Namespace: "people-other-1"})
		account(asOwnAccount+suffix, namespace, "bot")
		person(asPerson+suffix, "people-editor", "")
		account(asOtherAccount+suffix, "people-other-1", "bot")
	}
	for _, namespace := range []string{"people-ctl-1", "people-ctl-tiller-1"} {
		p.bind(t, namespace, "own", rbacv1.Subject{Kind: "ServiceAccount", Name: "bot", Namespace: namespace})
	}
	if err := harness.Settle(t.Context(), p.root, metav1.NamespaceDefault); err != nil {
		t.Fatal(err)
	}
	p.limited(t)
}

// limited waits until the admission policy limits what the owner writes: a further user is
// accepted, and everybody is not.
func (p *people) limited(t *testing.T) {
	t.Helper()
	for _, home := range []string{"people-own-helm", "people-own-tiller-tiller"} {
		bindings := p.actors[asOwner].RbacV1().RoleBindings(home)
		admit := func(ctx context.Context, s rbacv1.Subject) error {
			b, err := bindings.Get(ctx, memberBinding, metav1.GetOptions{})
			if err == nil {
				b.Subjects = append(b.Subjects, s)
				_, err = bindings.Update(ctx, b, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			}
			return err
		}
		if err := harness.Await(t.Context(), "the owners' policy to hold in "+home, func(ctx context.Context) (bool, error) {
			if err := admit(ctx, named("Group", "system:authenticated")); !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
				return false, err
			}
			err := admit(ctx, named("User", "people-eve"))
			return err == nil, err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// settled waits until a service account is there.
func (p *people) settled(t *testing.T, namespace, account string) {
	t.Helper()
	if err := harness.Await(t.Context(), account+" in "+namespace, func(ctx context.Context) (bool, error) {
		_, err := p.root.CoreV1().ServiceAccounts(namespace).Get(ctx, account, metav1.GetOptions{})
		return err == nil, err
	}); err != nil {
		t.Fatal(err)
	}
}

// bind gives somebody the ClusterRole admin, as an administrator of the cluster does.
func (p *people) bind(t *testing.T, namespace, name string, subject rbacv1.Subject) {
	t.Helper()
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"}, Subjects: []rbacv1.Subject{subject}}
	if _, err := p.root.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// rows makes an attack as all who make it, on each of the theme's tenants, and in the
// control, and returns its lines of the table.
func (p *people) rows(t *testing.T, theme peopleTheme, a peopleAttack) []string {
	t.Helper()
	by := map[string][]string{}
	for _, pair := range theme.grounds {
		if a.only != "" && a.only != pair.ours.account {
			continue
		}
		for _, who := range theme.as {
			name := who + pair.suffix
			if p.actors[name] == nil || slices.Contains(a.notAs, who) {
				continue
			}
			cell, answer := p.attempt(t, a, name, &pair.ours)
			_, known := a.known[who]
			if known != (cell == "WORKED") || cell == "" {
				t.Errorf("%s: %s, in %s: %s; known to work: %t: %v", who, a.what, pair.ours.tenant, cmp.Or(cell, "COULD NOT RUN"), known, answer)
			}
			if known {
				cell = "works: known (" + a.known[who] + ")"
				p.restore(t, &pair.ours)
			}
			if pair.suffix == "" || !slices.Contains(by[cell], who) { // once for both engines
				by[cell] = append(by[cell], who+inHelm2[pair.suffix])
			}
		}
		if cell, answer := p.attempt(t, a, asRoot, &pair.control); cell != "WORKED" {
			t.Errorf("%s, in %s: it does not even succeed in the control: %v", a.what, pair.control.tenant, answer)
		}
		p.restore(t, &pair.control)
	}
	var rows []string
	for _, cell := range slices.Sorted(maps.Keys(by)) {
		rows = append(rows, "| "+strings.Join(by[cell], "; ")+" | "+a.what+" | "+cell+" | WORKED |")
	}
	return rows
}

// inHelm2 is added if an attack has another result in a tenant with a Tiller.
var inHelm2 = map[string]string{"-tiller": " (Helm 2)"}

var refusersOfPeople = []struct {
	words *regexp.Regexp
	by    string
}{
	{regexp.MustCompile(`ValidatingAdmissionPolicy 'helm-tenant-owners' with binding 'helm-tenant-owners' denied request: an owner can't`), "admission policy"},
	{regexp.MustCompile(`ValidatingAdmissionPolicy 'helm-tenant-guard-frozen' with binding 'helm-tenant-guard-frozen' denied request: tenant \S+ is frozen: INC-2`), "frozen, with its reason"},
	{regexp.MustCompile(`ValidatingAdmissionPolicy 'helm-tenant-records' with binding 'helm-tenant-records' denied request: `), "admission policy"},
	{regexp.MustCompile(`ValidatingAdmissionPolicy 'helm-tenant-guard-[a-z]+' with binding 'helm-tenant-guard-[a-z]+' denied request: `), "guard"},
	{regexp.MustCompile(`is attempting to grant RBAC permissions not currently held`), "escalation check"},
	{regexp.MustCompile(`^Unauthorized$`), "no such account"},
	{regexp.MustCompile(`roleRef: Invalid value: .*cannot change roleRef`), "a binding's role can't be changed"},
}

// attempt makes an attack once and returns "WORKED", or what refused it; empty for any other
// result.
func (p *people) attempt(t *testing.T, a peopleAttack, who string, target *ground) (cell string, answer error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	p.count++
	local := attacked{ground: *target, id: fmt.Sprintf("x%d", p.count), me: p.users[who]}
	answer = a.try(ctx, p.actors[who], &local)
	if answer == nil {
		return "WORKED", nil
	}
	text := answer.Error()
	for _, refuser := range refusersOfPeople {
		if refuser.words.MatchString(text) {
			return "refused: " + refuser.by, answer
		}
	}
	// Whom RBAC refuses is named, and nobody else's refusal counts.
	if match := byRBAC.FindStringSubmatch(text); match != nil && match[1] == p.users[who] {
		return "refused: RBAC", answer
	}
	return "", answer
}

package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/util/retry"

	"helm-tenant/command"
	"helm-tenant/command/shelltest"
	"helm-tenant/test/harness"
	"helm-tenant/test/kubectl"
)

// plant is a misconfiguration that a test makes, and how it is taken away again.
type plant struct {
	*testing.T
	w     *world
	undos []func()
	// planted says that something was, old is the namespace of an unmanaged Tiller,
	// which is called "old" in what is wanted.
	planted bool
	old     string
}

// plant begins a misconfiguration; the rest of it is removed when the test ends.
func (w *world) plant(t *testing.T) *plant {
	p := &plant{T: t, w: w}
	t.Cleanup(p.undo)
	return p
}

// undo takes it all away, whatever of that fails, and waits until there is
// nothing to find any more.
func (p *plant) undo() {
	if len(p.undos) == 0 {
		if p.planted {
			p.planted = false
			p.w.clean(p.T)
		}
		return
	}
	last := p.undos[len(p.undos)-1]
	p.undos = p.undos[:len(p.undos)-1]
	defer p.undo() // also when the last gives up
	last()
}

// frozen freezes a tenant until the test ends.
func (p *plant) frozen(name string) {
	p.later(func() { p.helmTenant("thaw", name) })
	p.helmTenant("freeze", name, "--reason", "INC-12")
}

func (p *plant) later(undo func()) { p.undos, p.planted = append(p.undos, undo), true }

// gone takes a "not found" for done: the finding's own command may have been
// first.
func (p *plant) gone(err error) {
	if err != nil && !apierrors.IsNotFound(err) {
		p.Errorf("taking away what was planted: %v", err)
	}
}

// clean waits until an audit finds nothing: controllers take a moment to delete dependents.
// Findings that stay fail this test, and are ignored by the next.
func (w *world) clean(t *testing.T) {
	t.Helper()
	var got []finding
	// An audit takes longer than what most tests wait for here.
	pause := 50 * time.Millisecond
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(pause) {
		pause = min(pause*3/2, time.Second)
		if got = w.fresh(w.audit(t).Findings); len(got) == 0 {
			return
		}
	}
	for _, f := range got {
		t.Errorf("there should be nothing to find: %v", f)
		w.residue = append(w.residue, f.brief())
	}
	t.FailNow()
}

// fresh returns the findings without those that a failed test left.
func (w *world) fresh(all []finding) []finding {
	return slices.DeleteFunc(slices.Clone(all), func(f finding) bool { return slices.Contains(w.residue, f.brief()) })
}

// same compares the findings with "ID tenants subject" each.
func (p *plant) same(got []finding, want []string) {
	p.Helper()
	var current []string
	got = p.w.fresh(got)
	for _, f := range got {
		text := f.brief()
		if p.old != "" {
			text = strings.ReplaceAll(text, p.old, "old")
		}
		current = append(current, text)
	}
	slices.Sort(current)
	want = slices.Sorted(slices.Values(want))
	if diff := cmp.Diff(want, current); diff != "" {
		var text strings.Builder
		for _, f := range got {
			fmt.Fprintf(&text, "%v\n  %v\n  %s\n", f, f.Chains, f.Fix)
		}
		p.Errorf("findings, -want +got:\n%s\n%s", diff, text.String())
	}
	for _, f := range got {
		if f.Why == "" || f.Text == "" || f.Fix == "" || f.Severity == "" {
			p.Errorf("a finding lacks a part: %+v", f)
		}
	}
}

// fix types the commands that the findings name, with what somebody has to fill in or to
// choose. Afterwards there must be nothing to find.
func (p *plant) fix(findings []finding) {
	p.Helper()
	var commands []string
	for _, f := range findings {
		line, complete := completed(f)
		if !complete {
			return
		}
		commands = append(commands, line)
	}
	if len(commands) == 0 {
		return
	}
	for i, line := range commands {
		p.typeFix(line)
		typed.mended(findings[i].ID)
	}
	p.w.clean(p.T)
	p.planted = false // the fix has removed it: nothing is left to find
	typed.whole()
}

// completed returns a finding's command as a person would type it; false if it can't be typed
// here.
func completed(f finding) (string, bool) {
	if len(f.Fixes[0].Commands) == 0 || len(f.Fixes) > 1 || untyped[f.ID] != "" {
		return "", false
	}
	fix := f.Fix
	for _, placeholder := range placeholders[f.ID] {
		fix = strings.ReplaceAll(fix, placeholder[0], placeholder[1])
	}
	if strings.Contains(fix, "kubectl edit") {
		editor := editors[f.ID]
		if editor == "" {
			return "", false
		}
		return "KUBE_EDITOR=" + command.Native().Quote("sed -i -z "+command.Native().Quote(editor)) + " " + fix, true
	}
	open := regexp.MustCompile(`\b(NS|TENANT|CLAIM)\b`).MatchString(fix)
	return fix, !open && !strings.Contains(f.Fixes[0].Note, "comes back")
}

// placeholders are the replacements for words that a person has to fill in, by the finding's
// ID.
var placeholders = map[string][][2]string{
	"HT002": {{"NS", "outside"}},
	"HT041": {{"NS", "beta-a"}},
	"HT074": {{"NS", "outside"}, {"CLAIM", "mine"}},
}

// takeZoeOut has sed take user zoe out of a binding.
const takeZoeOut = `s/- apiGroup: rbac.authorization.k8s.io\n  kind: User\n  name: zoe\n//`

// editors are what sed makes of an object, by the finding's kind.
var editors = map[string]string{
	"HT022": takeZoeOut, "HT040": takeZoeOut,
	"HT028": `s/namespaceSelector: {}/namespaceSelector: {matchExpressions: [{key: helm-tenant\/home, operator: DoesNotExist}, {key: helm-tenant\/tenant, operator: DoesNotExist}, {key: kubernetes.io\/metadata.name, operator: NotIn, values: [kube-system]}]}/;` +
		` s/kubernetes.io\/metadata.name: [a-z-]*/kubernetes.io\/metadata.name: nowhere/; s/- nowhere\n/- kube-system\n/;` +
		` s/name: \(converter\|server\)\n\( *\)namespace: alpha-a/name: \1\n\2namespace: outside/;` +
		` s/name: server\n\( *\)namespace: old-[a-z0-9]*/name: server\n\1namespace: argocd/`, // where the controller itself is
	"HT075": `s/  externalIPs:\n  - [0-9.]*\n//; s/ *priorityClassName: [a-z-]*\n//`,
}

// untyped are kinds of which the command is typed by another test, or can't be without pods
// that run.
var untyped = map[string]string{
	"HT052": "the command has the record say what is so, and the finding stays: TestReleasesLeaveConfigMaps",
	"HT001": "an adoption: test/apitest, TestAdopt",
	"HT044": "a purge takes a Tiller that runs: test/e2e",
}

// typed is what all tests typed of the findings' commands.
var typed = tally{kinds: map[string]bool{}, printed: map[string]bool{}}

// tally counts what was typed. Its methods may be called by several tests at once.
type tally struct {
	mu sync.Mutex
	// kinds are the IDs of findings of which a command ran; printed are those that TestPlanted
	// saw with a command.
	kinds, printed map[string]bool
	// cases counts the cases in which all commands ran and fixed the finding; planted and ways
	// those that TestPlanted and TestWays ran.
	cases, planted, ways int
}

func (y *tally) mended(id string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.kinds[id] = true
}

func (y *tally) whole() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.cases++
}

// saw counts a case of TestPlanted and the findings that have a command.
func (y *tally) saw(findings []finding) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.planted++
	for _, f := range findings {
		if len(f.Fixes[0].Commands) > 0 {
			y.printed[f.ID] = true
		}
	}
}

func (y *tally) went() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.ways++
}

// missing returns the IDs of findings of which no command ran, if all cases ran.
func (y *tally) missing() []string {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.planted < len(allPlanted()) || y.ways < len(ways) {
		return nil
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(y.printed)), func(id string) bool { return y.kinds[id] || untyped[id] != "" })
}

// typeFix types one finding's command.
func (p *plant) typeFix(fix string) {
	p.Helper()
	// Each of several commands: no pod runs, so the first would wait for its Tiller.
	command := strings.NewReplacer("helm tenant init ", "helm tenant init --wait=false ", "helm tenant apply ", "helm tenant apply --wait=false ",
		"helm tenant destroy ", "helm tenant destroy --yes ").Replace(fix)
	if harness.Soak() || strings.Contains(command, "KUBE_EDITOR") {
		p.mends(command, p.w.command(p.w.Admin(), "/bin/sh", "-c", command))
		return
	}
	// A shell makes commands of it, which run in the test's process.
	for _, call := range shelltest.Shells[0].Calls(p.T, command) {
		p.mends(command, p.w.carryOut(call))
	}
}

func (p *plant) mends(fix string, r harness.Result) {
	p.Helper()
	if r.Code != 0 && !strings.Contains(r.Stderr, "not found") {
		p.Errorf("the fix %q: exit code %d\n%s", fix, r.Code, r.Stderr)
	}
}

// carryOut runs a command as an administrator types it: its program's name and its arguments.
func (w *world) carryOut(call []string) harness.Result {
	switch {
	case len(call) > 2 && call[0] == "helm" && call[1] == "tenant":
		return w.run(w.Admin(), call[2:]...)
	case call[0] != "kubectl" || !kubectl.Runs(w.environ(w.Admin()), call[1:]):
		return w.command(w.Admin(), filepath.Join(w.dir, "bin", call[0]), call[1:]...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	r, err := kubectl.Run(ctx, w.environ(w.Admin()), strings.NewReader(""), call[1:]...)
	if err != nil {
		r.Code, r.Stderr = -1, err.Error()
	}
	return r
}

// grant gives subjects rights by a role and a binding of that name: in a
// namespace, or over the cluster where it is empty.
func (p *plant) grant(ns, name string, what []string, who ...string) {
	p.Helper()
	if len(what) == 0 {
		return
	}
	ctx := context.Background()
	meta := metav1.ObjectMeta{Name: name, Namespace: ns}
	if ns == "" {
		must(p.T, create(p.w.root.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules(what...)}, metav1.CreateOptions{})))
		p.later(func() { p.gone(p.w.root.RbacV1().ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{})) })
		p.bind("", name, "ClusterRole", name, who...)
		return
	}
	must(p.T, create(p.w.root.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules(what...)}, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.RbacV1().Roles(ns).Delete(ctx, name, metav1.DeleteOptions{})) })
	p.bind(ns, name, "Role", name, who...)
}

// leadingRoles are ClusterRoles that lead to a deployer in two steps: nobody has
// them yet.
func (p *plant) leadingRoles() {
	p.Helper()
	ctx := context.Background()
	for name, what := range map[string]string{"rbac-writer": "* rbac:roles,rolebindings,clusterroles", "imp": "impersonate users"} {
		must(p.T, create(p.w.root.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules(what)}, metav1.CreateOptions{})))
		p.later(func() { p.gone(p.w.root.RbacV1().ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{})) })
	}
}

func (p *plant) bind(ns, name, kind, role string, who ...string) {
	p.Helper()
	ctx := context.Background()
	meta := metav1.ObjectMeta{Name: name, Namespace: ns}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
	if ns == "" {
		must(p.T, create(p.w.root.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects(who...)}, metav1.CreateOptions{})))
		p.later(func() { p.gone(p.w.root.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{})) })
		return
	}
	must(p.T, create(p.w.root.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects(who...)}, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.RbacV1().RoleBindings(ns).Delete(ctx, name, metav1.DeleteOptions{})) })
}

// init has helm-tenant make a tenant what it should be, with more flags, and
// make it so again at the end.
func (p *plant) init(name string, more ...string) {
	p.Helper()
	p.helmTenant(append([]string{"init", name, "--wait=false"}, more...)...)
}

func (p *plant) helmTenant(args ...string) {
	p.Helper()
	if r := p.w.run(p.w.Admin(), args...); r.Code != 0 {
		p.Errorf("helm-tenant %s: exit code %d\n%s", strings.Join(args, " "), r.Code, r.Stderr)
	}
}

// removeNamespace deletes a namespace, and waits until it is gone.
func (p *plant) removeNamespace(name string) {
	p.Helper()
	namespaces := p.w.root.CoreV1().Namespaces()
	must(p.T, namespaces.Delete(context.Background(), name, metav1.DeleteOptions{}))
	must(p.T, harness.Await(context.Background(), "the end of namespace "+name, func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	}))
}

// again makes the tenant what its record says when the plant is undone.
func (p *plant) again(name string) { p.later(func() { p.init(name) }) }

// mutateTiller changes a live Tiller, which init makes right again.
func (p *plant) mutateTiller(home string, change func(*appsv1.Deployment)) {
	p.Helper()
	ctx := context.Background()
	must(p.T, retry.RetryOnConflict(retry.DefaultBackoff, func() error { // a controller writes to it too
		d, err := p.w.root.AppsV1().Deployments(home).Get(ctx, "tiller-deploy", metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(d)
		return create(p.w.root.AppsV1().Deployments(home).Update(ctx, d, metav1.UpdateOptions{}))
	}))
	p.again(strings.TrimSuffix(home, "-tiller"))
}

// merge changes a live object by a JSON merge patch.
func (p *plant) merge(path, body string) {
	p.Helper()
	must(p.T, p.w.root.CoreV1().RESTClient().Patch(types.MergePatchType).AbsPath(path).Body([]byte(body)).Do(context.Background()).Error())
}

func (p *plant) delete(path string) {
	p.Helper()
	must(p.T, p.w.root.CoreV1().RESTClient().Delete().AbsPath(path).Do(context.Background()).Error())
}

// namespace makes one, of a name that was never there: to go takes a namespace
// longer than a test.
func (p *plant) namespace(labels map[string]string) string {
	p.Helper()
	ctx := context.Background()
	name := "old-" + rand.String(8)
	must(p.T, create(p.w.root.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})) })
	p.old = name
	return name
}

// stillIn returns the IDs of the ways that a revoke of that user says are left.
func (p *plant) stillIn(name, user string) []string {
	p.Helper()
	r := p.w.run(p.w.Admin(), "revoke", name, "--user", user, "-o", "json")
	var membership struct {
		StillIn []struct {
			Paths []string `json:"paths"`
		} `json:"stillIn"`
		Unknown string `json:"stillInUnknown"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &membership); err != nil || membership.Unknown != "" {
		p.Fatalf("revoke: exit code %d: %v: %s\n%s", r.Code, err, membership.Unknown, r.Stderr)
	}
	var ids []string
	for _, remaining := range membership.StillIn {
		ids = append(ids, remaining.Paths...)
	}
	return ids
}

// await looks until it is so, as long as a slow machine may take.
func (p *plant) await(what string, look func() bool) {
	p.Helper()
	must(p.T, harness.Await(context.Background(), what, func(context.Context) (bool, error) { return look(), nil }))
}

func wait() { time.Sleep(100 * time.Millisecond) }

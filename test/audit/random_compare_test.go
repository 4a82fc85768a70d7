package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// comparison compares the audit's report with the answers of an authority.
type comparison struct {
	*testing.T
	*world
	*scene
	generator *generator
	asked     atomic.Int64
	mutex     sync.Mutex
	people    int
	compared  int
	opened    int
	open      map[string]int
}

// batch are sets that are there together.
type batch struct {
	objects []metav1.Object
	people  []person
	byUser  map[string][]metav1.Object // by the user's name, for the message
}

// view is what an audit of a batch says: of all, and to --can-reach.
type view struct {
	whole    func() (report, error)
	canReach func(person) (report, error)
}

// newComparison plants four deployers: alpha's and beta's Tillers, gamma's for
// Helm 3, and a Tiller of nobody's that is open on the network.
func newComparison(t *testing.T) *comparison {
	t.Helper()
	w := start(t)
	w.clean(t)
	seed := *seed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("-seed %d", seed)
	p := w.plant(t)
	p.release("alpha-tiller", "fine", "alpha-b")
	p.unmanaged(func(d *appsv1.Deployment) { container(d).Command = nil })
	for _, home := range []string{"alpha-tiller", "beta-tiller", "gamma-helm", p.old} {
		p.bind(home, "plain", "ClusterRole", "edit")
	}
	p.bind("", "plain", "ClusterRole", "edit")
	for _, ns := range []string{"ci", "kube-system", "outside"} {
		p.bind(ns, "plain", "ClusterRole", "edit")
		p.grant(ns, "helm-tenant-member", []string{"create pods/portforward"})
	}
	p.leadingRoles()
	// In each home there is a binding to a Role and one to a ClusterRole that lead
	// to the deployer, so that other sets' bindings make no difference.
	p.grant(p.old, "helm-tenant-member", []string{"create pods/portforward"})
	s := &scene{administrators: []string{"kube-system:job-controller"}}
	for _, d := range []target{
		{home: "alpha-tiller", account: "tiller", tiller: true, users: []string{"alice"}, groups: []string{"alpha-devs"}, robot: true, records: []string{"fine.v1"}},
		{home: "beta-tiller", account: "tiller", tiller: true, users: []string{"bob"}},
		{home: "gamma-helm", account: "helm", users: []string{"gail"}},
		{home: p.old, account: "default", tiller: true, open: true, inConfigMaps: true},
	} {
		if d.tiller {
			d.pods = []string{w.pod(t, d.home)}
		}
		s.deployers = append(s.deployers, d)
	}
	g := &generator{Rand: rand.New(rand.NewPCG(uint64(seed), 0))}
	for _, d := range s.deployers {
		g.homes, g.pods = append(g.homes, d.home), append(g.pods, d.pods...)
	}
	return &comparison{T: t, world: w, scene: s, generator: g, open: map[string]int{}}
}

// make makes the sets of those numbers.
func (c *comparison) make(numbers []int) *batch {
	b := &batch{byUser: map[string][]metav1.Object{}}
	for _, n := range numbers {
		some, who := c.generator.set(n)
		b.objects, b.people = append(b.objects, some...), append(b.people, who...)
		for _, p := range who {
			b.byUser[p.user] = some
		}
	}
	return b
}

// compare compares the report on everybody in a batch with the authority.
func (c *comparison) compare(b *batch, truth func(person) authority, output view) {
	c.Helper()
	whole, err := output.whole()
	must(c.T, err)
	reported := map[string]bool{} // subjects that are reported to reach any deployer
	for _, d := range whole.Deployers {
		for _, a := range d.Access {
			reported[a.Subject] = true
		}
	}
	// The sets' accounts with cluster-wide rights are all in one namespace, and no rule names
	// one of them: the result for the first holds for all.
	accounts, groups := slices.Clone(c.administrators), []string{}
	for _, a := range whole.ClusterWide {
		reported[a.Subject] = true
		if name, found := strings.CutPrefix(a.Subject, "service account "); found && len(accounts) == len(c.administrators) {
			accounts = append(accounts, name)
		}
		// Nor one of their groups. An impersonated identity can't impersonate.
		direct := func(p path) bool { return !strings.Contains(fmt.Sprint(p.Chains), "impersonate") }
		if name, found := strings.CutPrefix(a.Subject, "group "); found && slices.ContainsFunc(a.Paths, direct) {
			groups = append(groups, name)
		}
	}
	for _, f := range whole.Findings {
		if f.ID == "HT021" || f.ID == "HT083" {
			reported[f.Subject] = true
		}
	}
	s := &scene{deployers: c.deployers, administrators: accounts, groups: groups}
	atOnce(b.people, func(p person) {
		a := &asker{person: p, authority: truth(p), known: map[authorizationv1.ResourceAttributes]bool{}, asked: &c.asked}
		got, err := output.canReach(p)
		if err != nil {
			c.Errorf("%s: %v", p.user, err)
			return
		}
		a.ahead(func() {
			for _, d := range c.deployers {
				s.paths(a, d)
			}
		})
		any := c.one(b, s, a, got)
		subject := "user " + p.user
		if name, found := strings.CutPrefix(p.user, "system:serviceaccount:"); found {
			subject = "service account " + name
		}
		// The audit does not know the groups of a user.
		if !p.custom() && reported[subject] != any {
			c.Errorf("%s reaches a deployer: %t; the audit of all says %t\n%s", subject, any, reported[subject], describe(b.byUser[p.user]))
		}
		if a.err != nil {
			c.Error(a.err)
		}
	})
}

// one compares one person's paths, and reports whether any is open.
func (c *comparison) one(b *batch, s *scene, a *asker, got report) (any bool) {
	output := map[string][]string{}
	for _, reached := range got.CanReach {
		if len(reached.Through) > 0 {
			continue // this compares the person's own rights, not other identities'
		}
		for _, path := range reached.Paths {
			// Whether a node is taken hangs on the labels of namespaces, which the authorizer
			// does not know.
			if path.ID != "take-node" {
				output[reached.Home] = append(output[reached.Home], path.ID)
			}
		}
	}
	for _, d := range c.deployers {
		truth, asked := s.paths(a, d)
		// An open Tiller is reported once, and not for each subject with a pod.
		any = any || slices.ContainsFunc(truth, func(id string) bool { return id != "connect" })
		current := output[d.home]
		slices.Sort(truth)
		slices.Sort(current)
		c.mutex.Lock()
		c.compared += asked
		c.opened += len(truth)
		for _, id := range truth {
			c.open[id]++
		}
		c.mutex.Unlock()
		if a.err == nil && !slices.Equal(truth, current) {
			c.Errorf("%s in %v, deployer in %s:\n  the authorizer: %q\n  the audit:      %q\n%s", a.user, a.groups, d.home, truth, current, describe(b.byUser[a.user]))
		}
	}
	c.mutex.Lock()
	c.people++
	c.mutex.Unlock()
	return any
}

// sum tells how much was compared.
func (c *comparison) sum() {
	c.Logf("%d people, %d answers compared, %d of them open, by %d questions; of a path: %v", c.people, c.compared, c.opened, c.asked.Load(), c.open)
	if c.opened == 0 {
		c.Error("nothing was open to anybody")
	}
}

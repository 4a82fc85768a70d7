package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"helm-tenant/cluster"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// start starts the Tillers of the tenants that got releases, and ends their part.
func (s *Split) start(ctx context.Context, p *SplitPlan) error {
	if err := s.apply(ctx, s.requests(p, p.State, true)); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for _, r := range s.Requests {
		t := r.Tenant.WithDefaults()
		if !p.targets()[t.Name] {
			continue
		}
		if s.Wait {
			if err := s.Client.WaitForTiller(waiting, t.Home(), func(sentence string) { s.say("%s: Tiller: %s", t.Name, sentence) }); err != nil {
				return err
			}
		}
		if err := s.mark(ctx, t, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// stopTenants stops the Tillers of tenants that had one before.
func (s *Split) stopTenants(ctx context.Context, p *SplitPlan, state *tenant.Split) error {
	waiting, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for _, r := range s.Requests {
		t := r.Tenant.WithDefaults()
		if !p.targets()[t.Name] {
			continue
		}
		if err := s.stopTenant(waiting, t, receiving(state, s.From, t)); err != nil {
			return err
		}
	}
	return nil
}

// stopTenant stops the tenant's Tiller, if it has one, and waits until it is stopped.
func (s *Split) stopTenant(ctx context.Context, t tenant.Tenant, state *tenant.Migration) error {
	live := cluster.NewLive()
	if err := s.Client.Lookup(ctx, live, []cluster.Key{tillerKey(t.Home())}); err != nil {
		return err
	}
	if err := s.mark(ctx, t, state, new(int32(0))); err != nil {
		return err
	}
	if live.Get(tillerKey(t.Home())) == nil {
		return nil
	}
	return s.Client.WaitUntilStopped(ctx, t.Home(), func(sentence string) { s.say("%s: Tiller: %s", t.Name, sentence) })
}

// checkStopped fails unless the split is where this run brought it, and the Tillers of all
// tenants that get releases are stopped: state names those that this run stopped.
func (p *SplitPlan) checkStopped(state *tenant.Split) error {
	switch {
	case p.State == nil:
		return ErrEnded
	case p.State.Phase != tenant.PhaseFrozen:
		return &SplittingError{p.From, *p.State}
	}
	stopped := state.Tenants()
	for _, r := range p.Releases {
		if r.Tenant != "" && !slices.Contains(stopped, r.Tenant) {
			return fmt.Errorf("release %q of tenant %q was installed before the Tiller stopped, and the Tiller of that tenant is not stopped", r.Name, r.Tenant)
		}
	}
	return nil
}

// waitUntilStopped waits until no pod of the split Tiller is left.
func (s *Split) waitUntilStopped(ctx context.Context) error {
	left := ""
	err := wait.PollUntilContextTimeout(ctx, time.Second/2, s.Timeout, true, func(ctx context.Context) (bool, error) {
		pods, err := s.Client.List(ctx, "Pod", s.From, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, pod := range pods {
			spec, err := runnerSpec(pod)
			if err != nil {
				return false, err
			}
			if recognise.IsTiller(spec.Template.Labels, spec.Template.Spec) {
				if left != pod.GetName() {
					left = pod.GetName()
					s.say("Tiller: waiting for pod %s to end", left)
				}
				return false, nil
			}
		}
		return true, nil
	})
	if wait.Interrupted(err) {
		return &cluster.NotReadyError{Home: s.From, Stopping: true, Sentence: "pod " + left + " runs", Err: err}
	}
	return err
}

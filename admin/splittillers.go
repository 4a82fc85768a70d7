package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/lists"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// start starts the Tillers of the tenants that got releases, and ends their part in the
// split.
func (s *Split) start(ctx context.Context, p *SplitPlan) error {
	if err := s.apply(ctx, s.requests(p, p.State, true)); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return s.eachTarget(p, func(t tenant.Tenant) error {
		if s.Wait {
			if err := s.Client.WaitForTiller(waiting, t.Home(), s.Event.sayTiller(t.Name)); err != nil {
				return err
			}
		}
		return s.setReceiving(ctx, t, nil, nil)
	})
}

// eachTarget calls do for each tenant that gets releases, until one call fails.
func (s *Split) eachTarget(p *SplitPlan, do func(tenant.Tenant) error) error {
	targets := p.targets()
	for _, t := range s.tenants() {
		if targets[t.Name] {
			if err := do(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// stopTenants stops the Tillers of tenants that had one before the split.
func (s *Split) stopTenants(ctx context.Context, p *SplitPlan, state *tenant.Split) error {
	waiting, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return s.eachTarget(p, func(t tenant.Tenant) error { return s.stopTenant(waiting, t, receiving(state, s.From, t)) })
}

// stopTenant stops the tenant's Tiller, if it has one, and waits until it is stopped.
func (s *Split) stopTenant(ctx context.Context, t tenant.Tenant, state *tenant.Migration) error {
	live := cluster.NewLive()
	if err := s.Client.Lookup(ctx, live, []cluster.Key{tillerKey(t.Home())}); err != nil {
		return err
	}
	if err := s.setReceiving(ctx, t, state, new(int32(0))); err != nil {
		return err
	}
	if live.Get(tillerKey(t.Home())) == nil {
		return nil
	}
	return s.Client.WaitUntilStopped(ctx, t.Home(), s.Event.sayTiller(t.Name))
}

// checkStopped fails unless the split is in the phase to which this run moved it, and the
// Tillers of all tenants that get releases are stopped. state names those that this run
// stopped.
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

// waitUntilStopped waits until the split Tiller has no pods.
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
					s.Event.say("Tiller: waiting for pod %s to end", left)
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

// waitUntilStarted waits until the split Tiller, after its restart, has as many ready
// pods as its workloads ask for; before that helm does not find it. It ends with a
// *cluster.NotReadyError after the timeout.
func (s *Split) waitUntilStarted(ctx context.Context) error {
	status, wanted := "its status is not known yet", -1
	err := wait.PollUntilContextTimeout(ctx, time.Second/2, s.Timeout, true, func(ctx context.Context) (bool, error) {
		var ready int
		var err error
		if wanted < 0 {
			wanted, err = s.wantedPods(ctx)
		}
		if err == nil {
			ready, err = s.readyPods(ctx)
		}
		switch {
		case cluster.IsTransient(err): // the split has ended already: a single failed request does not fail it
			return false, nil
		case err != nil || ready >= wanted:
			return err == nil, err
		}
		if sentence := fmt.Sprintf("%d of %d pods ready", ready, wanted); sentence != status {
			status = sentence
			s.Event.say("Tiller: %s", status)
		}
		return false, nil
	})
	if wait.Interrupted(err) {
		return &cluster.NotReadyError{Home: s.From, Sentence: status, Err: err}
	}
	return err
}

// wantedPods returns the number of pods that the workloads of the split Tiller ask for;
// -1 with an error.
func (s *Split) wantedPods(ctx context.Context) (int, error) {
	found, err := readTillers(ctx, s.Client, s.From)
	if err != nil {
		return -1, err
	}
	wanted := 0
	for _, t := range found.tillers {
		if slices.Contains(tenant.ScalableKinds, t.object.GetKind()) && t.spec.Replicas != nil {
			wanted += int(*t.spec.Replicas)
		}
	}
	return wanted, nil
}

func (s *Split) readyPods(ctx context.Context) (int, error) {
	pods, err := s.Client.List(ctx, "Pod", s.From, metav1.ListOptions{})
	ready := 0
	for _, object := range pods {
		var pod corev1.Pod
		if err := cluster.Typed(object, &pod); err != nil {
			return 0, err
		}
		if pod.DeletionTimestamp == nil && install.PodReady(pod) && recognise.IsTiller(pod.Labels, pod.Spec) {
			ready++
		}
	}
	return ready, err
}

// waitForTenants waits until the Tillers of the tenants that have one are ready.
func (s *Split) waitForTenants(ctx context.Context, tenants []tenant.Tenant) error {
	live := cluster.NewLive()
	keys := lists.Map(tenants, func(t tenant.Tenant) cluster.Key { return tillerKey(t.Home()) })
	if err := s.Client.Lookup(ctx, live, keys); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for _, t := range tenants {
		if live.Get(tillerKey(t.Home())) == nil {
			continue
		}
		if err := s.Client.WaitForTiller(waiting, t.Home(), s.Event.sayTiller(t.Name)); err != nil {
			return err
		}
	}
	return nil
}

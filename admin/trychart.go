package admin

import (
	"context"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/preflight"
)

// ChartTrial asks the API server by dry runs, as the tenant's deployer, for its answers to what
// helm would write for a chart.
type ChartTrial struct {
	deployer *cluster.Client
	question preflight.Question
	served   *cluster.Discovery
	plan     preflight.Plan
	// requests are those that are not answered yet.
	requests sync.WaitGroup

	mutex    sync.Mutex
	findings []preflight.Finding
	// uses return what objects would use of the quotas. They are called only if there are quotas:
	// to decode the first pod takes as long as the answer to a request.
	uses []func() preflight.Use
	// quotas has, by namespace, the quotas as far as they are read. unread is the error of a
	// request for them that ends everything: an API server that can't be reached.
	quotas map[string][]corev1.ResourceQuota
	unread error
}

// ServedKinds returns the kinds of a discovery in the form of preflight.
func ServedKinds(d *cluster.Discovery) preflight.Kinds {
	kinds := preflight.Kinds{}
	for gvk, kind := range d.Kinds {
		kinds[gvk] = preflight.Served{Namespaced: kind.Namespaced()}
	}
	return kinds
}

// BeginChart begins a trial with the requests that need no chart, while helm renders it: whether
// helm could write its record of the release, and the quotas of the record's namespace. record is
// nil if helm writes no Secret.
func BeginChart(ctx context.Context, deployer *cluster.Client, q preflight.Question, served *cluster.Discovery, record *preflight.Object) *ChartTrial {
	t := &ChartTrial{deployer: deployer, question: q, served: served, quotas: map[string][]corev1.ResourceQuota{}}
	if record != nil {
		t.readQuotas(ctx, *record)
		t.requests.Go(func() { t.add(t.record(ctx, *record)...) })
	}
	return t
}

// Try asks for the answers to what helm would write for the plan, and returns a finding for each
// problem. The error is one that ends everything: an API server that can't be reached.
func (t *ChartTrial) Try(ctx context.Context, plan preflight.Plan) ([]preflight.Finding, error) {
	t.plan = plan
	slots := make(chan struct{}, cluster.Width)
	for _, o := range plan.Try {
		// Quotas are read while the dry runs are made, which do not change them.
		t.readQuotas(ctx, o)
		slots <- struct{}{}
		t.requests.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() == nil {
				t.add(t.try(ctx, o)...)
			}
		})
	}
	for _, o := range plan.Custom {
		finding, err := t.custom(ctx, o)
		if err != nil {
			return nil, err
		}
		t.add(finding...)
	}
	t.requests.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if t.unread != nil {
		return nil, t.unread
	}
	for _, namespace := range slices.Sorted(maps.Keys(t.quotas)) {
		if quotas := t.quotas[namespace]; len(quotas) > 0 {
			t.add(t.question.Over(quotas, lists.Map(t.uses, func(use func() preflight.Use) preflight.Use { return use() }))...)
		}
	}
	return t.findings, nil
}

// begin makes a request while others are made, and returns a function that waits for its answer.
func begin[T any](t *ChartTrial, request func() T) func() T {
	answer := make(chan T, 1)
	t.requests.Go(func() { answer <- request() })
	return func() T { return <-answer }
}

func (t *ChartTrial) add(findings ...preflight.Finding) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.findings = append(t.findings, findings...)
}

// try asks about one object: whether it exists, whether it may be written, and whether
// its pods could be.
func (t *ChartTrial) try(ctx context.Context, o preflight.Object) []preflight.Finding {
	kind := t.served.Kinds[o.GroupVersionKind()]
	standIn, role := t.plan.StandIn(o)
	create := func() cluster.Answer { return t.write(ctx, kind, standIn, nil) }
	if !t.question.Upgrade { // most objects of a new release do not exist
		create = begin(t, create)
	}
	firstPod := t.beginPod(ctx, o)
	var findings []preflight.Finding
	var live *unstructured.Unstructured
	// Where helm has looked for the objects, they are read only if their creation shows that they
	// may exist. Helm does not look for hooks.
	searched := t.question.Searched && !o.Hook && !o.CRDFolder
	if !searched {
		live, findings = t.read(ctx, kind, o)
		if preflight.Decided(findings) {
			return findings
		}
	}
	if role != nil {
		answer := t.deployer.TryCreate(ctx, t.served.Kinds[role.GroupVersionKind()], role.Unstructured)
		if answer.Err != nil {
			findings = append(findings, t.question.Refusal(*role, "create", answer.Err).Of(o))
		}
	}
	var wrote cluster.Answer
	if live == nil {
		wrote = create()
	}
	if searched && (wrote.Err != nil || wrote.Object.GetResourceVersion() != "") {
		var existing []preflight.Finding
		live, existing = t.read(ctx, kind, o)
		if preflight.Decided(existing) {
			return append(findings, existing...)
		}
		findings = append(findings, existing...)
	}
	if live != nil {
		wrote = t.write(ctx, kind, standIn, live)
	}
	pod, podFindings := t.tryPods(ctx, o, wrote, firstPod)
	t.use(o, kind, wrote, live, pod)
	if wrote.Err != nil {
		refusal := t.question.Refusal(standIn, t.question.Verb(live != nil), wrote.Err)
		findings = preflight.Merge(findings, refusal.Of(o))
	}
	findings = append(findings, podFindings...)
	return append(findings, t.question.Warnings(o, wrote.Warnings, findings, pod != nil)...)
}

// read reads the object that helm would change; nil if it does not exist. The findings say what
// prevents the change.
func (t *ChartTrial) read(ctx context.Context, kind cluster.ServedKind, o preflight.Object) (*unstructured.Unstructured, []preflight.Finding) {
	if o.GetName() == "" || o.CRDFolder {
		return nil, nil
	}
	live, err := t.deployer.ReadObject(ctx, kind, o.GetNamespace(), o.GetName())
	findings := t.question.Existing(o, live, err)
	if err != nil {
		live = nil
	}
	return live, findings
}

// record asks whether helm could write its record of the release.
func (t *ChartTrial) record(ctx context.Context, o preflight.Object) []preflight.Finding {
	kind := t.served.Kinds[o.GroupVersionKind()]
	answer := t.deployer.TryCreate(ctx, kind, o.Unstructured)
	t.use(o, kind, answer, nil, nil)
	if answer.Err != nil && !preflight.IsThere(answer.Err) {
		return []preflight.Finding{t.question.Refusal(o, "create", answer.Err)}
	}
	return nil
}

// write asks about the object itself, with the request that helm would make.
func (t *ChartTrial) write(ctx context.Context, kind cluster.ServedKind, o preflight.Object, live *unstructured.Unstructured) cluster.Answer {
	q := t.question
	owned := q.Own(o)
	switch {
	case live != nil && !o.Hook:
		// Helm 3 patches the changed fields; an apply passes the same admission and
		// validation.
		answer := t.deployer.TryApply(ctx, kind, owned, !q.ServerSide || q.ForceConflicts)
		if preflight.IsOwnConflict(answer.Err) {
			return t.deployer.TryApply(ctx, kind, owned, true)
		}
		if !q.ServerSide && preflight.IsAboutApply(answer.Err) {
			return t.deployer.TryMerge(ctx, kind, owned)
		}
		return answer
	case live != nil && o.Replaces():
		return cluster.Answer{} // a hook that is deleted first
	case q.ServerSide && o.GetName() != "":
		return t.deployer.TryApply(ctx, kind, owned, q.ForceConflicts)
	}
	create := t.deployer.TryCreate
	if o.Hook && o.InList { // helm validates a list itself, and one that is a hook when it runs
		create = t.deployer.TryCreateStrictly
	}
	answer := create(ctx, kind, owned)
	if o.CRDFolder && preflight.IsThere(answer.Err) {
		return cluster.Answer{} // helm leaves it as it is
	}
	return answer
}

// podTrial is the dry run of a pod that an object's controller would create.
type podTrial struct {
	template *unstructured.Unstructured
	// answer waits for the API server's answer; nil if there is no such pod.
	answer func() cluster.Answer
}

func (t *ChartTrial) tryPod(ctx context.Context, template *unstructured.Unstructured) cluster.Answer {
	return t.deployer.TryCreate(ctx, t.served.Kinds[schema.GroupVersionKind{Version: "v1", Kind: "Pod"}], template)
}

// beginPod tries a pod of the object's controller, which does not depend on the object's own trial.
func (t *ChartTrial) beginPod(ctx context.Context, o preflight.Object) podTrial {
	template, found := t.plan.Pod(o)
	if !found {
		return podTrial{}
	}
	return podTrial{template, begin(t, func() cluster.Answer { return t.tryPod(ctx, template) })}
}

// tryPods asks about the pods and volume claims that the object's controller would
// create; first is the trial that has begun. pod is one of the pods as it would be stored; nil if
// there is none, or if it is not known.
func (t *ChartTrial) tryPods(ctx context.Context, o preflight.Object, wrote cluster.Answer, first podTrial) (pod *unstructured.Unstructured, findings []preflight.Finding) {
	if o.GetKind() == "Pod" && wrote.Object != nil {
		return wrote.Object, nil
	}
	bare := o.GetKind() == "Pod" && wrote.Err != nil && o.GroupVersionKind().Group == ""
	if bare {
		standIn, _ := t.plan.StandIn(o)
		refusal := t.question.Refusal(o, "create", wrote.Err)
		if refusal.ID == preflight.PodSecurity || refusal.ID == preflight.Guard {
			pod = standIn.Unstructured // the quota is exceeded, too
		}
		findings = t.behindPodSecurity(ctx, o, standIn.Unstructured, refusal)
		if template, found := preflight.Mend(standIn.Unstructured, refusal); found {
			first = podTrial{template, func() cluster.Answer { return t.tryPod(ctx, template) }}
		}
	}
	for next := first; next.answer != nil; {
		answer := next.answer()
		if answer.Err == nil {
			pod = answer.Object
			break
		}
		finding, counts := t.question.PodRefusal(o, answer.Err, wrote.Err)
		if !counts {
			break
		}
		pod = next.template
		if finding.ID != preflight.Quota || !preflight.Idle(o.Unstructured) { // no pod needs it
			findings = append(findings, finding)
		}
		if bare {
			findings = append(findings, t.behindPodSecurity(ctx, o, next.template, finding)...)
		}
		template, found := preflight.Mend(next.template, finding)
		if !found {
			break
		}
		next = podTrial{template, func() cluster.Answer { return t.tryPod(ctx, template) }}
	}
	claimKind := t.served.Kinds[schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}]
	for _, claim := range t.plan.Claims(o) {
		if answer := t.deployer.TryCreate(ctx, claimKind, claim); answer.Err != nil {
			if finding, counts := t.question.PodRefusal(o, answer.Err, wrote.Err); counts {
				findings = append(findings, finding)
			}
		}
	}
	return pod, findings
}

// behindPodSecurity asks whether the guard refuses a pod that PodSecurity refuses first, as finding
// says. The guard judges templates of pods as it does pods, and PodSecurity only warns of them.
func (t *ChartTrial) behindPodSecurity(ctx context.Context, o preflight.Object, pod *unstructured.Unstructured, finding preflight.Finding) []preflight.Finding {
	if finding.ID != preflight.PodSecurity {
		return nil
	}
	job := preflight.JobOf(pod)
	answer := t.deployer.TryCreate(ctx, t.served.Kinds[job.GroupVersionKind()], job)
	if answer.Err == nil {
		return nil
	}
	if refusal := t.question.Refusal(o, "create", answer.Err); refusal.ID == preflight.Guard {
		return []preflight.Finding{refusal}
	}
	return nil
}

// custom asks about an object of a kind that the chart itself defines, and that is not
// served yet: whether the deployer may create it, and whether it matches its definition.
func (t *ChartTrial) custom(ctx context.Context, o preflight.Object) ([]preflight.Finding, error) {
	needed := t.plan.Resource(o)
	allowed, err := t.deployer.May(ctx, cluster.Permission{Verb: "create", Group: needed.Group, Resource: needed.Resource, Namespace: o.GetNamespace()})
	if err != nil {
		return nil, err
	}
	return t.question.JudgeCustom(t.plan, o, allowed), nil
}

package admin

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/preflight"
)

// chartTrial asks the API server about the objects of a chart.
type chartTrial struct {
	deployer *cluster.Client
	question preflight.Question
	served   *cluster.Discovery
	plan     preflight.Plan

	mutex    sync.Mutex
	findings []preflight.Finding
	uses     []preflight.Use
}

// ServedKinds returns the kinds of a discovery in the form of preflight.
func ServedKinds(d *cluster.Discovery) preflight.Kinds {
	kinds := preflight.Kinds{}
	for gvk, kind := range d.Kinds {
		kinds[gvk] = preflight.Served{Namespaced: kind.Namespaced()}
	}
	return kinds
}

// TryChart asks the API server by dry runs, as the tenant's deployer, for its answers to
// what helm would write for the plan, and returns a finding for each problem. The error
// is one that ends everything: an API server that can't be reached.
func TryChart(ctx context.Context, deployer *cluster.Client, q preflight.Question, served *cluster.Discovery, plan preflight.Plan) ([]preflight.Finding, error) {
	t := &chartTrial{deployer: deployer, question: q, served: served, plan: plan}
	var group sync.WaitGroup
	// Quotas are read while the dry runs are made, which do not change them.
	quotas := make(chan quotasRead, 1)
	go func() { quotas <- t.readQuotas(ctx) }()
	slots := make(chan struct{}, cluster.Width)
	for _, o := range plan.Try {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() == nil {
				t.add(t.try(ctx, o)...)
			}
		})
	}
	if plan.Record != nil {
		group.Go(func() { t.add(t.record(ctx, *plan.Record)...) })
	}
	for _, o := range plan.Custom {
		finding, err := t.custom(ctx, o)
		if err != nil {
			return nil, err
		}
		t.add(finding...)
	}
	group.Wait()
	read := <-quotas
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if read.err != nil {
		return nil, read.err
	}
	t.add(read.unread...)
	for _, quotas := range read.quotas {
		t.add(q.Over(quotas, t.uses)...)
	}
	return t.findings, nil
}

func (t *chartTrial) add(findings ...preflight.Finding) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.findings = append(t.findings, findings...)
}

// try asks about one object: whether it exists, whether it may be written, and whether
// its pods could be.
func (t *chartTrial) try(ctx context.Context, o preflight.Object) []preflight.Finding {
	kind := t.served.Kinds[o.GroupVersionKind()]
	var findings []preflight.Finding
	var live *unstructured.Unstructured
	// Most objects of a new release do not exist: they are read only if their creation shows
	// that they may. Helm does not look for hooks.
	creates := t.question.Searched && !o.Hook && !o.CRDFolder
	if !creates {
		live, findings = t.read(ctx, kind, o)
		if preflight.Decided(findings) {
			return findings
		}
	}
	standIn, role := t.plan.StandIn(o)
	if role != nil {
		answer := t.deployer.TryCreate(ctx, t.served.Kinds[role.GroupVersionKind()], role.Unstructured)
		if answer.Err != nil {
			findings = append(findings, t.question.Refusal(*role, "create", answer.Err).Of(o))
		}
	}
	wrote := t.write(ctx, kind, standIn, live)
	if creates && (wrote.Err != nil || wrote.Object.GetResourceVersion() != "") {
		var existing []preflight.Finding
		live, existing = t.read(ctx, kind, o)
		if preflight.Decided(existing) {
			return append(findings, existing...)
		}
		findings = append(findings, existing...)
		if live != nil {
			wrote = t.write(ctx, kind, standIn, live)
		}
	}
	pod, podFindings := t.tryPods(ctx, o, wrote)
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
func (t *chartTrial) read(ctx context.Context, kind cluster.ServedKind, o preflight.Object) (*unstructured.Unstructured, []preflight.Finding) {
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
func (t *chartTrial) record(ctx context.Context, o preflight.Object) []preflight.Finding {
	kind := t.served.Kinds[o.GroupVersionKind()]
	answer := t.deployer.TryCreate(ctx, kind, o.Unstructured)
	t.use(o, kind, answer, nil, nil)
	if answer.Err != nil && !preflight.IsThere(answer.Err) {
		return []preflight.Finding{t.question.Refusal(o, "create", answer.Err)}
	}
	return nil
}

// write asks about the object itself, with the request that helm would make.
func (t *chartTrial) write(ctx context.Context, kind cluster.ServedKind, o preflight.Object, live *unstructured.Unstructured) cluster.Answer {
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

// tryPods asks about the pods and volume claims that the object's controller would
// create. pod is one of the pods as it would be stored; nil if there is none, or if it is
// not known.
func (t *chartTrial) tryPods(ctx context.Context, o preflight.Object, wrote cluster.Answer) (pod *corev1.Pod, findings []preflight.Finding) {
	if o.GetKind() == "Pod" && wrote.Object != nil {
		return preflight.PodOf(wrote.Object), nil
	}
	podKind := t.served.Kinds[schema.GroupVersionKind{Version: "v1", Kind: "Pod"}]
	template, found := t.plan.Pod(o)
	if o.GetKind() == "Pod" && wrote.Err != nil && o.GroupVersionKind().Group == "" {
		standIn, _ := t.plan.StandIn(o)
		template, found = preflight.Mend(standIn.Unstructured, t.question.Refusal(o, "create", wrote.Err))
	}
	for found {
		answer := t.deployer.TryCreate(ctx, podKind, template)
		if answer.Err == nil {
			pod = preflight.PodOf(answer.Object)
			break
		}
		finding, counts := t.question.PodRefusal(o, answer.Err, wrote.Err)
		if !counts {
			break
		}
		pod = preflight.PodOf(template)
		if finding.ID != preflight.Quota || !preflight.Idle(o.Unstructured) { // no pod needs it
			findings = append(findings, finding)
		}
		template, found = preflight.Mend(template, finding)
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

// use adds what the object would use of the namespace's quotas.
func (t *chartTrial) use(o preflight.Object, kind cluster.ServedKind, wrote cluster.Answer, live *unstructured.Unstructured, pod *corev1.Pod) {
	use := preflight.Use{Object: o, New: live == nil, Resource: kind.Plural(), Pod: pod}
	if wrote.Object != nil && !o.Hook {
		use.Object.Unstructured = wrote.Object // with the API server's defaults
	}
	if live != nil {
		before := preflight.Object{Unstructured: live}
		if template, found := (preflight.Plan{}).Pod(before); found {
			use.Before, use.BeforeReplicas = preflight.PodOf(template), preflight.Replicas(live)
		}
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.uses = append(t.uses, use)
}

// quotasRead has the quotas of the plan's namespaces.
type quotasRead struct {
	quotas [][]corev1.ResourceQuota
	// unread has a finding for each namespace whose quotas could not be read.
	unread []preflight.Finding
	err    error
}

// readQuotas reads the quotas of the tenant's namespaces that the plan writes into.
func (t *chartTrial) readQuotas(ctx context.Context) (read quotasRead) {
	var namespaces []string
	objects := t.plan.Try
	if t.plan.Record != nil {
		objects = append(slices.Clone(objects), *t.plan.Record)
	}
	for _, o := range objects {
		if ns := o.GetNamespace(); ns != "" && t.question.Has(ns) && !slices.Contains(namespaces, ns) {
			namespaces = append(namespaces, ns)
		}
	}
	for _, ns := range namespaces {
		quotas, err := cluster.List[corev1.ResourceQuota](ctx, t.deployer, "ResourceQuota", ns, metav1.ListOptions{})
		if err == nil {
			read.quotas = append(read.quotas, quotas)
			continue
		}
		unread, err := preflight.Unread("the ResourceQuotas of namespace "+ns, err)
		if err != nil {
			read.err = err
			return read
		}
		read.unread = append(read.unread, unread)
	}
	return read
}

// custom asks about an object of a kind that the chart itself defines, and that is not
// served yet: whether the deployer may create it, and whether it matches its definition.
func (t *chartTrial) custom(ctx context.Context, o preflight.Object) ([]preflight.Finding, error) {
	needed := t.plan.Resource(o)
	allowed, err := t.deployer.May(ctx, cluster.Permission{Verb: "create", Group: needed.Group, Resource: needed.Resource, Namespace: o.GetNamespace()})
	if err != nil {
		return nil, err
	}
	return t.question.JudgeCustom(t.plan, o, allowed), nil
}

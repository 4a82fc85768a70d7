package admin

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/audit"
	"helm-tenant/cluster"
)

// readFacts reads facts of the API server: its version, its features, its API groups, and
// whether it maps identities of a cloud to users.
func (t *snapshotReader) readFacts(ctx context.Context) error {
	s := &t.snapshot
	info, err := t.client.ServerVersion(ctx)
	if err != nil {
		return err
	}
	s.Version, s.Server = info.GitVersion, audit.ServerOf(info)
	// If the caller may not read the flags, the defaults of the server's version count.
	if flags, err := t.client.ServerFlags(ctx); err == nil {
		s.Server = s.Server.WithFlags(flags)
	}
	if s.APIGroups, err = t.client.APIGroups(ctx); err != nil {
		return err
	}
	// Amazon's EKS creates the map when it is first needed.
	s.Identities.Used = strings.Contains(info.GitVersion, "-eks-")
	return nil
}

func (t *snapshotReader) readIdentities(ctx context.Context) error {
	options := metav1.ListOptions{FieldSelector: "metadata.name=" + audit.IdentityMapName}
	return t.client.EachMeta(ctx, "ConfigMap", audit.IdentityMapNamespace, options, func(*metav1.PartialObjectMetadata) {
		t.locked(func() { t.snapshot.Identities = audit.IdentityMap{Used: true, Exists: true} })
	})
}

func (t *snapshotReader) addWebhooks(kind, name string, hooks []admissionv1.ValidatingWebhook) {
	for _, hook := range hooks {
		w := audit.Webhook{Kind: kind, Configuration: name, Rules: hook.Rules, NamespaceSelector: hook.NamespaceSelector, ObjectSelector: hook.ObjectSelector,
			Conditional: len(hook.MatchConditions) > 0}
		setServer(&w, hook.ClientConfig)
		t.locked(func() { t.snapshot.Webhooks = append(t.snapshot.Webhooks, w) })
	}
}

func (t *snapshotReader) readValidating(ctx context.Context) error {
	return readWebhooks(ctx, t, "ValidatingWebhookConfiguration", func(c *admissionv1.ValidatingWebhookConfiguration) []admissionv1.ValidatingWebhook {
		return c.DeepCopy().Webhooks
	})
}

func (t *snapshotReader) readMutating(ctx context.Context) error {
	return readWebhooks(ctx, t, "MutatingWebhookConfiguration", func(c *admissionv1.MutatingWebhookConfiguration) []admissionv1.ValidatingWebhook {
		var hooks []admissionv1.ValidatingWebhook
		for _, hook := range c.DeepCopy().Webhooks {
			hooks = append(hooks, admissionv1.ValidatingWebhook{ClientConfig: hook.ClientConfig, Rules: hook.Rules, NamespaceSelector: hook.NamespaceSelector, ObjectSelector: hook.ObjectSelector,
				MatchConditions: hook.MatchConditions})
		}
		return hooks
	})
}

func (t *snapshotReader) readMutatingBindings(ctx context.Context) error {
	bound := map[string][]admissionv1.MutatingAdmissionPolicyBinding{}
	err := cluster.Each(ctx, t.client, "MutatingAdmissionPolicyBinding", "", metav1.ListOptions{}, func(b *admissionv1.MutatingAdmissionPolicyBinding) {
		bound[b.Spec.PolicyName] = append(bound[b.Spec.PolicyName], *b.DeepCopy())
	})
	if err == nil {
		t.mutating = bound
	}
	return unlessUnserved(err)
}

// readMutatingPolicies reads the MutatingAdmissionPolicies, once for each of their bindings:
// without one a policy changes nothing.
func (t *snapshotReader) readMutatingPolicies(ctx context.Context) error {
	return unlessUnserved(cluster.Each(ctx, t.client, "MutatingAdmissionPolicy", "", metav1.ListOptions{}, func(p *admissionv1.MutatingAdmissionPolicy) {
		for _, b := range t.mutating[p.Name] {
			w := mutatingPolicy(p.DeepCopy(), b)
			t.locked(func() { t.snapshot.Webhooks = append(t.snapshot.Webhooks, w) })
		}
	}))
}

// unlessUnserved returns no error for a kind that the API server does not serve: it has none.
func unlessUnserved(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// mutatingPolicy returns a MutatingAdmissionPolicy with one of its bindings in the form of a
// webhook. Both choose objects; what they leave out by other means is not evaluated.
func mutatingPolicy(p *admissionv1.MutatingAdmissionPolicy, b admissionv1.MutatingAdmissionPolicyBinding) audit.Webhook {
	w := audit.Webhook{Kind: audit.MutatingPolicy, Configuration: p.Name, Server: audit.MutatingPolicy + " " + p.Name, Conditional: len(p.Spec.MatchConditions) > 0}
	for _, match := range []*admissionv1.MatchResources{p.Spec.MatchConstraints, b.Spec.MatchResources} {
		if match == nil {
			continue
		}
		w.NamespaceSelector, w.ObjectSelector = bothSelectors(w.NamespaceSelector, match.NamespaceSelector), bothSelectors(w.ObjectSelector, match.ObjectSelector)
		w.Conditional = w.Conditional || len(match.ExcludeResourceRules) > 0 || len(w.Rules) > 0 && len(match.ResourceRules) > 0
		if len(w.Rules) == 0 {
			for _, r := range match.ResourceRules {
				w.Rules = append(w.Rules, r.RuleWithOperations)
				w.Conditional = w.Conditional || len(r.ResourceNames) > 0
			}
		}
	}
	return w
}

// bothSelectors returns a selector of what two selectors both select; nil selects everything.
func bothSelectors(a, b *metav1.LabelSelector) *metav1.LabelSelector {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	all := a.DeepCopy()
	all.MatchExpressions = append(all.MatchExpressions, b.MatchExpressions...)
	for key, value := range b.MatchLabels { // the other selector may want another value
		all.MatchExpressions = append(all.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{value}})
	}
	return all
}

// readWebhooks reads the webhook configurations of one kind; hooks returns the webhooks
// of a configuration in the form of a validating one.
func readWebhooks[T any, P interface {
	*T
	runtime.Object
	metav1.Object
}](ctx context.Context, t *snapshotReader, kind string, hooks func(P) []admissionv1.ValidatingWebhook) error {
	names := []string{}
	if err := cluster.Each(ctx, t.client, kind, "", metav1.ListOptions{}, func(c P) {
		names = append(names, c.GetName())
		t.addWebhooks(kind, c.GetName(), hooks(c))
	}); err != nil {
		return err
	}
	t.addWebhookNames(kind, names)
	return nil
}

func (t *snapshotReader) addWebhookNames(kind string, names []string) {
	t.locked(func() {
		if t.snapshot.WebhookNames == nil {
			t.snapshot.WebhookNames = map[string][]string{}
		}
		t.snapshot.WebhookNames[kind] = names
	})
}

// hasMaker reports whether a Deployment or CronJob that was read made the workload, and
// whether the workload is what its maker says. Anybody who writes a Job can name a controller
// that did not make it, by its name and UID. If the makers could not be read, the workload's
// own owner reference counts. It sets MadeBy of a ReplicaSet that is not what its Deployment
// says, otherwise Sets of the Deployment.
func (t *snapshotReader) hasMaker(kind string, object metav1.Object, w *audit.Workload) bool {
	owner := metav1.GetControllerOf(object)
	if owner == nil {
		return false
	}
	ownerKind := cluster.OwnerKind(*owner)
	if ownerKind != "Deployment" && ownerKind != "CronJob" {
		return false
	}
	owned := true
	t.locked(func() {
		if slices.ContainsFunc(t.snapshot.Unseen, func(u audit.Unseen) bool { return u.Resource == strings.ToLower(ownerKind)+"s" }) {
			return
		}
		var maker cluster.Key
		if maker, owned = t.makers.Maker(kind, object); !owned {
			return
		}
		index, found := t.indices[maker]
		owned = found && matchesMaker(*w, t.snapshot.Workloads[index])
		switch {
		case kind != "ReplicaSet":
		case !owned:
			w.MadeBy = maker.Name
		case w.Demand != nil:
			deployment := &t.snapshot.Workloads[index]
			deployment.Sets = append(deployment.Sets, w.Name)
		}
	})
	return owned
}

// matchesMaker reports whether a workload runs and asks for nothing that its maker does not, and
// is a Tiller if and only if its maker is one. A ReplicaSet of a Deployment's earlier template
// is not made of its present one: it can be scaled, and its pods are created by a controller,
// which no policy of the guard holds.
func matchesMaker(w, maker audit.Workload) bool {
	if w.Account != maker.Account || (w.Template == nil) != (maker.Template == nil) {
		return false
	}
	if slices.ContainsFunc(w.AppliesFrom, func(from audit.ObjectRef) bool { return !slices.Contains(maker.AppliesFrom, from) }) {
		return false
	}
	return w.Demand == nil || maker.Demand != nil && w.Demand.Beyond(maker.Demand) == nil
}

// addMaker adds a workload that can be the maker of others. t is locked.
func (t *snapshotReader) addMaker(kind string, meta *metav1.ObjectMeta, w audit.Workload) {
	t.makers.Add(kind, meta)
	if t.indices == nil {
		t.indices = map[cluster.Key]int{}
	}
	t.indices[cluster.Key{Kind: kind, Namespace: meta.Namespace, Name: meta.Name}] = len(t.snapshot.Workloads)
	t.snapshot.Workloads = append(t.snapshot.Workloads, w)
}

// readOtherWorkloads reads a kind that creates pods, without objects that are what another
// workload makes.
func (t *snapshotReader) readOtherWorkloads(ctx context.Context, kind string) error {
	all := metav1.ListOptions{}
	add := func(meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec) {
		if template == nil {
			return
		}
		w := workloadOf(kind, meta, template)
		if !t.hasMaker(kind, meta, &w) {
			t.locked(func() { t.addMaker(kind, meta, w) })
		}
	}
	switch kind {
	case "Job":
		return cluster.Each(ctx, t.client, kind, "", all, func(j *batchv1.Job) { add(&j.ObjectMeta, &j.Spec.Template) })
	case "CronJob":
		return cluster.Each(ctx, t.client, kind, "", all, func(j *batchv1.CronJob) { add(&j.ObjectMeta, &j.Spec.JobTemplate.Spec.Template) })
	case "ReplicationController":
		return cluster.Each(ctx, t.client, kind, "", all, func(c *corev1.ReplicationController) { add(&c.ObjectMeta, c.Spec.Template) })
	}
	return cluster.Each(ctx, t.client, kind, "", all, func(s *appsv1.ReplicaSet) { add(&s.ObjectMeta, &s.Spec.Template) })
}

func setServer(w *audit.Webhook, config admissionv1.WebhookClientConfig) {
	switch {
	case config.Service != nil:
		w.Server = "service " + config.Service.Name + " in namespace " + config.Service.Namespace
		w.Service = audit.ObjectRef{Kind: "Service", Namespace: config.Service.Namespace, Name: config.Service.Name}
	case config.URL != nil:
		w.Server, w.Service = *config.URL, serviceOf(*config.URL)
	}
}

// serviceOf returns the Service that the cluster's DNS finds by the host of a URL,
// NAME.NAMESPACE.svc with or without a domain; zero for another host.
func serviceOf(address string) audit.ObjectRef {
	u, err := url.Parse(address)
	if err != nil {
		return audit.ObjectRef{}
	}
	labels := strings.Split(strings.ToLower(u.Hostname()), ".")
	for i := 2; i < len(labels); i++ { // a pod's own name can stand before the Service's
		if labels[i] == "svc" {
			return audit.ObjectRef{Kind: "Service", Namespace: labels[i-1], Name: labels[i-2]}
		}
	}
	return audit.ObjectRef{}
}

// readDefinitions reads the conversion webhooks of definitions. A kind of one version is never
// converted.
func (t *snapshotReader) readDefinitions(ctx context.Context) error {
	return unlessUnserved(cluster.Each(ctx, t.client, audit.Definition, "", metav1.ListOptions{}, func(d *cluster.CustomResourceDefinition) {
		conversion := d.Spec.Conversion
		if len(d.Spec.Versions) < 2 || conversion == nil || conversion.Webhook == nil || conversion.Webhook.ClientConfig == nil {
			return
		}
		w := audit.Webhook{Kind: audit.Definition, Configuration: d.Name}
		setServer(&w, *conversion.Webhook.ClientConfig)
		t.locked(func() { t.snapshot.Webhooks = append(t.snapshot.Webhooks, w) })
	}))
}

// readAPIServices reads which APIs another server serves.
func (t *snapshotReader) readAPIServices(ctx context.Context) error {
	return unlessUnserved(cluster.Each(ctx, t.client, audit.AggregatedAPI, "", metav1.ListOptions{}, func(s *cluster.APIService) {
		if s.Spec.Service == nil {
			return
		}
		w := audit.Webhook{Kind: audit.AggregatedAPI, Configuration: s.Name, Unverified: s.Spec.InsecureSkipTLSVerify}
		setServer(&w, admissionv1.WebhookClientConfig{Service: s.Spec.Service})
		t.locked(func() { t.snapshot.Webhooks = append(t.snapshot.Webhooks, w) })
	}))
}

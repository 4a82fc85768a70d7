package tenant

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestResolve(t *testing.T) {
	extension := (*Extension)(nil).with(ops).with(Known{Name: "moved", HomeNamespace: "far-away", Engine: EngineImpersonation, Namespaces: []string{"m"}}).with(teamA)
	usedTeamA := Resolved{Name: "team-a", Home: "team-a-tiller", Engine: EngineTiller, Namespaces: []string{"a", "b"}, Rule: RuleExtension}
	by := func(r Resolved, rule Rule) Resolved { r.Rule = rule; return r }
	for _, test := range []struct {
		name      string
		asked     Asked
		extension *Extension
		want      Resolved
		refused   string
	}{
		// 1. --tenant
		{"--tenant by convention", Asked{Flag: "team-b"}, nil, Resolved{Name: "team-b", Home: "team-b-tiller", Engine: EngineTiller, Rule: RuleFlag}, ""},
		{"--tenant by convention, under Helm 3", Asked{Flag: "team-b", Engine: EngineImpersonation}, nil, Resolved{Name: "team-b", Home: "team-b-helm", Engine: EngineImpersonation, Rule: RuleFlag}, ""},
		{"--tenant that the context knows", Asked{Flag: "ops"}, extension, Resolved{Name: "ops", Home: "kube-system", Engine: EngineTiller, AllNamespaces: true, Rule: RuleFlag}, ""},
		{"--tenant that the context knows with another engine", Asked{Flag: "moved"}, extension, Resolved{Name: "moved", Home: "far-away", Engine: EngineImpersonation, Namespaces: []string{"m"}, Rule: RuleFlag}, ""},
		{"--tenant that the context does not know", Asked{Flag: "team-b"}, extension, Resolved{Name: "team-b", Home: "team-b-tiller", Engine: EngineTiller, Rule: RuleFlag}, ""},
		{"--tenant before all else", Asked{Flag: "team-b", Environment: "team-c", TillerNamespace: "x"}, extension, Resolved{Name: "team-b", Home: "team-b-tiller", Engine: EngineTiller, Rule: RuleFlag}, ""},
		{"--tenant and its own --tiller-namespace", Asked{Flag: "team-b", TypedTillerNamespace: "team-b-tiller"}, nil, Resolved{Name: "team-b", Home: "team-b-tiller", Engine: EngineTiller, Rule: RuleFlag}, ""},
		{"--tenant against --tiller-namespace", Asked{Flag: "team-b", TypedTillerNamespace: "team-c-tiller"}, nil, Resolved{},
			`--tenant names tenant "team-b", whose home namespace is "team-b-tiller", but --tiller-namespace names "team-c-tiller": give only one of them`},
		{"--tenant against the --tiller-namespace of the convention that it does not follow", Asked{Flag: "moved", TypedTillerNamespace: "moved-helm"}, extension, Resolved{},
			`--tenant names tenant "moved", whose home namespace is "far-away", but --tiller-namespace names "moved-helm": give only one of them`},
		{"--tenant that is no name", Asked{Flag: "Team_B"}, nil, Resolved{},
			`--tenant: tenant name "Team_B" is not a DNS label: use lower case letters, digits and '-', starting and ending with a letter or digit`},

		// 2. HELM_TENANT
		{"HELM_TENANT by convention", Asked{Environment: "team-b"}, nil, Resolved{Name: "team-b", Home: "team-b-tiller", Engine: EngineTiller, Rule: RuleEnvironment}, ""},
		{"HELM_TENANT that the context knows", Asked{Environment: "team-a"}, extension, by(usedTeamA, RuleEnvironment), ""},
		{"HELM_TENANT before TILLER_NAMESPACE and the context", Asked{Environment: "team-b", TillerNamespace: "x"}, extension, Resolved{Name: "team-b", Home: "team-b-tiller", Engine: EngineTiller, Rule: RuleEnvironment}, ""},
		{"HELM_TENANT against --tiller-namespace", Asked{Environment: "team-b", TypedTillerNamespace: "kube-system"}, nil, Resolved{},
			`HELM_TENANT names tenant "team-b", whose home namespace is "team-b-tiller", but --tiller-namespace names "kube-system": give only one of them`},
		{"HELM_TENANT that is no name", Asked{Environment: "a b"}, nil, Resolved{},
			`HELM_TENANT: tenant name "a b" is not a DNS label: use lower case letters, digits and '-', starting and ending with a letter or digit`},

		// 3. --tiller-namespace
		{"--tiller-namespace of nobody we know", Asked{TypedTillerNamespace: "x"}, nil, Resolved{Home: "x", Engine: EngineTiller, Rule: RuleTillerNamespace}, ""},
		{"--tiller-namespace that the context knows", Asked{TypedTillerNamespace: "kube-system"}, extension, Resolved{Name: "ops", Home: "kube-system", Engine: EngineTiller, AllNamespaces: true, Rule: RuleTillerNamespace}, ""},
		{"--tiller-namespace before TILLER_NAMESPACE and the context", Asked{TypedTillerNamespace: "x", TillerNamespace: "y"}, extension, Resolved{Home: "x", Engine: EngineTiller, Rule: RuleTillerNamespace}, ""},
		{"TILLER_NAMESPACE before the context", Asked{TillerNamespace: "y"}, extension, Resolved{Home: "y", Engine: EngineTiller, Rule: RuleTillerVariable}, ""},
		{"--tiller-namespace that is no name", Asked{TypedTillerNamespace: "x=y"}, extension, Resolved{},
			`--tiller-namespace: "x=y" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`},

		// 4. the context
		{"the context", Asked{}, extension, usedTeamA, ""},
		{"the context, whatever the helm", Asked{Engine: EngineImpersonation}, extension, usedTeamA, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &Kubeconfig{Context: "main", Namespace: "somewhere", Extension: test.extension}
			if test.asked.Engine == "" {
				test.asked.Engine = EngineTiller
			}
			got, err := k.Resolve(t.Context(), test.asked, func(context.Context, string) (map[string]string, map[string]string, error) {
				t.Error("the API was asked")
				return nil, nil, errors.New("no API in this test")
			})
			if diff := cmp.Diff(test.refused, errorText(err)); diff != "" {
				t.Errorf("error, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// 5. the label on the context's namespace
func TestResolveByLabel(t *testing.T) {
	type m = map[string]string
	for _, test := range []struct {
		name                string
		labels, annotations m
		err                 error
		engine              Engine
		want                Resolved
		refused             string
	}{
		{"a namespace of a tenant", m{LabelTenant: "team-a"}, nil, nil, EngineTiller, Resolved{Name: "team-a", Home: "team-a-tiller", Engine: EngineTiller, Namespaces: []string{"somewhere"}, Rule: RuleNamespaceLabel}, ""},
		{"a namespace of a tenant, under Helm 3", m{LabelTenant: "team-a"}, nil, nil, EngineImpersonation, Resolved{Name: "team-a", Home: "team-a-helm", Engine: EngineImpersonation, Namespaces: []string{"somewhere"}, Rule: RuleNamespaceLabel}, ""},
		{"it says where the home is", m{LabelTenant: "team-a"}, m{AnnotationHome: "far-away"}, nil, EngineTiller, Resolved{Name: "team-a", Home: "far-away", Engine: EngineTiller, Namespaces: []string{"somewhere"}, Rule: RuleNamespaceLabel}, ""},
		{"it is the home", m{LabelTenant: "team-a", LabelHome: "tiller"}, nil, nil, EngineTiller, Resolved{Name: "team-a", Home: "somewhere", Engine: EngineTiller, Rule: RuleNamespaceLabel}, ""},
		{"a namespace of nobody", m{"team": "a"}, m{AnnotationHome: "far-away"}, nil, EngineTiller, Resolved{},
			`no tenant is known for context "main", namespace "somewhere": it carries no label helm-tenant/tenant`},
		{"a label that is no name", m{LabelTenant: "Team_A"}, nil, nil, EngineTiller, Resolved{},
			`no tenant is known for context "main", namespace "somewhere": its label helm-tenant/tenant: tenant name "Team_A" is not a DNS label: use lower case letters, digits and '-', starting and ending with a letter or digit`},
		{"an annotation that is no name", m{LabelTenant: "team-a"}, m{AnnotationHome: "--host=x"}, nil, EngineTiller, Resolved{},
			`no tenant is known for context "main", namespace "somewhere": its annotation helm-tenant/home-namespace: "--host=x" is not a namespace's name: use lower case letters, digits and '-', at most 63 of them`},
		{"the API refuses", nil, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "somewhere", errors.New("no\n  right")), EngineTiller, Resolved{},
			`no tenant is known for context "main", namespace "somewhere": namespaces "somewhere" is forbidden: no right`},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &Kubeconfig{Context: "main", Namespace: "somewhere"}
			calls := 0
			got, err := k.Resolve(t.Context(), Asked{Engine: test.engine}, func(_ context.Context, namespace string) (map[string]string, map[string]string, error) {
				calls++
				if namespace != "somewhere" {
					t.Errorf("namespace %q was asked for", namespace)
				}
				return test.labels, test.annotations, test.err
			})
			if diff := cmp.Diff(test.refused, errorText(err)); diff != "" {
				t.Errorf("error, -want +got:\n%s", diff)
			}
			var unresolved *UnresolvedError
			if err != nil && !errors.As(err, &unresolved) {
				t.Errorf("the error is a %T", err)
			}
			if test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("the API's error is not in %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if calls != 1 {
				t.Errorf("the API was asked %d times", calls)
			}
		})
	}
}

// Where the API server does not answer, nobody knows whether there is a tenant.
func TestResolveUnanswered(t *testing.T) {
	k := &Kubeconfig{Context: "main", Namespace: "somewhere"}
	failed := errors.New("the API server of context \"main\" can't be reached")
	_, err := k.Resolve(t.Context(), Asked{Engine: EngineTiller}, func(context.Context, string) (map[string]string, map[string]string, error) { return nil, nil, failed })
	if !errors.Is(err, failed) || err.Error() != failed.Error() {
		t.Errorf("got %v", err)
	}
}

func TestResolveInPod(t *testing.T) {
	k := &Kubeconfig{Namespace: "ci", pod: &pod{}}
	labels := map[string]string{}
	labelsOf := func(_ context.Context, namespace string) (map[string]string, map[string]string, error) {
		if namespace != "ci" {
			t.Errorf("namespace %q was asked for", namespace)
		}
		return labels, nil, nil
	}
	_, err := k.Resolve(t.Context(), Asked{Engine: EngineTiller}, labelsOf)
	if diff := cmp.Diff(`no tenant is known for the cluster of this pod, namespace "ci": it carries no label helm-tenant/tenant`, errorText(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var unresolved *UnresolvedError
	if !errors.As(err, &unresolved) || !unresolved.InPod {
		t.Errorf("the error does not say that it is in a pod: %v", err)
	}
	labels[LabelTenant] = "team-a"
	got, err := k.Resolve(t.Context(), Asked{Engine: EngineTiller}, labelsOf)
	want := Resolved{Name: "team-a", Home: "team-a-tiller", Engine: EngineTiller, Namespaces: []string{"ci"}, Rule: RuleNamespaceLabel}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func TestNamespaceFor(t *testing.T) {
	for _, test := range []struct {
		name     string
		resolved Resolved
		context  string
		want     string
	}{
		{"the context's is not the tenant's", Resolved{Namespaces: []string{"a", "b"}}, "default", "a"},
		{"the context's is the default one", Resolved{Namespaces: []string{"a", "b"}}, "a", ""},
		{"the context's is another of the tenant's", Resolved{Namespaces: []string{"a", "b"}}, "b", ""},
		{"the tenant's are not known", Resolved{}, "default", ""},
		{"the tenant has all", Resolved{AllNamespaces: true, Namespaces: []string{"a"}}, "default", ""},
	} {
		if got := test.resolved.NamespaceFor(test.context); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

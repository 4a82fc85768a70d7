package admin

import (
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TestMutatingConditions: the matchConditions of a policy may leave objects out.
func TestMutatingConditions(t *testing.T) {
	p := &admissionv1.MutatingAdmissionPolicy{Spec: admissionv1.MutatingAdmissionPolicySpec{MatchConditions: []admissionv1.MatchCondition{{Name: "x", Expression: "false"}}}}
	if !mutatingPolicy(p, admissionv1.MutatingAdmissionPolicyBinding{}).Conditional {
		t.Error("the conditions are overlooked")
	}
}

// TestMutatingPolicy: a policy chooses what both it and its binding choose.
func TestMutatingPolicy(t *testing.T) {
	in := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	rules := []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Rule: admissionv1.Rule{Resources: []string{"pods"}}}}}
	named := []admissionv1.NamedRuleWithOperations{{ResourceNames: []string{"one"}, RuleWithOperations: rules[0].RuleWithOperations}}
	object := labels.Set{"object": "b"}
	for _, test := range []struct {
		name            string
		policy, binding *admissionv1.MatchResources
		namespace       labels.Set
		want            bool
		conditional     bool
	}{
		{"everything", &admissionv1.MatchResources{ResourceRules: rules}, nil, nil, true, false},
		{"the policy's namespaces", &admissionv1.MatchResources{ResourceRules: rules, NamespaceSelector: in("a", "b")}, nil, labels.Set{"a": "b"}, true, false},
		{"others than the policy's", &admissionv1.MatchResources{ResourceRules: rules, NamespaceSelector: in("a", "b")}, nil, labels.Set{"a": "c"}, false, false},
		{"the binding's namespaces", &admissionv1.MatchResources{ResourceRules: rules, NamespaceSelector: &metav1.LabelSelector{}}, &admissionv1.MatchResources{NamespaceSelector: in("a", "b")}, labels.Set{"a": "b"}, true, false},
		{"others than the binding's", &admissionv1.MatchResources{ResourceRules: rules}, &admissionv1.MatchResources{NamespaceSelector: in("a", "b")}, labels.Set{}, false, false},
		{"of both, which contradict each other", &admissionv1.MatchResources{ResourceRules: rules, NamespaceSelector: in("a", "b")}, &admissionv1.MatchResources{NamespaceSelector: in("a", "c")}, labels.Set{"a": "b"}, false, false},
		{"rules of the binding", &admissionv1.MatchResources{ResourceRules: rules}, &admissionv1.MatchResources{ResourceRules: rules}, nil, true, true},
		{"names of objects", &admissionv1.MatchResources{ResourceRules: named}, nil, nil, true, true},
		{"the policy's objects", &admissionv1.MatchResources{ResourceRules: rules, ObjectSelector: in("object", "b")}, nil, nil, true, false},
		{"others than the policy's objects", &admissionv1.MatchResources{ResourceRules: rules, ObjectSelector: in("object", "c")}, nil, nil, false, false},
		{"others than the binding's objects", &admissionv1.MatchResources{ResourceRules: rules}, &admissionv1.MatchResources{ObjectSelector: in("object", "c")}, nil, false, false},
		{"by expressions of both", &admissionv1.MatchResources{ResourceRules: rules, NamespaceSelector: in("a", "b")},
			&admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "home", Operator: metav1.LabelSelectorOpDoesNotExist}}}}, labels.Set{"a": "b", "home": "tiller"}, false, false},
		{"excluded rules", &admissionv1.MatchResources{ResourceRules: rules, ExcludeResourceRules: rules}, nil, nil, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &admissionv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: admissionv1.MutatingAdmissionPolicySpec{MatchConstraints: test.policy}}
			w := mutatingPolicy(p, admissionv1.MutatingAdmissionPolicyBinding{Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{MatchResources: test.binding}})
			matches := func(selector *metav1.LabelSelector, set labels.Set) bool {
				s, err := metav1.LabelSelectorAsSelector(selector)
				if err != nil {
					t.Fatal(err)
				}
				return selector == nil || s.Matches(set)
			}
			if got := matches(w.NamespaceSelector, test.namespace) && matches(w.ObjectSelector, object); got != test.want || w.Conditional != test.conditional || len(w.Rules) != 1 || !slices.Equal(w.Rules[0].Resources, []string{"pods"}) {
				t.Errorf("chosen is %v, of %+v", got, w)
			}
		})
	}
}

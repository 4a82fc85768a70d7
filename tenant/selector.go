package tenant

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// NamespaceSelector chooses namespaces by their labels, like Kubernetes' label selectors:
// a namespace has to match all parts.
type NamespaceSelector struct {
	MatchLabels      map[string]string     `yaml:"matchLabels,omitempty" json:"matchLabels,omitempty"`
	MatchExpressions []SelectorRequirement `yaml:"matchExpressions,omitempty" json:"matchExpressions,omitempty"`
}

// SelectorRequirement is a requirement for the label with a key.
type SelectorRequirement struct {
	Key string `yaml:"key" json:"key"`
	// Operator is In, NotIn, Exists or DoesNotExist.
	Operator string   `yaml:"operator" json:"operator"`
	Values   []string `yaml:"values,flow,omitempty" json:"values,omitempty"`
}

func (s *NamespaceSelector) labelSelector() (labels.Selector, error) {
	selector := metav1.LabelSelector{MatchLabels: s.MatchLabels}
	for _, r := range s.MatchExpressions {
		selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{Key: r.Key, Operator: metav1.LabelSelectorOperator(r.Operator), Values: r.Values})
	}
	return metav1.LabelSelectorAsSelector(&selector)
}

// String returns the selector in the form of kubectl's --selector, empty for nil.
func (s *NamespaceSelector) String() string {
	if s == nil {
		return ""
	}
	selector, err := s.labelSelector()
	if err != nil {
		return err.Error()
	}
	return selector.String()
}

// checkSelector returns what is wrong with the tenant's namespace selector, and with the
// recorded namespaces that it chose.
func (t Tenant) checkSelector() error {
	s := t.NamespaceSelector
	switch {
	case s == nil && len(t.Selected) > 0:
		return errors.New("selectedNamespaces: there is no namespaceSelector")
	case s == nil:
		return nil
	case t.AllNamespaces:
		return errors.New("namespaceSelector: the tenant has all namespaces already")
	case len(s.MatchLabels)+len(s.MatchExpressions) == 0:
		return errors.New("namespaceSelector: it is empty, and would choose every namespace: give matchLabels or matchExpressions")
	}
	if _, err := s.labelSelector(); err != nil {
		return fmt.Errorf("namespaceSelector: %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	for _, ns := range t.Selected {
		if !slices.Contains(t.Namespaces, ns) {
			return fmt.Errorf("selectedNamespaces: %q is not one of the tenant's namespaces", ns)
		}
	}
	if len(t.Namespaces) > 0 && len(t.named()) == 0 {
		return errNoNamespace
	}
	return nil
}

// named returns the tenant's namespaces that no selector chose.
func (t Tenant) named() []string {
	return slices.DeleteFunc(slices.Clone(t.Namespaces), func(ns string) bool { return slices.Contains(t.Selected, ns) })
}

// LabelledNamespace has the parts of a namespace that selection depends on.
type LabelledNamespace struct {
	Name   string
	Labels map[string]string
	// Terminating reports whether it is being deleted.
	Terminating bool
}

// Selection has the namespaces that the selectors of a tenants file choose in a cluster.
type Selection struct{ byTenant map[string]*selected }

type selected struct {
	namespaces []string
	// leftOut are the namespaces that match, each with the reason why the tenant can't
	// have it.
	leftOut []string
	err     error
}

// Select resolves the selectors of a file's tenants. A selector never chooses a namespace
// of Kubernetes, a home, one that another tenant has or that the file names for another,
// or one that is being deleted. A namespace that two selectors choose, and neither tenant
// has yet, is an error of both.
func Select(file []Tenant, all []LabelledNamespace) *Selection {
	s := &Selection{map[string]*selected{}}
	selectors := map[string]labels.Selector{}
	named, homes := map[string]string{}, map[string]string{}
	var names []string
	for _, t := range file {
		t = t.WithDefaults()
		homes[t.Home()] = t.Name
		for _, ns := range t.named() {
			named[ns] = t.Name
		}
		if t.NamespaceSelector == nil {
			continue
		}
		chosen := &selected{}
		s.byTenant[t.Name] = chosen
		selector, err := t.NamespaceSelector.labelSelector()
		if err != nil || selector.Empty() {
			chosen.err = t.checkSelector()
			continue
		}
		selectors[t.Name] = selector
		names = append(names, t.Name)
	}
	slices.Sort(names)
	for _, ns := range all {
		owner := ns.Labels[LabelTenant]
		var by []string
		for _, name := range names {
			if named[ns.Name] == name || !selectors[name].Matches(labels.Set(ns.Labels)) {
				continue
			}
			why := ""
			switch {
			case IsSystemNamespace(ns.Name):
				why = "it is Kubernetes' own"
			case ns.Labels[LabelHome] != "" || homes[ns.Name] != "":
				why = "it is a home namespace"
			case named[ns.Name] != "":
				why = fmt.Sprintf("the file names it for tenant %q", named[ns.Name])
			case owner != "" && owner != name:
				why = fmt.Sprintf("it belongs to tenant %q", owner)
			case ns.Terminating:
				why = "it is being deleted"
			}
			if why != "" {
				s.byTenant[name].leftOut = append(s.byTenant[name].leftOut, fmt.Sprintf("namespace %q matches the namespaceSelector and is left out: %s", ns.Name, why))
				continue
			}
			by = append(by, name)
		}
		for _, name := range by {
			if len(by) > 1 {
				s.byTenant[name].err = fmt.Errorf("namespace %q matches the namespaceSelectors of the tenants %s: let one of them match, or name it in its namespaces", ns.Name, strings.Join(by, ", "))
				continue
			}
			s.byTenant[name].namespaces = append(s.byTenant[name].namespaces, ns.Name)
		}
	}
	return s
}

// Of returns the tenant with the namespaces that its selector chooses, sorted, after
// those that it names, and a line for each matching namespace that is left out. A tenant
// without a selector is returned unchanged. The error reports that the selector can't be
// resolved.
func (s *Selection) Of(t Tenant) (resolved Tenant, leftOut []string, err error) {
	chosen := s.byTenant[t.Name]
	if t.NamespaceSelector == nil || chosen == nil {
		return t, nil, nil
	}
	t.Namespaces, t.Selected = t.named(), slices.Sorted(slices.Values(chosen.namespaces))
	t.Namespaces = append(t.Namespaces, t.Selected...)
	return t, chosen.leftOut, chosen.err
}

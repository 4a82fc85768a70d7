package rails

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/tenant"
)

func TestObjects(t *testing.T) {
	one := tenant.Tenant{Name: "t", Namespaces: []string{"b", "a"}, Rails: tenant.Rails{
		Quota:   map[string]string{"requests.cpu": "2000m", "pods": "5"},
		Limits:  &tenant.Limits{Default: map[string]string{"cpu": "1"}, DefaultRequest: map[string]string{"cpu": "50m"}, Max: map[string]string{"memory": "1Gi"}},
		Network: tenant.NetworkIsolated, AllowFrom: []string{"10.0.0.0/24"}, NetworkExcept: []string{"10.1.0.0/16", "fd01::/16"},
	}}
	var texts []string
	for _, object := range Objects(one, "a", "t") {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		_, spec, _ := strings.Cut(string(text), "\nspec:\n")
		spec, _, _ = strings.Cut(spec, "status:")
		texts = append(texts, object.GetObjectKind().GroupVersionKind().Kind+"\n"+spec)
	}
	if diff := cmp.Diff([]string{`ResourceQuota
  hard:
    pods: "5"
    requests.cpu: "2"
`, `LimitRange
  limits:
  - default:
      cpu: "1"
      memory: 1Gi
    defaultRequest:
      cpu: 50m
      memory: 1Gi
    max:
      memory: 1Gi
    type: Container
`, `NetworkPolicy
  egress:
  - to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
        - 10.1.0.0/16
        - 100.100.100.200/32
        - 169.254.169.254/32
    - ipBlock:
        cidr: ::/0
        except:
        - 64:ff9b::6464:64c8/128
        - 64:ff9b::a01:0/112
        - 64:ff9b::a9fe:a9fe/128
        - fd00:ec2::254/128
        - fd01::/16
    - namespaceSelector: {}
  ingress:
  - from:
    - namespaceSelector:
        matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values:
          - a
          - b
    - namespaceSelector:
        matchLabels:
          helm-tenant/reachable: "true"
    - ipBlock:
        cidr: 10.0.0.0/24
  podSelector: {}
  policyTypes:
  - Ingress
  - Egress
`}, texts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if objects := Objects(tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Rails: tenant.NewRails(false)}, "a", "t"); len(objects) > 0 {
		t.Errorf("a new tenant has %v", objects)
	}
}

func TestNames(t *testing.T) {
	one := tenant.Tenant{Name: "t"}
	if Name(one, "") != "helm-tenant" || Name(one, "t") != "helm-tenant" || Name(one, "other") != "helm-tenant-t" {
		t.Errorf("%s, %s, %s", Name(one, ""), Name(one, "t"), Name(one, "other"))
	}
	for _, c := range []struct {
		kind, name string
		want       bool
	}{{"NetworkPolicy", "helm-tenant", true}, {"ResourceQuota", "helm-tenant-t", true}, {"LimitRange", "helm-tenant-u", false}, {"Role", "helm-tenant", false}, {"NetworkPolicy", "mine", false}} {
		if got := IsName(c.kind, c.name, "t"); got != c.want {
			t.Errorf("%s %s: %t", c.kind, c.name, got)
		}
	}
}

// Each policy judges one kind of objects, except the one for every kind: the API server fills
// the status of a policy for several kinds with warnings about types.
func TestPolicies(t *testing.T) {
	var policies, bindings []string
	for _, object := range Policies(Priorities{}, tenant.GuardEnforce, tenant.GuardWarn) {
		switch object := object.(type) {
		case *admissionv1.ValidatingAdmissionPolicy:
			policies = append(policies, object.Name)
			if r := object.Spec.MatchConstraints.ResourceRules[0]; len(slices.Compact(slices.Collect(func(yield func(string) bool) {
				for _, resource := range r.Resources {
					name, _, _ := strings.Cut(resource, "/")
					if !yield(name) {
						return
					}
				}
			}))) != 1 {
				t.Errorf("%s judges %v", object.Name, r.Resources)
			}
			if len(object.Spec.MatchConditions) < 2 || object.Annotations[annotationVersion] == "" {
				t.Errorf("%s has no exceptions or no version", object.Name)
			}
			for _, v := range object.Spec.Validations {
				if v.Message == "" || !strings.HasSuffix(v.MessageExpression, " + variables.ask") {
					t.Errorf("%s: a validation does not say whom to ask: %q", object.Name, v.MessageExpression)
				}
			}
		case *admissionv1.ValidatingAdmissionPolicyBinding:
			bindings = append(bindings, object.Name)
			mode := object.Spec.MatchResources.NamespaceSelector.MatchLabels[LabelGuard]
			if want := map[string]admissionv1.ValidationAction{"enforce": "Deny", "warn": "Warn"}[mode]; !slices.Equal(object.Spec.ValidationActions, []admissionv1.ValidationAction{want}) {
				t.Errorf("%s in mode %q does %v", object.Name, mode, object.Spec.ValidationActions)
			}
		}
	}
	if len(policies) < 15 || len(bindings) != 2*len(policies) {
		t.Errorf("%d policies and %d bindings", len(policies), len(bindings))
	}
	if unknown := Policies(Priorities{Unknown: true}); len(unknown) != len(policies) {
		t.Errorf("%d policies without knowing the priorities, and %d with them", len(unknown), len(policies))
	}
}

func TestNewer(t *testing.T) {
	for value, want := range map[string]bool{"": false, "0": false, "7": false, "8": false, "9": false, "10": false, "11": true, "x": false} {
		if got := Newer(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationVersion: value}}}); got != want {
			t.Errorf("%q: %t", value, got)
		}
	}
}

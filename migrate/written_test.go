package migrate

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/release"
)

// TestWritten: a record that is read back unchanged is recognized without unpacking, and any
// other is unpacked.
func TestWritten(t *testing.T) {
	releases, problems := Releases([]Stored{old("web", 1, release2.Status_SUPERSEDED), old("web", 2, release2.Status_DEPLOYED)}, 0, everywhere)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r := releases[0]
	first := secretOf(t, r.Revisions[0], oldRelease("web", 1, release2.Status_SUPERSEDED))
	second := secretOf(t, r.Revisions[1], oldRelease("web", 2, release2.Status_DEPLOYED))
	for name, change := range map[string]func(*corev1.Secret){
		"as it was written":        func(*corev1.Secret) {},
		"another revision's bytes": func(s *corev1.Secret) { s.Data = second.Data },
		"a byte more":              func(s *corev1.Secret) { s.Data[release.DataKey] = append(s.Data[release.DataKey], '\n') },
		"another byte":             func(s *corev1.Secret) { s.Data[release.DataKey][20] ^= 1 },
		"nothing":                  func(s *corev1.Secret) { s.Data = nil },
		"another name":             func(s *corev1.Secret) { s.Name = second.Name },
		"another namespace":        func(s *corev1.Secret) { s.Namespace = "elsewhere" },
		"labels of another":        func(s *corev1.Secret) { s.Labels = second.Labels },
		"another type":             func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque },
	} {
		t.Run(name, func(t *testing.T) {
			written := NewWritten()
			written.Add(first, r.Revisions[0])
			written.Add(second, r.Revisions[1])
			existing := first.DeepCopy()
			change(existing)
			want, got := ReadKept(r, *existing, nil, release.NewBudget()), ReadKept(r, *existing, written, release.NewBudget())
			if (want.problem == nil) != (got.problem == nil) {
				t.Errorf("the problem is %v, not %v", got.problem, want.problem)
			}
			want.problem, got.problem = nil, nil
			if !reflect.DeepEqual(want, got) {
				t.Errorf("%v, not %v", got, want)
			}
			if _, ok := written.release(existing); ok != (reflect.DeepEqual(existing.Data, first.Data) && existing.Name == first.Name && existing.Namespace == first.Namespace || existing.Name == second.Name && reflect.DeepEqual(existing.Data, second.Data)) {
				t.Errorf("known by what was written: %v", ok)
			}
		})
	}
	t.Run("a release that was changed meanwhile", func(t *testing.T) {
		written := NewWritten()
		written.Add(first, r.Revisions[0])
		changed := Release{Name: r.Name, Namespace: r.Namespace, Revisions: []Revision{r.Revisions[0]}}
		changed.Revisions[0].whole[0]++
		standing := Compare(changed, []Kept{ReadKept(changed, *first, written, release.NewBudget())}, false)
		if len(standing.Changed) != 1 {
			t.Errorf("%+v", standing)
		}
	})
}

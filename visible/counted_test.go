package visible

import "testing"

func TestCounted(t *testing.T) {
	for want, got := range map[string]string{
		"0 writes": Counted(0, "write"), "1 write": Counted(1, "write"), "2 writes": Counted(2, "write"),
		"namespace a": Named("namespace", []string{"a"}), "namespaces a, b": Named("namespace", []string{"a", "b"}),
	} {
		if got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}

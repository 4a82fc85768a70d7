package migrate

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSample(t *testing.T) {
	for _, test := range []struct {
		n, limit int
		want     []int
	}{
		{0, 3, nil},
		{1, 3, []int{0}},
		{3, 3, []int{0, 1, 2}},
		{4, 3, []int{0, 1, 3}},
		{101, 3, []int{0, 50, 100}},
		{5000, 2, []int{0, 4999}},
	} {
		if diff := cmp.Diff(test.want, slices.Sorted(maps.Keys(sample(test.n, test.limit)))); diff != "" {
			t.Errorf("%d of %d: -want +got:\n%s", test.limit, test.n, diff)
		}
	}
	if got := len(sample(1000, 50)); got != 50 {
		t.Errorf("50 of 1000 are %d", got)
	}
}

// TestTooLargeToList: what counts is what all revisions in a namespace hold together.
func TestTooLargeToList(t *testing.T) {
	sized := func(namespace string, sizes ...int) Release {
		r := Release{Namespace: namespace}
		for _, size := range sizes {
			r.Revisions = append(r.Revisions, Revision{size: size})
		}
		return r
	}
	const half = maxListed / 2
	got := tooLargeToList([]Release{sized("one", half, half), sized("revisions", half, half, 1), sized("releases", half), sized("releases", half+1), sized("none")})
	if diff := cmp.Diff(map[string]bool{"revisions": true, "releases": true}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

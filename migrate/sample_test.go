package migrate

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSample(t *testing.T) {
	for _, test := range []struct {
		n, most int
		want    []int
	}{
		{0, 3, nil},
		{1, 3, []int{0}},
		{3, 3, []int{0, 1, 2}},
		{4, 3, []int{0, 1, 3}},
		{101, 3, []int{0, 50, 100}},
		{5000, 2, []int{0, 4999}},
	} {
		if diff := cmp.Diff(test.want, slices.Sorted(maps.Keys(Sample(test.n, test.most)))); diff != "" {
			t.Errorf("%d of %d: -want +got:\n%s", test.most, test.n, diff)
		}
	}
	if got := len(Sample(1000, 50)); got != 50 {
		t.Errorf("50 of 1000 are %d", got)
	}
}

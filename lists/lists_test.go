package lists

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMap(t *testing.T) {
	for _, test := range []struct {
		items []int
		want  []string
	}{
		{nil, nil},
		{[]int{}, nil},
		{[]int{3, 1, 2}, []string{"3", "1", "2"}},
	} {
		if diff := cmp.Diff(test.want, Map(test.items, strconv.Itoa)); diff != "" {
			t.Error(diff)
		}
	}
}

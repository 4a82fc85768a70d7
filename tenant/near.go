package tenant

import (
	"cmp"
	"slices"
	"strings"

	"helm-tenant/lists"
)

// Near returns the known words that may have been meant by word: at most three, the
// nearest first. A word is near if at most two letters differ, or half of the typed
// letters of a short word, or if two neighbors are exchanged, or if it begins with word.
func Near(word string, known []string) []string {
	const limit = 3
	type candidate struct {
		word     string
		distance int
	}
	var near []candidate
	for _, k := range known {
		d := distance(word, k)
		switch {
		case k == word:
		case d <= min(2, len(word)/2), exchanged(word, k), len(word) > 2 && strings.HasPrefix(k, word):
			near = append(near, candidate{k, d})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.word, b.word))
	})
	near = slices.Compact(near)
	return lists.Map(near[:min(limit, len(near))], func(c candidate) string { return c.word })
}

// exchanged reports whether two neighboring letters of a are exchanged in b.
func exchanged(a, b string) bool {
	for i := range len(a) - 1 {
		if len(a) == len(b) && a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}

// distance returns the number of letters to add, remove or replace to turn a into b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

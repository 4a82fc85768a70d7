package tenant

import (
	"cmp"
	"slices"
	"strings"
)

// Near returns the known words that may have been meant by word: at most three, the
// nearest first. A word is near if at most two letters differ, or half of the typed
// letters of a short word, or if it begins with word.
func Near(word string, known []string) []string {
	const most = 3
	type candidate struct {
		word     string
		distance int
	}
	var near []candidate
	for _, k := range known {
		d := distance(word, k)
		switch {
		case k == word:
		case d <= min(2, len(word)/2), len(word) > 2 && strings.HasPrefix(k, word):
			near = append(near, candidate{k, d})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.word, b.word))
	})
	near = slices.Compact(near)
	var words []string
	for _, c := range near[:min(most, len(near))] {
		words = append(words, c.word)
	}
	return words
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

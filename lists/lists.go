// Package lists completes the standard package slices.
package lists

// Map returns what of makes of each item; nil if there are none.
func Map[S ~[]T, T, R any](items S, of func(T) R) []R {
	if len(items) == 0 {
		return nil
	}
	made := make([]R, len(items))
	for i, item := range items {
		made[i] = of(item)
	}
	return made
}

// Strings returns the items as strings.
func Strings[S ~string](items []S) []string {
	return Map(items, func(item S) string { return string(item) })
}

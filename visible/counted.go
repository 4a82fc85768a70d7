package visible

import (
	"fmt"
	"strings"
)

// Counted returns a number with its noun: "1 tenant" or "2 tenants".
func Counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Named returns names behind their noun: "namespace a" or "namespaces a, b".
func Named(noun string, names []string) string {
	if len(names) == 1 {
		return noun + " " + names[0]
	}
	return noun + "s " + strings.Join(names, ", ")
}

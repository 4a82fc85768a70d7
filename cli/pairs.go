package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm-tenant/lists"
)

// pairList is a flag for NAME=VALUE pairs. Several are separated by commas, or each has a
// flag of its own. An empty value is an empty map that is not nil, which unsets the
// setting.
type pairList map[string]string

func (p *pairList) Type() string { return "stringToString" }

func (p *pairList) String() string {
	pairs := lists.Map(slices.Sorted(maps.Keys(*p)), func(name string) string { return name + "=" + (*p)[name] })
	return strings.Join(pairs, ",")
}

func (p *pairList) Set(value string) error {
	if value == "" {
		*p = pairList{}
		return nil
	}
	for pair := range strings.SplitSeq(value, ",") {
		name, text, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return fmt.Errorf("%q is not NAME=VALUE: separate several by commas alone", pair)
		}
		if *p == nil {
			*p = pairList{}
		}
		(*p)[name] = text
	}
	return nil
}

package admin

import (
	"slices"
	"testing"
	"time"

	"helm-tenant/tenant"
)

func TestTermsBefore(t *testing.T) {
	until := func(day int, names ...string) tenant.Terms {
		var terms tenant.Terms
		for _, name := range names {
			terms = append(terms, tenant.Term{Subject: tenant.User(name), As: tenant.RelationMember, Until: time.Date(2030, 1, day, 0, 0, 0, 0, time.UTC)})
		}
		return terms
	}
	for _, test := range []struct {
		name                      string
		was, tried, current, want tenant.Terms
	}{
		{"the first round", nil, nil, until(1, "a"), until(1, "a")},
		{"another admin extended it", until(1, "a"), until(9, "a"), until(5, "a"), until(5, "a")},
		{"our own write, whose answer was lost", until(1, "a"), until(9, "a"), until(9, "a"), until(1, "a")},
		{"our own write, where there was none", nil, until(9, "a"), until(9, "a"), nil},
		{"another admin took it away", until(1, "a"), until(9, "a"), nil, nil},
		{"another admin gave one to somebody else", until(1, "a"), until(9, "a"), append(until(1, "a"), until(3, "b")...), append(until(1, "a"), until(3, "b")...)},
		{"a revoke whose answer was lost", until(1, "a"), nil, nil, until(1, "a")},
		{"a revoke of what another admin extended", until(1, "a"), nil, until(5, "a"), until(5, "a")},
	} {
		if got := termsBefore(test.was, test.tried, test.current); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

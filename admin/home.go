package admin

import (
	"slices"
	"strings"

	"helm-tenant/tenant"
)

// ownsHome reports whether helm-tenant created the home namespace, or will.
func (d *decision) ownsHome() bool {
	home := d.facts.live.Get(namespaceKey(d.tenant.Home()))
	return home == nil || home.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
}

// judgeHome finds out whether the home namespace belongs to the tenant alone.
func (d *decision) judgeHome() error {
	if d.homeCreated = d.ownsHome(); d.homeCreated {
		return nil
	}
	neighbours, err := answerAbout(d.facts.neighbours, "the objects", d.tenant.Home())
	if err == nil && d.looksByHand() {
		var found byHand
		found, err = d.byHand()
		neighbours = slices.DeleteFunc(slices.Clone(neighbours), func(name string) bool { return slices.Contains(found.parts, name) })
	}
	d.homeShared = len(sharers(neighbours, d.existed)) > 0
	return err
}

// sharers returns those objects of others in a home namespace that make it a shared one. An
// adopted Tiller may have run as an account of another name, which stays in the home of an
// existing tenant. Members and Tiller can reach pods and records there, but not accounts.
func sharers(neighbours []string, existed bool) []string {
	return slices.DeleteFunc(slices.Clone(neighbours), func(name string) bool {
		return existed && strings.HasPrefix(name, "ServiceAccount ")
	})
}

package cli

import (
	"context"
	"fmt"

	"helm-tenant/admin"
	"helm-tenant/failure"
	"helm-tenant/visible"
)

func (m *migration) stamp(ctx context.Context) error {
	releases, left, err := m.run.Stamp(ctx)
	switch {
	case err != nil:
		return err
	case left > 0:
		return &codeError{exitPartly, failure.Of("migrate", m.name, m.run.Client.Where()).Wrap(fmt.Errorf("helm uninstall leaves %s, named above", counted(left, "object")))}
	case !m.options.dryRun:
		visible.Fprintf(m.out(), "the objects of %s of tenant %s name their release\n", counted(releases, "release"), m.name)
	}
	return nil
}

// sayOwnership reports whether an object that did not name its release does so now.
func (m *migration) sayOwnership(change admin.OwnershipChange) {
	description := fmt.Sprintf("%s of release %s", change.Object, change.Owner.Name)
	switch {
	case change.Problem == nil && m.options.dryRun:
		visible.Fprintf(m.out(), "would be stamped: %s\n", description)
	case change.Problem == nil:
		m.say("%-8s %s", "stamped", description)
	case change.Gone:
		m.say("Note: %s is gone", description)
	case change.Object.Kind == "": // the record can't be read
		m.say("Note: no object of release %s in namespace %s is stamped: %v", change.Owner.Name, change.Owner.Namespace, change.Problem)
	default:
		m.say("Note: %s is not stamped: %v", description, change.Problem)
	}
}

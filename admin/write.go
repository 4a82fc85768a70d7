package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"helm-tenant/cluster"
)

// DeniedError lists what the admin is not allowed to do and would have to be.
type DeniedError struct{ Missing []cluster.Permission }

func (e *DeniedError) Error() string {
	if len(e.Missing) == 1 {
		return "you lack a permission, and nothing was written: " + e.Missing[0].String()
	}
	var lines []string
	for _, p := range e.Missing {
		lines = append(lines, "  "+p.String())
	}
	return fmt.Sprintf("you lack %d permissions, and nothing was written:\n%s", len(e.Missing), strings.Join(lines, "\n"))
}

// Write checks that every write of what prepare plans is allowed, makes them,
// and calls made after each. When somebody else changed an object meanwhile it
// prepares anew and goes on, so that neither's change is lost.
func Write(ctx context.Context, c *cluster.Client, prepare func(context.Context) (*Prepared, error), made func(cluster.Change)) (*Prepared, error) {
	// Many admins at once: each round at least one of them gets through.
	patience := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 1.5, Jitter: 1, Steps: 60, Cap: time.Second}
	var prepared *Prepared
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, patience, func(ctx context.Context) (bool, error) {
		var err error
		prepared, err = prepare(ctx)
		if err != nil {
			return false, err
		}
		missing, err := c.NewPreflight(prepared.live).Missing(ctx, &prepared.Plan)
		if err != nil {
			return false, err
		}
		if len(missing) > 0 {
			return false, &DeniedError{missing}
		}
		last = c.Write(ctx, &prepared.Plan, cluster.Width, made)
		if cluster.Outdated(last) {
			return false, nil
		}
		return last == nil, last
	})
	if wait.Interrupted(err) && last != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("others kept changing the same tenant: %w", last)
	}
	return prepared, err
}

package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"helm-tenant/cluster"
	"helm-tenant/lists"
)

// DeniedError has the permissions that the admin lacks.
type DeniedError struct{ Missing []cluster.Permission }

func (e *DeniedError) Error() string {
	if len(e.Missing) == 1 {
		return "you lack a permission, and nothing was written: " + e.Missing[0].String()
	}
	return fmt.Sprintf("you lack %d permissions, and nothing was written:", len(e.Missing))
}

// Details returns the permissions, unless the error itself is the only one.
func (e *DeniedError) Details() []string { return permissionLines(e.Missing) }

// permissionLines returns a line for each of several permissions; none for a single one,
// which an error of it names itself.
func permissionLines(missing []cluster.Permission) []string {
	if len(missing) == 1 {
		return nil
	}
	return lists.Map(missing, cluster.Permission.String)
}

// maxRounds bounds the rounds of Write: with many admins at once, each round lets at
// least one of them succeed.
const maxRounds = 40

// conflictPauses returns the pauses of an admin whose tenant another one changes, a longer one at
// each call.
func conflictPauses(steps int) wait.DelayFunc {
	return wait.Backoff{Duration: 20 * time.Millisecond, Factor: 1.5, Jitter: 1, Steps: steps, Cap: time.Second / 4}.DelayFunc()
}

// sleep waits, and returns an error if the admin interrupts it.
func sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("interrupted while others changed the same tenant: %w", context.Cause(ctx))
	case <-time.After(pause):
		return nil
	}
}

// Write checks that every write of the plan of prepare is allowed, makes the writes, and
// calls made after each. If another admin changed an object in the meantime it prepares
// again and goes on, so that no change is lost.
func Write(ctx context.Context, c *cluster.Client, prepare func(context.Context) (*Prepared, error), onChange func(cluster.Change)) (*Prepared, error) {
	var last error
	var earlier []string
	wrote := false
	held := new(atomic.Bool)
	pause := conflictPauses(maxRounds)
	for range maxRounds {
		prepared, err := prepare(ctx)
		switch {
		case errors.Is(err, errRecordAppeared):
			last = err
		case err != nil:
			if prepared != nil {
				err = withDenied(ctx, c.NewPreflight(prepared.live), prepared, err)
			}
			return prepared, err
		default:
			prepared.addNotes(earlier)
			earlier = prepared.Notes
			if err := CheckAllowed(ctx, c, prepared); err != nil {
				return prepared, err
			}
			wrote = wrote || len(prepared.Plan.Changes) > 0
			prepared.Wrote = wrote
			last = prepared.write(ctx, c, cluster.Width, held, onChange)
			if !cluster.Outdated(last) {
				return prepared, last
			}
		}
		if err := sleep(ctx, pause()); err != nil {
			return prepared, err
		}
	}
	return nil, fmt.Errorf("others kept changing the same tenant: %w", last)
}

// writeRequest is Write for what Prepare returns for a request.
func writeRequest(ctx context.Context, c *cluster.Client, r Request, onChange func(cluster.Change)) (*Prepared, error) {
	return Write(ctx, c, func(ctx context.Context) (*Prepared, error) { return Prepare(ctx, c, r) }, onChange)
}

// addNotes adds the notes of earlier rounds, in which some of the writes were made that they
// are about.
func (p *Prepared) addNotes(earlier []string) {
	added := slices.DeleteFunc(slices.Clone(earlier), func(note string) bool { return slices.Contains(p.Notes, note) })
	p.Notes = append(added, p.Notes...)
}

// CheckAllowed returns a *DeniedError unless the admin may make every write of the plan.
func CheckAllowed(ctx context.Context, c *cluster.Client, prepared *Prepared) error {
	return orDenied(c.NewPreflight(prepared.live).Missing(ctx, &prepared.Plan))
}

// orDenied returns err, or a *DeniedError if permissions are missing.
func orDenied(missing []cluster.Permission, err error) error {
	if err == nil && len(missing) > 0 {
		return &DeniedError{missing}
	}
	return err
}

// withDenied adds to the reasons why a tenant is refused the permissions that the admin lacks
// to write what was judged of it. An error that is no refusal stays as it is: nothing else was
// judged then.
func withDenied(ctx context.Context, preflight *cluster.Preflight, refused *Prepared, err error) error {
	if errors.Is(err, errRecordAppeared) {
		return err
	}
	missing, asking := preflight.Missing(ctx, &refused.Plan)
	if asking != nil || len(missing) == 0 {
		return err
	}
	return refuse(err, &DeniedError{missing})
}

func (p *Prepared) withoutPlan() *Prepared {
	q := *p
	q.Plan = cluster.Plan{}
	return &q
}

package harness

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Patience is how long a test waits for what has to come. It only says when
// something hangs, and a test that passes never uses it up, so it is generous:
// the tests also run on slow machines whose cores are busy with something else.
const Patience = 5 * time.Minute

// Await calls look until it returns true, for at most Patience. An error of look
// is a reason to look again. When the time is up, the error holds the last one,
// and what, which names the condition.
func Await(ctx context.Context, what string, look func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(pause*3/2, 200*time.Millisecond) {
		done, err := look(ctx)
		if done && err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("waiting for %s: %w: %w", what, ctx.Err(), err)
			}
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// AwaitGrant calls use, a run of `helm-tenant use` by somebody to whom a tenant was just granted,
// until it succeeds or fails for another reason than a missing right, for at most Patience. What
// RBAC objects grant is in force a moment after they are written: the API server's authorizer
// watches them. The caller keeps the last result.
func AwaitGrant(use func() (code int, stderr string)) {
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if code, stderr := use(); code == 0 || !strings.Contains(stderr, "you may not read the record") {
			return
		}
	}
}

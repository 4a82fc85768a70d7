package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// comparison is one pair of commands.
type comparison struct {
	name string
	// ours and theirs are run once per round.
	ours, theirs func(round int) *exec.Cmd
	// reach is the ratio that is wanted at most.
	reach float64
	// processor says that processor time is compared, not the clock's.
	processor bool
	// describes each side, for the table.
	oursText, theirsText string
}

// measure runs the pairs and returns a row of the table.
func measure(ctx context.Context, c comparison, runs int) (string, error) {
	var ours, theirs []time.Duration
	var ratios []float64
	for round := range runs + 1 {
		a, err := c.timed(ctx, c.ours(round))
		if err != nil {
			return "", err
		}
		b, err := c.timed(ctx, c.theirs(round))
		if err != nil {
			return "", err
		}
		if round == 0 {
			continue // warms caches
		}
		ours, theirs, ratios = append(ours, a), append(theirs, b), append(ratios, float64(a)/float64(b))
	}
	slices.Sort(ratios)
	reach := "-"
	if c.reach > 0 {
		reach = fmt.Sprintf("%.2f", c.reach)
		if ratios[len(ratios)/2] > c.reach {
			reach += ", not reached"
		}
	}
	return fmt.Sprintf("| %s | %s: %s | %s: %s | %.2f (%.2f to %.2f) | %s |\n", c.name,
		c.oursText, median(ours).Round(time.Millisecond/10), c.theirsText, median(theirs).Round(time.Millisecond/10),
		ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], reach), nil
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// timed runs one side of the comparison: how long it took by the clock, or for how
// long it kept a processor busy.
func (c comparison) timed(ctx context.Context, cmd *exec.Cmd) (time.Duration, error) {
	wall, err := timed(ctx, cmd)
	if err != nil || !c.processor {
		return wall, err
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// timed runs a command, which must succeed, and returns how long it took.
func timed(ctx context.Context, cmd *exec.Cmd) (time.Duration, error) {
	return timedWith(ctx, cmd, func(*os.Process) func() { return func() {} })
}

// timedWith is timed; watch is called after the command has started, and its result after the
// command has ended.
func timedWith(ctx context.Context, cmd *exec.Cmd, watch func(*os.Process) func()) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	err := cmd.Start()
	if err == nil {
		end := watch(cmd.Process)
		err = cmd.Wait()
		end()
	}
	took := time.Since(start)
	if err != nil {
		return took, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return took, nil
}

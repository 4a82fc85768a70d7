// Bench measures helm-tenant side by side with what a user would do instead, on
// a real cluster that it starts, and prints a table in Markdown.
//
// The two commands of a pair run in turn, A B A B ..., and the figure that
// counts is the median of the pairs' ratios: a machine whose speed drifts
// changes both sides alike.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"helm-tenant/test/testcluster"
)

func main() {
	runs := flag.Int("runs", 30, "pairs of each comparison")
	sizes := flag.String("tenants", "10,100,1000", "numbers of tenants for the scale table; empty leaves it out")
	out := flag.String("out", "", "also write the results to this file")
	names := strings.Join(append(slices.Sorted(maps.Keys(parts)), calls), "|")
	only := flag.String("only", "", "run this part alone: "+names)
	flag.Parse()
	if *only != "" && *only != calls && parts[*only] == nil {
		fmt.Fprintf(os.Stderr, "bench: -only %s: it is none of %s\n", *only, names)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, *runs, *sizes, *out, *only)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// calls is the part that compares single commands, on a cluster with nodes.
const calls = "calls"

// parts are the others that can be run alone.
var parts = map[string]part{
	"audit": benchAudit, "rails": benchRails, "records": benchRecords, "records-large": rows(largeRows), "records-bombs": rows(bombRows), "records-many": rows(manyRows), "records-tenants": rows(tenantRows), "records-split": rows(splitRows),
}

func bench(ctx context.Context, runs int, sizes, out, only string) error {
	dir, err := os.MkdirTemp("", "helm-tenant-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if only != "" && only != calls {
		return alone(ctx, dir, parts[only])
	}
	c, err := testcluster.Start(ctx, testcluster.Options{Size: testcluster.Full})
	if err != nil {
		return err
	}
	defer func() {
		if err := c.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: stopping the cluster: %v\n", err)
		}
	}()
	s, err := prepare(ctx, c, dir)
	if err != nil {
		return err
	}
	report := &strings.Builder{}
	fmt.Fprintf(report, "| what | ours | instead | ratio: median (lowest to highest) | to reach |\n|---|---|---|---|---|\n")
	for _, comparison := range s.comparisons() {
		fmt.Fprintf(os.Stderr, "measuring: %s\n", comparison.name)
		row, err := measure(ctx, comparison, runs)
		if err != nil {
			return fmt.Errorf("%s: %w", comparison.name, err)
		}
		report.WriteString(row)
	}
	if only == calls {
		fmt.Print(report.String())
		return nil
	}
	// It takes the machine to itself for the rest.
	if err := c.Stop(); err != nil {
		return err
	}
	var counts []int
	for _, size := range strings.FieldsFunc(sizes, func(r rune) bool { return r == ',' }) {
		count, err := strconv.Atoi(size)
		if err != nil {
			return fmt.Errorf("-tenants: %w", err)
		}
		counts = append(counts, count)
	}
	if len(counts) > 0 {
		if err := scale(ctx, s.ours, s.helm, dir, counts, report); err != nil {
			return err
		}
	}
	if err := benchAudit(ctx, s.ours, s.helm, dir, report); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := benchRails(ctx, s.ours, s.helm, dir, report); err != nil {
		return fmt.Errorf("guard rails: %w", err)
	}
	if err := benchRecords(ctx, s.ours, s.helm, dir, report); err != nil {
		return fmt.Errorf("records: %w", err)
	}
	fmt.Print(report.String())
	if out == "" {
		return nil
	}
	head := fmt.Sprintf(preface, time.Now().UTC().Format("2006-01-02"), runs, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	return os.WriteFile(out, []byte(head+report.String()), 0o644)
}

// build returns the command that builds one of our programs.
func build(ctx context.Context, pkg, into string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", into, pkg)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// preface says how to read the figures.
const preface = `# Benchmarks

Written by ` + "`cd test && go run ./bench -out ../docs/benchmarks.md`" + ` (` + "`make bench`" + ` prints the same) on %s: %d pairs
each, %d processors, %s/%s, Kubernetes 1.37.2, Helm 2.17.0, 3.22.0 and 4.3.1, all of the cluster on the same machine.

The two commands of a pair run in turn. The ratio is the median of the pairs' own ratios; times are medians, and mean
little on another machine. How long a call of Helm 2 takes jumps between about 65, 100 and 200 ms, whoever starts it:
a single pair's ratio says nothing, and what the wrapper itself costs is best seen in the first row, where a script that
does nothing stands in helm's place. Helm 3 and 4 list in a fifth of that, so the same few milliseconds weigh more; as
their plugin helm starts twice, and most of what that takes is helm's own.

Requests are counted by the API server's own metrics, memory is the largest resident set of the process. Each side of
the scale table has a new cluster of its own. The ratios there are those from nothing and of nothing changed, against
` + "`kubectl apply --server-side`" + ` of the same objects.

`

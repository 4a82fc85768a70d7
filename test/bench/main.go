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
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
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

func main() {
	runs := flag.Int("runs", 30, "pairs of each comparison")
	sizes := flag.String("tenants", "10,100,1000", "numbers of tenants for the scale table; empty leaves it out")
	out := flag.String("out", "", "also write the results to this file")
	names := strings.Join(slices.Sorted(maps.Keys(parts)), "|")
	only := flag.String("only", "", "run this part alone: "+names)
	flag.Parse()
	if *only != "" && parts[*only] == nil {
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

// parts can be run alone.
var parts = map[string]part{
	"audit": benchAudit, "rails": benchRails, "records": benchRecords, "records-large": rows(largeRows), "records-bombs": rows(bombRows), "records-many": rows(manyRows),
}

func bench(ctx context.Context, runs int, sizes, out, only string) error {
	dir, err := os.MkdirTemp("", "helm-tenant-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if only != "" {
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

// build is how helm-tenant is built.
func build(ctx context.Context, into string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", into, ".")
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

// timedWith is timed; watch is called when the command has started, and what it returns
// when it has ended.
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

// setup is what the comparisons run with.
type setup struct {
	ours, helm     string
	least          string
	admin, member  []string // environments
	recipe, script string
	// modern are Helm 3 and 4.
	modern []modern
}

// modern is a Helm 3 or 4, the plugin in it, and a tenant of its own.
type modern struct {
	name, helm, recipe string
	admin, member      []string // environments
}

// prepare builds helm-tenant, installs it as a plugin, and makes a tenant.
func prepare(ctx context.Context, c *testcluster.Cluster, dir string) (*setup, error) {
	s := &setup{script: filepath.Join(dir, "script"), ours: filepath.Join(dir, "tenant", "bin", "helm-tenant"), helm: c.Bin("helm2")}
	bin, home := filepath.Join(dir, "bin"), filepath.Join(dir, "helm")
	for _, folder := range []string{bin, filepath.Join(home, "plugins"), filepath.Dir(s.ours)} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	for name, target := range map[string]string{filepath.Join(bin, "helm"): s.helm, filepath.Join(bin, "kubectl"): c.Bin("kubectl"), filepath.Join(home, "plugins", "tenant"): filepath.Join(dir, "tenant")} {
		if err := os.Symlink(target, name); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile("../plugin.yaml")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "tenant", "plugin.yaml"), text, 0o644)
	}
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.script, []byte("#!/bin/sh\necho v2.17.0\n"), 0o755); err != nil {
		return nil, err
	}
	s.recipe, err = filepath.Abs("bench/recipe.sh")
	if err != nil {
		return nil, err
	}
	if s.least, err = harness.Command("test", "./bench/least", "bench-least"); err != nil {
		return nil, err
	}
	member, err := c.Kubeconfig("alice")
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HELM_HOME="+home)
	s.admin, s.member = append(slices.Clone(env), "KUBECONFIG="+c.Admin()), append(slices.Clone(env), "KUBECONFIG="+member)

	for _, cmd := range []*exec.Cmd{
		build(ctx, s.ours),
		s.command(s.admin, s.helm, "init", "--client-only", "--skip-refresh", "--stable-repo-url", "http://127.0.0.1:1"),
		s.command(s.admin, s.ours, "init", "bench", "--namespaces", "bench", "--create-namespaces", "--user", "alice"),
		s.command(s.member, s.ours, "use", "bench"),
	} {
		if _, err := timed(ctx, cmd); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"helm3", "helm4"} {
		m, err := s.prepareModern(ctx, c, dir, name)
		if err != nil {
			return nil, err
		}
		s.modern = append(s.modern, m)
	}
	return s, nil
}

func (s *setup) prepareModern(ctx context.Context, c *testcluster.Cluster, dir, name string) (modern, error) {
	m := modern{name: name, helm: c.Bin(name)}
	user, err := c.Kubeconfig(name + "-user")
	if err != nil {
		return m, err
	}
	home := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Join(home, "plugins"), 0o755); err != nil {
		return m, err
	}
	if err := os.Symlink(filepath.Join(dir, "tenant"), filepath.Join(home, "plugins", "tenant")); err != nil {
		return m, err
	}
	if err := leastPlugin(filepath.Join(home, "plugins", "least"), name); err != nil {
		return m, err
	}
	if m.recipe, err = filepath.Abs("bench/recipe-impersonation.sh"); err != nil {
		return m, err
	}
	env := append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "HELM_BIN="+m.helm,
		"HELM_PLUGINS="+filepath.Join(home, "plugins"), "HELM_DATA_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home)
	m.admin, m.member = append(slices.Clone(env), "KUBECONFIG="+c.Admin()), append(slices.Clone(env), "KUBECONFIG="+user)
	for _, cmd := range []*exec.Cmd{
		s.command(m.admin, s.ours, "init", name, "--namespaces", name, "--create-namespaces", "--user", name+"-user"),
		s.command(m.member, s.ours, "use", name),
	} {
		if _, err := timed(ctx, cmd); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (s *setup) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = env
	return cmd
}

func (s *setup) comparisons() []comparison {
	typed := func(int) *exec.Cmd { return s.command(s.member, s.helm, "--tiller-namespace", "bench-tiller", "list") }
	const typedText = "`helm --tiller-namespace bench-tiller list`"
	comparisons := []comparison{
		{
			// Helm's own time hides what we add to it; a script that ends at once
			// does not.
			name: "what the wrapper adds, to a script in helm's place",
			ours: func(int) *exec.Cmd {
				return s.command(append(slices.Clone(s.member), "HELM_BIN="+s.script), s.ours, "list")
			},
			oursText: "`helm-tenant list`", theirs: func(int) *exec.Cmd { return s.command(s.member, s.script, "list") }, theirsText: "the script",
		},
		s.added(false),
		s.added(true),
		{
			name: "the wrapper by itself", reach: 1.12,
			ours:     func(int) *exec.Cmd { return s.command(s.member, s.ours, "list") },
			oursText: "`helm-tenant list`", theirs: typed, theirsText: typedText,
		},
		{
			name: "the plugin (helm starts twice)", reach: 1.60,
			ours:     func(int) *exec.Cmd { return s.command(s.member, s.helm, "tenant", "list") },
			oursText: "`helm tenant list`", theirs: typed, theirsText: typedText,
		},
		{
			name: "a tenant with 5 namespaces, without waiting for its pod", reach: 0.25,
			ours: func(round int) *exec.Cmd {
				name := fmt.Sprintf("ours%d", round)
				return s.command(s.admin, s.helm, "tenant", "init", name, "--namespaces", five(name), "--create-namespaces", "--user", "alice", "--wait=false",
					// So that the node is not kept busy with Tillers that nobody waits for.
					"--node-selector", "bench=none")
			},
			oursText: "`helm tenant init`",
			theirs: func(round int) *exec.Cmd {
				name := fmt.Sprintf("seed%d", round)
				return s.command(s.admin, "bash", s.recipe, name, five(name), "alice")
			},
			theirsText: "the seed's recipe as a script (kubectl, `helm init`)",
		},
	}
	for _, m := range s.modern {
		comparisons = append(comparisons, s.comparisonsOf(m)...)
	}
	return comparisons
}

// added compares what the wrapper adds with what the least program adds that loads the
// kubeconfig with clientcmd.
func (s *setup) added(processor bool) comparison {
	env := append(slices.Clone(s.member), "HELM_BIN="+s.script)
	c := comparison{
		name: "what the wrapper adds, to the least program that loads the kubeconfig with clientcmd", reach: 1.3, processor: processor,
		ours: func(int) *exec.Cmd { return s.command(env, s.ours, "list") }, oursText: "`helm-tenant list`",
		theirs: func(int) *exec.Cmd { return s.command(env, s.least, "list") }, theirsText: "`least list` (test/bench/least)",
	}
	if processor {
		c.name += ", processor time"
	}
	return c
}

// five are the names of five namespaces.
func five(name string) string {
	var names []string
	for i := 1; i <= 5; i++ {
		names = append(names, fmt.Sprintf("%s-%d", name, i))
	}
	return strings.Join(names, ",")
}

// leastPlugin writes a plugin that does no more than to start helm as the deployer.
func leastPlugin(folder, tenant string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec \"$HELM_BIN\" --kube-as-user system:serviceaccount:%s-helm:helm --namespace %s \"$@\"\n", tenant, tenant)
	if err := os.WriteFile(filepath.Join(folder, "least.sh"), []byte(script), 0o755); err != nil {
		return err
	}
	text := "name: least\nversion: 0.1.0\nusage: list\ndescription: starts helm as the deployer\ncommand: \"$HELM_PLUGIN_DIR/least.sh\"\n"
	return os.WriteFile(filepath.Join(folder, "plugin.yaml"), []byte(text), 0o644)
}

func (s *setup) comparisonsOf(m modern) []comparison {
	as := "system:serviceaccount:" + m.name + "-helm:helm"
	typed := func(int) *exec.Cmd {
		return s.command(m.member, m.helm, "--kube-as-user", as, "--namespace", m.name, "list")
	}
	typedText := fmt.Sprintf("`%s --kube-as-user %s --namespace %s list`", m.name, as, m.name)
	return []comparison{
		{
			name: m.name + ": the wrapper by itself", reach: 1.12,
			ours:     func(int) *exec.Cmd { return s.command(m.member, s.ours, "list") },
			oursText: "`helm-tenant list`", theirs: typed, theirsText: typedText,
		},
		{
			name: m.name + ": the plugin (helm starts twice)", reach: 1.60,
			ours:     func(int) *exec.Cmd { return s.command(m.member, m.helm, "tenant", "list") },
			oursText: "`" + m.name + " tenant list`", theirs: typed, theirsText: typedText,
		},
		{
			name:       m.name + ": the plugin, to the least that a plugin can be",
			ours:       func(int) *exec.Cmd { return s.command(m.member, m.helm, "tenant", "list") },
			oursText:   "`" + m.name + " tenant list`",
			theirs:     func(int) *exec.Cmd { return s.command(m.member, m.helm, "least", "list") },
			theirsText: "`" + m.name + " least list`, which is `exec helm --kube-as-user ... \"$@\"`",
		},
		{
			name: m.name + ": whether a chart fits", reach: 1.50,
			ours:       func(int) *exec.Cmd { return s.command(m.member, s.ours, "preflight", "install", "web", "charts/hello") },
			oursText:   "`helm-tenant preflight install`",
			theirs:     func(int) *exec.Cmd { return s.command(m.member, m.helm, "template", "web", "charts/hello") },
			theirsText: "`" + m.name + " template`",
		},
		{
			name: m.name + ": a tenant with 5 namespaces", reach: 0.25,
			ours: func(round int) *exec.Cmd {
				name := fmt.Sprintf("%s-ours%d", m.name, round)
				return s.command(m.admin, m.helm, "tenant", "init", name, "--namespaces", five(name), "--create-namespaces", "--user", "alice")
			},
			oursText: "`" + m.name + " tenant init`",
			theirs: func(round int) *exec.Cmd {
				name := fmt.Sprintf("%s-hand%d", m.name, round)
				return s.command(m.admin, "bash", m.recipe, name, five(name), "alice")
			},
			theirsText: "the same by a script with kubectl",
		},
	}
}

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"helm-tenant/test/parts"
	"helm-tenant/test/testcluster"
	"helm-tenant/test/testcluster/engine"
)

// commands in the order in which help lists them.
var commands = []struct {
	name, args, does string
	run              func(flags *flag.FlagSet, args []string) error
}{
	{"up", "[--size api|full] [--dir DIR] [--detach]", "start a cluster and hold it until Ctrl-C", up},
	{"down", "[--dir DIR]", "end a cluster", down},
	{"kubeconfig", "[--dir DIR] [--user U] [--group G]...", "print the path of a kubeconfig for that user (default: an administrator's)", kubeconfig},
	{"env", "[--dir DIR]", "print shell exports: KUBECONFIG of an administrator, PATH with kubectl", env},
	{"build", "[PART]...", "build what clusters and tests run (default: all of it but older versions of Kubernetes), without starting anything", build},
}

func run(args []string) error {
	if len(args) == 2 && args[0] == engine.InsideCommand { // for `up` alone
		return engine.Inside(args[1])
	}
	if len(args) > 0 {
		for _, c := range commands {
			if c.name == args[0] {
				flags := flag.NewFlagSet("testcluster "+c.name, flag.ContinueOnError)
				flags.Usage = func() {
					fmt.Fprintf(os.Stderr, "testcluster %s %s: %s\n", c.name, c.args, c.does)
					flags.PrintDefaults()
				}
				err := c.run(flags, args[1:])
				if errors.Is(err, flag.ErrHelp) {
					return nil
				}
				return err
			}
		}
	}
	help(os.Stderr)
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		return nil
	}
	return fmt.Errorf("no such command: %s", args[0])
}

func help(w io.Writer) {
	fmt.Fprintf(w, "testcluster runs a real Kubernetes cluster on this machine, from module sources.\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  testcluster %s %s\n        %s\n", c.name, c.args, c.does)
	}
	fmt.Fprintf(w, "\nDIR is %s unless given. Flags of one: testcluster COMMAND --help\n", defaultDir())
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func defaultDir() string {
	cache, err := parts.CacheDir()
	if err != nil {
		return "helm-tenant-cluster"
	}
	return filepath.Join(cache, "cluster")
}

func dirFlag(flags *flag.FlagSet) *string {
	return flags.String("dir", defaultDir(), "the cluster's folder")
}

// parse is for the commands that take flags alone.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument: %s", flags.Arg(0))
	}
	return nil
}

func up(flags *flag.FlagSet, args []string) error {
	var cfg engine.Config
	var apiServerArgs list
	size := flags.String("size", string(engine.API), "api (no pods, no root) or full (a node; root, Linux)")
	dir := dirFlag(flags)
	flags.StringVar(&cfg.AuditLog, "audit-log", "", "write the API server's audit log to this `file`")
	flags.StringVar(&cfg.Kubernetes, "kubernetes", "", "an older `version` of the API server, of: "+strings.Join(parts.Matrix(), ", "))
	flags.Var(&apiServerArgs, "apiserver-arg", "one more `flag` for kube-apiserver, such as --v=4; may be repeated")
	untilStdinCloses := flags.Bool("until-stdin-closes", false, "end as well when standard input is closed")
	temporary := flags.Bool("temporary", false, "remove the cluster's folder at the end, logs and all")
	detach := flags.Bool("detach", false, "return when the cluster is ready, and leave it running until `testcluster down`")
	if err := parse(flags, args); err != nil {
		return err
	}
	cfg.Size, cfg.Dir, cfg.APIServerArgs, cfg.Log = engine.Size(*size), *dir, apiServerArgs, os.Stderr
	if err := testcluster.Missing(cfg.Size); err != nil {
		return err
	}
	if *detach {
		return upDetached(cfg)
	}

	// The reader of our output may end before us: a broken pipe must not kill us in the middle
	// of the cleanup. (The signal is caught: an ignored signal would be ignored by all child
	// processes, too.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if *untilStdinCloses {
		var closed context.CancelCauseFunc
		ctx, closed = context.WithCancelCause(ctx)
		go func() {
			io.Copy(io.Discard, os.Stdin)
			closed(errors.New("standard input was closed"))
		}()
	}

	keeper, err := engine.Up(ctx, cfg)
	if err != nil {
		if *temporary && ctx.Err() != nil { // nobody is left who would read the logs
			os.RemoveAll(cfg.Dir)
		}
		return err
	}
	fmt.Println("ready")
	select {
	case err = <-keeper.Died():
		err = fmt.Errorf("the cluster in %s broke: %w", cfg.Dir, err)
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "ending the cluster")
	}
	err = errors.Join(err, keeper.Down())
	if *temporary && err == nil {
		err = os.RemoveAll(cfg.Dir)
	}
	return err
}

// upDetached runs `up` in a session of its own, and shows its output until it is ready.
func upDetached(cfg engine.Config) error {
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"up", "--size", string(cfg.Size), "--dir", cfg.Dir, "--audit-log", cfg.AuditLog}
	if cfg.Kubernetes != "" {
		args = append(args, "--kubernetes", cfg.Kubernetes)
	}
	for _, a := range cfg.APIServerArgs {
		args = append(args, "--apiserver-arg", a)
	}
	log, err := os.Create(filepath.Join(cfg.Dir, "testcluster.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, args...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready := make(chan bool, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line == "ready\n"
	}()
	said, err := os.Open(log.Name())
	if err != nil {
		return err
	}
	defer said.Close()
	for {
		select {
		case ok := <-ready:
			io.Copy(os.Stderr, said)
			if !ok {
				return fmt.Errorf("the cluster did not start: %w", cmd.Wait())
			}
			fmt.Fprintf(os.Stderr, "it runs until: testcluster down --dir %s\n", cfg.Dir)
			return nil
		case <-time.After(100 * time.Millisecond):
			io.Copy(os.Stderr, said)
		}
	}
}

func down(flags *flag.FlagSet, args []string) error {
	dir := dirFlag(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	info, err := engine.ReadInfo(*dir)
	if errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "no cluster runs in %s\n", *dir)
		return nil
	}
	if err != nil {
		return err
	}
	if err := info.Keeper.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintf(os.Stderr, "the cluster in %s had ended already\n", *dir)
		return engine.Clear(info)
	} else if err != nil {
		return fmt.Errorf("ending the cluster in %s (process %d): %w", *dir, info.Keeper.PID, err)
	}
	for deadline := time.Now().Add(2 * time.Minute); info.Keeper.Alive(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			// All that it started dies with it.
			if err := info.Keeper.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return err
			}
			fmt.Fprintf(os.Stderr, "process %d did not end within 2 minutes and was killed\n", info.Keeper.PID)
			return engine.Clear(info)
		}
	}
	return nil
}

func kubeconfig(flags *flag.FlagSet, args []string) error {
	var groups list
	dir := dirFlag(flags)
	user := flags.String("user", "", "the user's `name`")
	flags.Var(&groups, "group", "a `group` that the user is in; may be repeated")
	if err := parse(flags, args); err != nil {
		return err
	}
	cluster, err := testcluster.Attach(*dir)
	if err != nil {
		return err
	}
	path := cluster.Admin()
	if *user != "" {
		if path, err = cluster.Kubeconfig(*user, groups...); err != nil {
			return err
		}
	} else if len(groups) > 0 {
		return errors.New("--group needs --user")
	}
	fmt.Println(path)
	return nil
}

func env(flags *flag.FlagSet, args []string) error {
	dir := dirFlag(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	cluster, err := testcluster.Attach(*dir)
	if err != nil {
		return err
	}
	bins, err := parts.Build(context.Background(), os.Stderr, "kubectl")
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG='%s'\n", cluster.Admin())
	fmt.Printf("export PATH='%s':\"$PATH\"\n", filepath.Dir(bins["kubectl"]))
	return nil
}

func build(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := flags.Args()
	if len(names) == 0 {
		for _, p := range parts.All() {
			if p.Matrix == "" { // the older versions are minutes each
				names = append(names, p.Name)
			}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	built, err := parts.Build(ctx, os.Stderr, names...)
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("%s\t%s\n", name, built[name])
	}
	return nil
}

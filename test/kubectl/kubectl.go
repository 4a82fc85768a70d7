// Package kubectl runs kubectl's own code in the test's process, which takes a tenth of the
// processor's time of a process of its own.
package kubectl

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubectl/pkg/cmd/annotate"
	"k8s.io/kubectl/pkg/cmd/apply"
	"k8s.io/kubectl/pkg/cmd/config"
	"k8s.io/kubectl/pkg/cmd/create"
	remove "k8s.io/kubectl/pkg/cmd/delete"
	"k8s.io/kubectl/pkg/cmd/exec"
	"k8s.io/kubectl/pkg/cmd/get"
	"k8s.io/kubectl/pkg/cmd/label"
	"k8s.io/kubectl/pkg/cmd/logs"
	"k8s.io/kubectl/pkg/cmd/patch"
	"k8s.io/kubectl/pkg/cmd/rollout"
	"k8s.io/kubectl/pkg/cmd/scale"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/cmd/wait"

	"helm-tenant/test/harness"
)

// verbs are the commands that Run runs: those that read and write
// objects, and end by themselves. Not auth, which ends the process.
var verbs = map[string]func(cmdutil.Factory, genericiooptions.IOStreams) *cobra.Command{
	"annotate": func(f cmdutil.Factory, s genericiooptions.IOStreams) *cobra.Command {
		return annotate.NewCmdAnnotate("kubectl", f, s)
	},
	"apply": func(f cmdutil.Factory, s genericiooptions.IOStreams) *cobra.Command {
		return apply.NewCmdApply("kubectl", f, s)
	},
	"config": func(f cmdutil.Factory, s genericiooptions.IOStreams) *cobra.Command {
		return config.NewCmdConfig(f, clientcmd.NewDefaultPathOptions(), s)
	},
	"create": create.NewCmdCreate,
	"delete": remove.NewCmdDelete,
	"exec":   exec.NewCmdExec,
	"get": func(f cmdutil.Factory, s genericiooptions.IOStreams) *cobra.Command {
		return get.NewCmdGet("kubectl", f, s)
	},
	"label": label.NewCmdLabel,
	"logs":  logs.NewCmdLogs,
	"patch": patch.NewCmdPatch,
	"rollout": func(f cmdutil.Factory, s genericiooptions.IOStreams) *cobra.Command {
		return rollout.NewCmdRollout("kubectl", f, s)
	},
	"scale": scale.NewCmdScale,
	"wait":  func(f cmdutil.Factory, s genericiooptions.IOStreams) *cobra.Command { return wait.NewCmdWait(f, s) },
}

// valueFlags are kubectl's flags before a command that have a value of their own.
var valueFlags = []string{"-n", "--namespace", "--context", "--as", "--as-group", "-s", "--server", "--token", "--user", "--cluster", "--kubeconfig"}

// verbOf returns the command that stands in the arguments, empty for none.
func verbOf(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains(valueFlags, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}

// Runs reports whether Run runs that command: of a verb that it has, for one
// kubeconfig, with nothing else in the environment that kubectl reads.
func Runs(environ, args []string) bool {
	kubeconfig := variable(environ, "KUBECONFIG")
	return verbs[verbOf(args)] != nil && filepath.IsAbs(kubeconfig) && !strings.Contains(kubeconfig, string(filepath.ListSeparator)) &&
		variable(environ, "KUBERC") == "" && variable(environ, "HTTPS_PROXY") == "" &&
		!slices.ContainsFunc(args, func(arg string) bool { return slices.Contains(ownStreams, arg) })
}

// ownStreams are arguments with which kubectl reads or writes the streams of its process.
var ownStreams = []string{"-k", "-f-", "-f=-", "--filename=-", "-i", "--stdin"}

func variable(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) { // of two, a process gets the last
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// exit is how a command of kubectl's ends early.
type exit struct {
	message string
	code    int
}

var (
	// making is held while a command is made: kubectl registers each for completion.
	making sync.Mutex
	// exits has kubectl's commands end with an exit, and not with the process.
	exits = sync.OnceFunc(func() {
		cmdutil.BehaviorOnFatal(func(message string, code int) { panic(exit{message, code}) })
	})
)

// Run runs a command; see Runs. The error says that the context ended first; the command
// may still be running then.
func Run(ctx context.Context, environ []string, stdin io.Reader, args ...string) (harness.Result, error) {
	exits()
	args = append([]string{"--kubeconfig=" + variable(environ, "KUBECONFIG")}, args...)
	if i := slices.IndexFunc(args, func(arg string) bool { return arg == "-f" || arg == "--filename" || arg == "--" }); i >= 0 && i+1 < len(args) && args[i] != "--" && args[i+1] == "-" {
		// It would read the test's own standard input.
		file, err := standardInput(stdin)
		if err != nil {
			return harness.Result{}, err
		}
		defer os.Remove(file)
		args = slices.Clone(args)
		args[i+1] = file
	}
	ended := make(chan harness.Result, 1)
	go func() { ended <- execute(variable(environ, "HOME"), args) }()
	select {
	case result := <-ended:
		return result, nil
	case <-ctx.Done():
		return harness.Result{}, ctx.Err()
	}
}

// standardInput puts the input into a file.
func standardInput(stdin io.Reader) (string, error) {
	file, err := os.CreateTemp("", "stdin-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, stdin)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return file.Name(), err
}

func execute(home string, args []string) (result harness.Result) {
	var stdout, stderr bytes.Buffer
	defer func() {
		if end := recover(); end != nil {
			early, isExit := end.(exit)
			if !isExit {
				panic(end)
			}
			if early.message != "" {
				fmt.Fprintln(&stderr, strings.TrimSuffix(early.message, "\n"))
			}
			result.Code = early.code
		}
		result.Stdout, result.Stderr = stdout.String(), stderr.String()
	}()
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr}
	if err := newCommand(home, streams, args).Execute(); err != nil {
		fmt.Fprintln(&stderr, "error:", err)
		result.Code = 1
	}
	return result
}

// newCommand is kubectl with the one command that the arguments name: to make them all
// takes longer than most of them run.
func newCommand(home string, streams genericiooptions.IOStreams, args []string) *cobra.Command {
	making.Lock()
	defer making.Unlock()
	root := &cobra.Command{Use: "kubectl", SilenceUsage: true, SilenceErrors: true}
	root.SetArgs(args)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50).WithWarningPrinter(streams)
	if home != "" {
		*flags.CacheDir = filepath.Join(home, ".kube", "cache")
	}
	flags.WithWrapConfigFn(func(c *rest.Config) *rest.Config {
		c.WarningHandler = rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
		return c
	})
	flags.AddFlags(root.PersistentFlags())
	match := cmdutil.NewMatchVersionFlags(flags)
	match.AddFlags(root.PersistentFlags())
	root.AddCommand(verbs[verbOf(args)](cmdutil.NewFactory(match), streams))
	return root
}

package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"helm-tenant/command"
	"helm-tenant/helm"
	"helm-tenant/visible"
	"helm-tenant/wrapper"
)

// patienceAtTab is how long a completion waits for names from the API server.
const patienceAtTab = 3 * time.Second

// complete answers a completion script, or plugin.complete of Helm 3 and 4: it prints
// what can follow these words, of which the last one is incomplete. Our own verbs and
// flags complete themselves; everything else is completed by helm, as the tenant. What is
// not known is left out without an error, since there is no place on the screen for one.
func (c caller) complete(ctx context.Context, request string, words []string) (int, error) {
	c.Env.Stderr = io.Discard
	if len(words) == 0 {
		words = []string{""}
	}
	typed := words[:len(words)-1]
	line, err := helm.ParseLine(typed)
	if err == nil && line.Command == "preflight" && len(line.Args) > 0 && helm.ClassOf(3, line.Args[0]) == helm.Namespaced {
		// From install or upgrade on, everything is helm's.
		index := len(words) - len(line.Args) - 2
		return c.complete(ctx, request, slices.Delete(slices.Clone(words), index, index+1))
	}
	if err != nil || line.Command == "" || wrapper.IsVerb(line.Command) || line.Command == "help" && (len(line.Args) == 0 || wrapper.IsVerb(line.Args[0])) {
		c.Call.Line = line
		return c.completeOurs(ctx, append([]string{request}, words...))
	}
	c.Call.Line = line
	client, err := c.HelmClient(ctx, false)
	if err != nil {
		return exitDone, nil
	}
	if client.Major == 2 {
		return c.completeHelm2(ctx, client, words[len(words)-1])
	}
	c.Call.Line.Args = append(slices.Clone(line.Args), words[len(words)-1])
	inv, err := c.invocation(ctx, client)
	if err != nil {
		inv = helm.WrapLocal(client, c.Call.Line, c.Env.Environ)
	}
	inv.Args = append([]string{request}, inv.Args...)
	out, err := helm.Capture(ctx, inv, patienceOfHelm)
	if err == nil {
		_, err = io.WriteString(c.Env.Stdout, helmAnswer(out, words[len(words)-1]))
	}
	return exitDone, err
}

// patienceOfHelm is how long a completion waits for helm, which may ask the API server.
const patienceOfHelm = 30 * time.Second

// helmAnswer returns helm's completions of typed: a word and its description on each
// line, and a directive at the end (github.com/spf13/cobra, completions.go). Words that a
// shell would not take literally are left out, since release names come from untrusted
// records.
func helmAnswer(out, typed string) string {
	const activeHelp = "_activeHelp_ "
	var answer strings.Builder
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		word, description, described := strings.Cut(line, "\t")
		flag := strings.HasPrefix(typed, "-") && strings.HasPrefix(word, "-") && command.Typeable(strings.TrimLeft(word, "-"))
		switch {
		case i == len(lines)-1 && strings.HasPrefix(line, ":"), strings.HasPrefix(line, activeHelp):
			word, described = line, false
		case !flag && !command.Typeable(word), visible.Instructs(word):
			continue
		}
		answer.WriteString(visible.Text(word))
		if described {
			answer.WriteString("\t" + visible.Text(description))
		}
		answer.WriteString("\n")
	}
	return answer.String()
}

// completeOurs completes our own verbs with their arguments and flags, and helm's
// commands.
func (c caller) completeOurs(ctx context.Context, args []string) (int, error) {
	s := &session{caller: c, completing: true}
	root := newRoot(s)
	root.PersistentFlags().String("tenant", "", "act for this tenant")
	root.PersistentFlags().Lookup("tenant").Hidden = c.Call.Line.Command != "" // it stands before the command
	root.Flags().Bool("version", false, "print helm-tenant's version")
	tenants := func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return startingWith(toComplete, typeable(s.knownTenants(ctx))), cobra.ShellCompDirectiveNoFileComp
	}
	contexts := func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		k, err := s.kubeconfig(s.kubeconfigFile)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return startingWith(toComplete, typeable(k.Contexts())), cobra.ShellCompDirectiveNoFileComp
	}
	for name, values := range map[string]cobra.CompletionFunc{"tenant": tenants, "context": contexts, "kube-context": contexts} {
		if err := root.RegisterFlagCompletionFunc(name, values); err != nil {
			return 0, err
		}
	}
	root.ValidArgsFunction = func(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return s.helmCommands(ctx, toComplete), cobra.ShellCompDirectiveNoFileComp
	}
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.ValidArgsFunction = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			words, directive := root.ValidArgsFunction(cmd, args, toComplete)
			if len(args) == 0 {
				words = append(startingWith(toComplete, wrapper.Verbs), words...)
			}
			return words, directive
		}
	}
	noFiles(root.PersistentFlags(), root)
	for _, cmd := range root.Commands() {
		if err := s.completeNames(ctx, cmd); err != nil {
			return 0, err
		}
		noFiles(cmd.Flags(), cmd)
		if strings.Contains(cmd.Use, "TENANT") {
			several := strings.Contains(cmd.Use, "TENANT...")
			cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 && !several {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return tenants(cmd, args, word)
			}
		} else if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	root.SetArgs(args)
	root.SetOut(c.Env.Stdout)
	root.SetErr(io.Discard)
	return exitDone, root.ExecuteContext(ctx)
}

var fileFlags = []string{"kubeconfig", "filename", "file", "ignore-file", "output-file", "backup", "metrics", "baseline", "for-admin"}

// noFiles keeps a shell from completing values as names of files where they are none. A flag
// with a completion of its own keeps it: then the registration fails.
func noFiles(flags *pflag.FlagSet, cmd *cobra.Command) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(fileFlags, f.Name) {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
}

// typeable returns the names that a shell takes literally. Completion puts names on the
// command line without quotes, and bash even expands the words that it is offered: any
// other name could be run as a command, or be an option.
func typeable(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !command.Typeable(name) })
}

func startingWith(prefix string, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// knownTenants returns the tenants that the context knows, and those of the cluster if
// the caller may list them.
func (s *session) knownTenants(ctx context.Context) []string {
	k, client, err := s.open()
	if err != nil {
		return nil
	}
	var names []string
	if k.Extension != nil {
		for _, known := range k.Extension.Tenants {
			names = append(names, known.Name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patienceAtTab)
	defer cancel()
	if homes, err := client.Homes(ctx); err == nil {
		for name := range homes {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// helmCommands returns the commands of the helm in use. Helm 3 and 4 complete them
// themselves, with plugins and descriptions.
func (s *session) helmCommands(ctx context.Context, toComplete string) []string {
	client, err := s.HelmClient(ctx, false)
	if err != nil {
		return nil
	}
	if client.Major == 2 {
		return startingWith(toComplete, helm.Commands(2))
	}
	inv := helm.WrapLocal(client, helm.Line{Command: cobra.ShellCompRequestCmd, Args: []string{toComplete}}, s.Env.Environ)
	out, err := helm.Capture(ctx, inv, patienceOfHelm)
	if err != nil {
		return nil
	}
	var commands []string
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if name, _, _ := strings.Cut(line, "\t"); name != "" && !strings.HasPrefix(name, ":") && name != "tenant" && name != "help" && !wrapper.IsVerb(name) {
			commands = append(commands, line)
		}
	}
	return commands
}

// completeHelm2 completes for Helm 2, which has no completion command: the names of
// releases, as its own scripts for bash do.
func (c caller) completeHelm2(ctx context.Context, client helm.Client, toComplete string) (int, error) {
	answer := func(names []string, directive cobra.ShellCompDirective) (int, error) {
		var out bytes.Buffer
		for _, name := range startingWith(toComplete, names) {
			visible.Fprintf(&out, "%s\n", name)
		}
		visible.Fprintf(&out, ":%d\n", directive)
		_, err := c.Env.Stdout.Write(out.Bytes())
		return exitDone, err
	}
	if names := helm.Subcommands(c.Call.Line.Command); names != nil && len(c.Call.Line.Args) == 0 {
		return answer(names, cobra.ShellCompDirectiveNoFileComp)
	}
	if strings.HasPrefix(toComplete, "-") || !helm.TakesRelease(c.Call.Line.Command) {
		return answer(nil, cobra.ShellCompDirectiveDefault)
	}
	c.Call.Line.Command, c.Call.Line.Args = "list", []string{"--all", "--short", "--max", "1000"}
	inv, err := c.invocation(ctx, client)
	if err != nil {
		return answer(nil, cobra.ShellCompDirectiveNoFileComp)
	}
	out, err := helm.Capture(ctx, inv, patienceOfHelm)
	if err != nil {
		return answer(nil, cobra.ShellCompDirectiveNoFileComp)
	}
	return answer(typeable(strings.Fields(out)), cobra.ShellCompDirectiveNoFileComp)
}

func completeValues(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // there is no such flag
	}
}

const completionHelp = `Print the script with which a shell completes helm-tenant.

  source <(helm-tenant completion bash)
  source <(helm-tenant completion zsh)
  helm-tenant completion fish | source
  helm-tenant completion powershell | Out-String | Invoke-Expression

zsh and fish complete an alias, too. bash needs a line for it:

  alias h=helm-tenant;   complete -o default -F __start_helm-tenant h
  alias h='helm tenant'; complete -o default -F __start_helm h   # with helm's own script

Usage:
  helm-tenant completion bash|zsh|fish|powershell
`

// completionScript prints a shell's completion script for helm-tenant. Only the
// stand-alone program has it: for a plugin, completion is helm's own command.
func (c caller) completionScript(args []string) error {
	usage := "helm-tenant completion bash|zsh|fish|powershell"
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		_, err := io.WriteString(c.Env.Stdout, completionHelp)
		return err
	}
	if len(args) != 1 {
		return &usageError{fmt.Errorf("name a shell: bash, zsh, fish or powershell"), usage}
	}
	root := &cobra.Command{Use: "helm-tenant"}
	switch args[0] {
	case "bash":
		return root.GenBashCompletionV2(c.Env.Stdout, true)
	case "zsh":
		return root.GenZshCompletion(c.Env.Stdout)
	case "fish":
		return root.GenFishCompletion(c.Env.Stdout, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(c.Env.Stdout)
	}
	return &usageError{fmt.Errorf("completion for %q is not there", args[0]), usage}
}

package helm

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestReadParent(t *testing.T) {
	context := func(name string) Swallowed { return Swallowed{KubeContext: name} }
	for _, test := range []struct {
		parent, got string
		want        Swallowed
	}{
		{"helm tenant list", "list", Swallowed{}},
		{"/usr/local/bin/helm tenant", "", Swallowed{}},
		// Both forms in every position.
		{"helm --kube-context c tenant list -a", "list -a", context("c")},
		{"helm --kube-context=c tenant list -a", "list -a", context("c")},
		{"helm tenant --kube-context c list -a", "list -a", context("c")},
		{"helm tenant --kube-context=c list -a", "list -a", context("c")},
		{"helm tenant list --kube-context c -a", "list -a", context("c")},
		{"helm tenant list --kube-context=c -a", "list -a", context("c")},
		{"helm tenant list -a --kube-context c", "list -a", context("c")},
		{"helm tenant list -a --kube-context=c", "list -a", context("c")},
		{"helm tenant list -- --kube-context c", "list --", context("c")}, // "--" does not protect
		// The last one wins.
		{"helm --kube-context a tenant list --kube-context=b", "list", context("b")},
		{"helm --kube-context=a tenant --kube-context= list", "list", Swallowed{}},
		// The others.
		{"helm --host h:1 tenant list", "list", Swallowed{Host: "h:1"}},
		{"helm tenant list --host=h:1", "list", Swallowed{Host: "h:1"}},
		{"helm --tiller-namespace x tenant list", "list", Swallowed{TillerNamespace: "x"}},
		{"helm tenant --tiller-namespace=kube-system list", "list", Swallowed{TillerNamespace: "kube-system"}},
		{"helm --home /h tenant --debug list --home=/h", "list", Swallowed{}},
		{"helm --debug --home /h --host h --kube-context c --tiller-namespace t tenant list", "list", Swallowed{KubeContext: "c", TillerNamespace: "t", Host: "h"}},
		// Not swallowed.
		{"helm --kubeconfig f tenant --debug=true list --namespace n", "--kubeconfig f --debug=true list --namespace n", Swallowed{}},
		{"helm tenant install c --set a=--host=x", "install c --set a=--host=x", Swallowed{}},
		{"helm tenant list --kube-contexts c", "list --kube-contexts c", Swallowed{}},
		// Helm takes out the first word that is called like the plugin.
		{"helm --kube-context tenant tenant list", "list", context("tenant")},
		{"helm tenant status tenant", "status tenant", Swallowed{}},
		// What follows a swallowed flag is its value, whatever it looks like.
		{"helm tenant list --kube-context --host h", "list h", context("--host")},
	} {
		t.Run(test.parent, func(t *testing.T) {
			parent := strings.Fields(test.parent)
			got, _, err := readParent(2, parent, parent[0], "tenant", strings.Fields(test.got))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReadParentOfHelm3(t *testing.T) {
	for _, test := range []struct {
		parent, got string
		want        Swallowed
	}{
		{"helm tenant list", "list", Swallowed{}},
		{"helm -n x tenant list", "list", Swallowed{Namespace: true, NamespaceValue: "x"}},
		{"helm tenant list --namespace=x", "list", Swallowed{Namespace: true, NamespaceValue: "x"}},
		{"helm tenant list -n x -- -n=y", "list --", Swallowed{Namespace: true, NamespaceValue: "y"}},
		{"helm tenant list -nx", "list -nx", Swallowed{}}, // not swallowed
		{"helm --kube-context c tenant list --kubeconfig f --registry-config=r", "list", Swallowed{KubeContext: "c"}},
		{"helm tenant list --kube-as-user u --kube-token=t", "list", Swallowed{Identity: []string{"--kube-as-user", "--kube-token"}}},
		{"helm tenant list --kube-as-group=g --kube-apiserver s", "list", Swallowed{Identity: []string{"--kube-as-group", "--kube-apiserver"}}},
		{"helm tenant list --kube-ca-file f --kube-tls-server-name=n", "list", Swallowed{Connection: []string{"--kube-ca-file=f", "--kube-tls-server-name=n"}}},
		{"helm tenant --debug list --host h --tiller-namespace t", "list --host h --tiller-namespace t", Swallowed{}},
		// A flag without a value also takes the next word, and is removed if there is none.
		{"helm tenant list --kube-insecure-skip-tls-verify", "list", Swallowed{Connection: []string{"--kube-insecure-skip-tls-verify=true"}}},
		{"helm tenant list --kube-insecure-skip-tls-verify=false", "list", Swallowed{Connection: []string{"--kube-insecure-skip-tls-verify=false"}}},
		{"helm tenant status --kube-insecure-skip-tls-verify web", "status", Swallowed{Connection: []string{"--kube-insecure-skip-tls-verify=true"}}},
		{"helm --kube-insecure-skip-tls-verify tenant list", "", Swallowed{Connection: []string{"--kube-insecure-skip-tls-verify=true"}}},
		{"helm tenant list --kube-insecure-skip-tls-verify --kube-insecure-skip-tls-verify", "list", Swallowed{Connection: []string{"--kube-insecure-skip-tls-verify=true", "--kube-insecure-skip-tls-verify=true"}}},
		{"helm tenant --kube-insecure-skip-tls-verify --kube-context=c list", "list", Swallowed{KubeContext: "c", Connection: []string{"--kube-insecure-skip-tls-verify=true"}}},
		{"helm tenant --kube-insecure-skip-tls-verify --kube-as-user list --debug", "list", Swallowed{Identity: []string{"--kube-as-user"}, Connection: []string{"--kube-insecure-skip-tls-verify=true"}}},
		{"helm tenant list --kube-insecure-skip-tls-verify -nx --qps=5", "list --qps=5", Swallowed{Namespace: true, NamespaceValue: "x", Connection: []string{"--kube-insecure-skip-tls-verify=true"}}},
		{"helm tenant list --kube-insecure-skip-tls-verify -- --kube-context c", "list", Swallowed{Connection: []string{"--kube-insecure-skip-tls-verify=true"}}},
		// Unlike Helm 2's, its cobra knows which word is a flag's value.
		{"helm --namespace tenant --debug tenant list", "list", Swallowed{Namespace: true, NamespaceValue: "tenant"}},
		{"helm tenant status tenant", "status tenant", Swallowed{}},
	} {
		t.Run(test.parent, func(t *testing.T) {
			parent := strings.Fields(test.parent)
			for _, major := range []int{3, 4} {
				got, _, err := readParent(major, parent, parent[0], "tenant", strings.Fields(test.got))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("Helm %d, -want +got:\n%s", major, diff)
				}
			}
		})
	}
	// An empty word counts as such a flag.
	parent := []string{"helm", "tenant", "install", "web", "--description", "", "chart", "--wait", "", "--kube-context", "c", "--namespace", "x"}
	if got, _, err := readParent(3, parent, "helm", "tenant", []string{"install", "web", "--description", "--wait", "c"}); err != nil || got.KubeContext != "--namespace" || got.Namespace {
		t.Errorf("an empty word: got %+v, %v", got, err)
	}
	// Two readings that fit.
	if got, _, err := readParent(3, strings.Fields("helm -n tenant tenant -n tenant list"), "helm", "tenant", strings.Fields("list")); err != nil || !got.Namespace {
		t.Errorf("two readings that mean the same: got %+v, %v", got, err)
	}
}

func TestReadParentRefuses(t *testing.T) {
	const notHelm, other = "it was not helm itself that started this plugin", "the command line of helm is not the one with which this plugin was started"
	for _, test := range []struct {
		name   string
		parent []string
		got    string
		want   string
	}{
		{"no command line", nil, "list", "the command line of helm can't be seen"},
		{"only a name", []string{"helm"}, "list", "the command line of helm can't be seen"},
		{"a shell with a script", []string{"sh", "-c", "helm tenant --kube-context c list"}, "list", notHelm},
		{"a shell with a file", []string{"bash", "/plugins/diff/diff.sh", "release"}, "list", notHelm},
		{"a shell whose arguments happen to fit", []string{"bash", "tenant", "list"}, "list", notHelm},
		{"an argument more", []string{"helm", "tenant", "list", "-a"}, "list", other},
		{"an argument less", []string{"helm", "tenant", "list"}, "list -a", other},
		{"another argument", []string{"helm", "tenant", "list"}, "status", other},
		{"another order", []string{"helm", "tenant", "list", "-a", "-q"}, "list -q -a", other},
		{"a swallowed flag that was not", []string{"helm", "tenant", "list", "--kube-context", "c"}, "list --kube-context c", other},
		{"a value that is missing", []string{"helm", "tenant", "list", "--kube-context"}, "list", other},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := readParent(2, test.parent, "helm", "tenant", strings.Fields(test.got))
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !cmp.Equal(got, Swallowed{}) {
				t.Errorf("got %+v beside the error", got)
			}
		})
	}
	// What Helm 3 and 4 refuse.
	for _, parent := range []string{"helm tenant list --kube-context", "helm tenant list --kube-insecure-skip-tls-verify --all", "helm tenant list --kube-insecure-skip-tls-verify=perhaps"} {
		if got, _, err := readParent(3, strings.Fields(parent), "helm", "tenant", []string{"list"}); errorText(err) != other {
			t.Errorf("%s: it is read as %+v, %v", parent, got, err)
		}
	}
	if _, _, err := readParent(2, []string{"helm", "", "list"}, "helm", "", []string{"list"}); err == nil {
		t.Error("a plugin without a name was found")
	}
}

func TestReadParentChangesNothing(t *testing.T) {
	parent, got := strings.Fields("helm --kube-context c tenant list"), []string{"list"}
	before := slices.Clone(parent)
	if _, _, err := readParent(2, parent, "helm", "tenant", got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, parent) || got[0] != "list" {
		t.Errorf("the arguments are %q and %q now", parent, got)
	}
}

func TestCommandLine(t *testing.T) {
	got, err := CommandLine(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(os.Args, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// pluginArgs is what Helm 2 does with a command line: the arguments of the plugin
// and the settings that it takes from the rest. It follows
// k8s.io/helm/cmd/helm/load_plugins.go, manuallyProcessArgs, and
// github.com/spf13/cobra v0.0.5, argsMinusFirstX. ok is false where Helm 2 panics
// or would not start the plugin.
func pluginArgs(args []string, plugin string) (unknown []string, settings Swallowed, ok bool) {
	index := slices.Index(args, plugin)
	if index < 0 {
		return nil, Swallowed{}, false
	}
	args = slices.Concat(args[:index], args[index+1:])
	var known []string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; a {
		case "--debug":
			known = append(known, a)
		case "--host", "--kube-context", "--home", "--tiller-namespace":
			if i+1 == len(args) {
				return nil, Swallowed{}, false
			}
			known = append(known, a, args[i+1])
			i++
		default:
			isKnown := slices.ContainsFunc([]string{"--host", "--kube-context", "--home", "--tiller-namespace"}, func(name string) bool {
				return strings.HasPrefix(a, name+"=")
			})
			if isKnown {
				known = append(known, a)
			} else {
				unknown = append(unknown, a)
			}
		}
	}
	flags := pflag.NewFlagSet("helm", pflag.ContinueOnError)
	flags.StringVar(&settings.KubeContext, "kube-context", "", "")
	flags.StringVar(&settings.TillerNamespace, "tiller-namespace", "", "")
	flags.StringVar(&settings.Host, "host", "", "")
	flags.String("home", "", "")
	flags.Bool("debug", false, "")
	return unknown, settings, flags.Parse(known) == nil
}

// For any command line, ReadParent finds what Helm 2 removed, and no other arguments of the
// plugin fit.
func FuzzReadParent(f *testing.F) {
	parts := []string{
		"tenant", "list", "install", "-a", "--", "", "--debug", "--debug=true", "--kube-context", "--kube-context=c", "--kube-context=", "--host", "--host=h:1",
		"--home", "--home=/h", "--tiller-namespace", "--tiller-namespace=t", "--namespace", "--kube-contextx=c", "c", "a=b", "--=", "=",
	}
	for _, seed := range []string{"\x00\x01", "\x08\x13\x00\x01", "\x00\x01\x08\x13\x03", "\x09\x00\x01\x04\x0b\x13", "\x08\x00\x00\x01", "\x00\x06\x0d\x13\x01", "\x00\x08", "\x00\x08\x08\x08\x01"} {
		f.Add([]byte(seed), "x")
	}
	f.Fuzz(func(t *testing.T, picks []byte, free string) {
		argv := []string{"helm"}
		for _, pick := range picks {
			if int(pick) < len(parts) {
				argv = append(argv, parts[pick])
			} else {
				argv = append(argv, free)
			}
		}
		got, want, ok := pluginArgs(argv[1:], "tenant")
		if !ok {
			return
		}
		read, _, err := readParent(2, argv, "helm", "tenant", got)
		if err != nil {
			t.Fatalf("%q: %v", argv, err)
		}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Errorf("%q, -want +got:\n%s", argv, diff)
		}
		if _, _, err := readParent(2, argv, "helm", "tenant", append(got, "more")); err == nil {
			t.Errorf("%q fits other arguments, too", argv)
		}
	})
}

// pluginArgs3 does what Helm 3 and 4 do with a command line, with the cobra that they use: it
// returns the arguments of the plugin, and the values of helm's flags. It follows
// manuallyProcessArgs and processParent in helm.sh/helm/v3/cmd/helm/load_plugins.go and
// helm.sh/helm/v4/pkg/cmd/load_plugins.go, and AddFlags in pkg/cli of either, which can't be
// imported. ok is false if helm does not start the plugin.
func pluginArgs3(args []string, plugin string) (unknown []string, flags *pflag.FlagSet, ok bool) {
	root := &cobra.Command{Use: "helm", SilenceErrors: true, SilenceUsage: true}
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	addFlags3(root.PersistentFlags())
	root.AddCommand(&cobra.Command{Use: plugin, DisableFlagParsing: true, RunE: func(cmd *cobra.Command, args []string) error {
		var known []string
		known, unknown = manuallyProcessArgs(args)
		if err := cmd.Parent().ParseFlags(known); err != nil {
			return err
		}
		flags, ok = cmd.Parent().Flags(), true
		return nil
	}})
	root.SetArgs(args)
	err := root.Execute()
	return unknown, flags, ok && err == nil
}

func addFlags3(flags *pflag.FlagSet) {
	flags.StringP("namespace", "n", "", "")
	for _, name := range []string{"kubeconfig", "kube-context", "kube-token", "kube-as-user", "kube-apiserver", "kube-ca-file", "kube-tls-server-name", "registry-config", "repository-config", "repository-cache"} {
		flags.String(name, "", "")
	}
	flags.StringArray("kube-as-group", nil, "")
	flags.Bool("kube-insecure-skip-tls-verify", false, "")
	flags.Bool("debug", false, "")
	flags.Int("burst-limit", 0, "")
	flags.Float32("qps", 0, "")
}

// manuallyProcessArgs is helm's.
func manuallyProcessArgs(args []string) ([]string, []string) {
	known := []string{}
	unknown := []string{}
	kvargs := []string{"--kube-context", "--namespace", "-n", "--kubeconfig", "--kube-apiserver", "--kube-token", "--kube-as-user", "--kube-as-group", "--kube-ca-file", "--registry-config", "--repository-cache", "--repository-config", "--kube-insecure-skip-tls-verify", "--kube-tls-server-name"}
	knownArg := func(a string) bool {
		for _, pre := range kvargs {
			if strings.HasPrefix(a, pre+"=") {
				return true
			}
		}
		return false
	}
	isKnown := func(v string) string {
		if slices.Contains(kvargs, v) {
			return v
		}
		return ""
	}
	for i := 0; i < len(args); i++ {
		switch a := args[i]; a {
		case "--debug":
			known = append(known, a)
		case isKnown(a):
			known = append(known, a)
			i++
			if i < len(args) {
				known = append(known, args[i])
			}
		default:
			if knownArg(a) {
				known = append(known, a)
				continue
			}
			unknown = append(unknown, a)
		}
	}
	return known, unknown
}

// means returns the values of the removed flags, without the namespace, which helm exports.
func (s Swallowed) means(t *testing.T) map[string]string {
	t.Helper()
	flags := pflag.NewFlagSet("helm", pflag.ContinueOnError)
	addFlags3(flags)
	if err := flags.Parse(s.Connection); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	flags.Visit(func(f *pflag.Flag) { set[f.Name] = f.Value.String() })
	for _, name := range s.Identity {
		set[strings.TrimPrefix(name, "--")] = ""
	}
	if s.KubeContext != "" {
		set["kube-context"] = s.KubeContext
	}
	if s.Namespace {
		set["namespace"] = ""
	}
	return set
}

// For any command line of Helm 3 or 4, ReadParent finds what helm removed.
func FuzzReadParentOfHelm3(f *testing.F) {
	parts := []string{
		"tenant", "list", "install", "-a", "--", "", "--debug", "--debug=true", "--kube-context", "--kube-context=c", "--kube-context=", "--namespace", "--namespace=x", "-n", "-n=x", "-nx",
		"--kubeconfig", "--kubeconfig=f", "--kube-as-user", "--kube-as-group=g", "--kube-token=t", "--kube-apiserver", "--kube-ca-file", "--kube-ca-file=f", "--kube-tls-server-name=n",
		"--kube-insecure-skip-tls-verify", "--kube-insecure-skip-tls-verify=false", "--kube-insecure-skip-tls-verify=perhaps", "--registry-config", "--repository-cache=d", "--qps", "--qps=5", "c", "a=b", "--=", "=", "-",
	}
	for _, seed := range []string{"\x00\x01", "\x08\x20\x00\x01", "\x00\x01\x19", "\x00\x01\x19\x20", "\x19\x00\x01", "\x00\x19\x19\x01", "\x00\x01\x19\x04\x08\x20", "\x00\x19\x12\x01\x06", "\x00\x01\x19\x0f", "\x00\x01\x1b", "\x08\x00\x00\x01\x08\x00", "\x00\x01\x08", "\x00\x01\x05\x20", "\x00\x05\x08\x01\x06"} {
		f.Add([]byte(seed), "x")
	}
	f.Fuzz(func(t *testing.T, picks []byte, free string) {
		argv := []string{"helm"}
		for _, pick := range picks {
			if int(pick) < len(parts) {
				argv = append(argv, parts[pick])
			} else {
				argv = append(argv, free)
			}
		}
		got, flags, ok := pluginArgs3(argv[1:], "tenant")
		if !ok {
			return
		}
		want := map[string]string{}
		flags.Visit(func(f *pflag.Flag) {
			switch {
			case f.Name == "kube-context" && f.Value.String() == "":
			case f.Name == "kube-context" || slices.Contains(connectionFlags, f.Name):
				want[f.Name] = f.Value.String()
			case f.Name == "namespace" || slices.Contains(identityFlags, f.Name):
				want[f.Name] = ""
			}
		})
		for _, major := range []int{3, 4} {
			read, _, err := readParent(major, argv, "helm", "tenant", got)
			if err != nil {
				// With the plugin's name in it twice, two readings may fit.
				if first := slices.Index(argv, "tenant"); slices.Contains(argv[first+1:], "tenant") {
					return
				}
				t.Fatalf("Helm %d, %q: %v", major, argv, err)
			}
			if diff := cmp.Diff(want, read.means(t)); diff != "" {
				t.Errorf("Helm %d, %q, -want +got:\n%s", major, argv, diff)
			}
			if _, _, err := readParent(major, argv, "helm", "tenant", append(got, "more")); err == nil {
				t.Errorf("%q fits other arguments, too", argv)
			}
		}
	})
}

// The plugin answers a shell's completion request; helm passes the incomplete word on
// unchanged, and often it is empty.
func TestReadParentOfACompletion(t *testing.T) {
	for _, request := range []string{"__complete", "__completeNoDesc"} {
		for _, test := range []struct {
			typed, got []string
			want       Swallowed
		}{
			{[]string{"tenant", "status", ""}, []string{"status", ""}, Swallowed{}},
			{[]string{"tenant", "status", "--kube-context", "c", ""}, []string{"status", ""}, Swallowed{KubeContext: "c"}},
			{[]string{"tenant", "status", "-n"}, []string{"status", "-n"}, Swallowed{}},
			{[]string{"tenant", "status", "", ""}, []string{"status", ""}, Swallowed{}},
		} {
			parent := append([]string{"helm", request}, test.typed...)
			got, _, err := readParent(3, parent, "helm", "tenant", append([]string{request}, test.got...))
			if err != nil {
				t.Errorf("%q: %v", parent, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%q, -want +got:\n%s", parent, diff)
			}
		}
	}
}

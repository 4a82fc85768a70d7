// Package completion tests completion: with the real helms and the plugin, and in real shells
// with the binary. The API server is real; Helm 3 and 4 need no pod to have releases.
package completion

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

func TestMain(m *testing.M) { os.Exit(testcluster.Main(m, testcluster.Options{})) }

// somebody has a kubeconfig, a helm of that major with the plugin in it, and
// helm-tenant by itself on PATH.
type somebody struct {
	t   *testing.T
	env []string
}

func newSomebody(t *testing.T, helm, kubeconfig string) *somebody {
	t.Helper()
	c := testcluster.Get(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin, plugin := filepath.Join(dir, "bin"), filepath.Join(dir, "plugins", "tenant")
	for _, folder := range []string{bin, filepath.Join(plugin, "bin")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(plugin, "bin", "helm-tenant")
	built, err := harness.Installed()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(built, binary); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		binary: filepath.Join(bin, "helm-tenant"), c.Bin(helm): filepath.Join(bin, "helm"),
		filepath.Join(root, "plugin.yaml"):     filepath.Join(plugin, "plugin.yaml"),
		filepath.Join(root, "plugin.complete"): filepath.Join(plugin, "plugin.complete"),
	} {
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	// A kubeconfig of their own: `use` writes into it.
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(own, text, 0o600); err != nil {
		t.Fatal(err)
	}
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "HELM_") || name == "KUBECONFIG" || name == "PATH" || name == "HOME"
	})
	env = append(env, "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+own, "HOME="+dir,
		"HELM_PLUGINS="+filepath.Dir(plugin), "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir)
	return &somebody{t, env}
}

// in returns the same person in a subtest.
func (s *somebody) in(t *testing.T) *somebody { return &somebody{t, s.env} }

// run returns what a command prints on standard output.
func (s *somebody) run(name string, args ...string) string {
	s.t.Helper()
	var stdout, stderr string
	var err error
	try := func() (int, string) {
		stdout, stderr, err = s.try(name, args...)
		if err != nil {
			return 1, stderr
		}
		return 0, stderr
	}
	if slices.Contains(args, "use") {
		harness.AwaitGrant(try)
	} else {
		try()
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// try returns what a command prints, and the error of one that failed.
func (s *somebody) try(name string, args ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	for _, entry := range s.env {
		if list, found := strings.CutPrefix(entry, "PATH="); found {
			if path := filepath.Join(filepath.SplitList(list)[0], name); !strings.Contains(name, "/") && exists(path) {
				name = path
			}
		}
	}
	cmd := exec.Command(name, args...)
	cmd.Env = s.env
	var out, output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &output
	err = cmd.Run()
	return out.String(), output.String(), err
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// names returns the completions that a helm prints, descriptions and directive left
// out.
func names(out string) []string {
	var found []string
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if name != "" && !strings.HasPrefix(name, ":") {
			found = append(found, name)
		}
	}
	return found
}

// prepare makes a tenant with releases, and returns a member of it who uses it.
func prepare(t *testing.T, helm, tenant string) (admin, member *somebody) {
	c := testcluster.Get(t)
	admin = newSomebody(t, helm, c.Admin())
	admin.run("helm", "tenant", "init", tenant, "--namespaces", tenant+"-a,"+tenant+"-b", "--create-namespaces", "--user", "alice-of-"+tenant, "--engine", "impersonation")
	kubeconfig, err := c.Kubeconfig("alice-of-" + tenant)
	if err != nil {
		t.Fatal(err)
	}
	member = newSomebody(t, helm, kubeconfig)
	member.run("helm", "tenant", "use", tenant)
	for release, namespace := range map[string]string{"web": tenant + "-a", "worker": tenant + "-a", "other": tenant + "-b"} {
		member.run("helm", "tenant", "install", release, writeChart(t), "-n", namespace)
	}
	return admin, member
}

// writeChart writes a chart that creates no pods.
func writeChart(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"Chart.yaml":        "apiVersion: v1\nname: note\nversion: 0.1.0\n",
		"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func holds(t *testing.T, got []string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
}

func expectWords(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPlugin asks helm itself, which asks plugin.complete.
func TestPlugin(t *testing.T) {
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run(helm, func(t *testing.T) {
			tenant := "tab" + helm
			admin, member := prepare(t, helm, tenant)
			complete := func(s *somebody, words ...string) []string {
				return names(s.run("helm", append([]string{"__complete", "tenant"}, words...)...))
			}
			first := complete(member, "")
			holds(t, first, "grant", "use", "whoami", "install", "upgrade", "list")
			expectWords(t, complete(member, "who"), "whoami")
			holds(t, complete(member, "install", "--create-n"), "--create-namespace")
			holds(t, complete(member, "init", "x", "--eng"), "--engine")
			// Completion offers the releases that the tenant's account can see.
			expectWords(t, complete(member, "status", ""), "web", "worker")
			expectWords(t, complete(member, "status", "-n", tenant+"-b", ""), "other")
			holds(t, complete(member, "get", "values", "wo"), "worker")
			expectWords(t, complete(member, "rollback", "web", ""), "1")
			holds(t, complete(member, "--tenant", tenant, "uninstall", "we"), "web")
			// A user who may list tenants gets all of them, others the ones in their
			// kubeconfig.
			holds(t, complete(admin, "describe", ""), tenant)
			expectWords(t, complete(member, "use", ""), tenant)
		})
	}
}

// TestShells completes in each shell with that shell's script.
func TestShells(t *testing.T) {
	_, member := prepare(t, "helm3", "shells")
	for _, test := range []struct {
		typed []string
		want  []string
	}{
		{[]string{"whoa"}, []string{"whoami"}},
		{[]string{"status", ""}, []string{"web", "worker"}},
		{[]string{"--tenant", ""}, []string{"shells"}},
		{[]string{"unin"}, []string{"uninstall"}},
	} {
		t.Run("bash "+strings.Join(test.typed, " "), func(t *testing.T) {
			bash := harness.Program(t, "bash")
			if !exists("/usr/share/bash-completion/bash_completion") {
				harness.Program(t, "bash-completion")
			}
			words := append([]string{"helm-tenant"}, test.typed...)
			script := `source /usr/share/bash-completion/bash_completion; source <(helm-tenant completion bash)
				COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
				__start_helm-tenant; for reply in "${COMPREPLY[@]}"; do echo "${reply%% *}"; done`
			expectWords(t, names(member.in(t).run(bash, append([]string{"-c", script, "bash"}, words...)...)), test.want...)
		})
		t.Run("fish "+strings.Join(test.typed, " "), func(t *testing.T) {
			fish := harness.Program(t, "fish")
			script := `helm-tenant completion fish | source; complete -C "helm-tenant $argv"`
			expectWords(t, names(member.in(t).run(fish, "-c", script, "--", strings.Join(test.typed, " "))), test.want...)
		})
		t.Run("zsh "+strings.Join(test.typed, " "), func(t *testing.T) {
			zsh := harness.Program(t, "zsh")
			// The script's own function, with compadd and _describe told to print.
			script := `compdef() { : }; source <(helm-tenant completion zsh)
				_describe() { print -l -- "${completions[@]%%:*}" }
				words=("$@"); CURRENT=$#; _helm-tenant`
			expectWords(t, names(member.in(t).run(zsh, append([]string{"-f", "-c", script, "zsh", "helm-tenant"}, test.typed...)...)), test.want...)
		})
	}
}

// TestAliases completes what people alias helm-tenant to, by the lines that README and
// `completion --help` give: bash needs one for the alias, zsh and fish none.
func TestAliases(t *testing.T) {
	_, member := prepare(t, "helm3", "aliases")
	shell := func(t *testing.T, name string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("there is no %s here: scripts/test-prerequisites.sh installs it", name)
		}
		return path
	}
	for _, alias := range []struct{ text, bash, zsh, fish string }{
		{"helm tenant", "source <(helm completion bash); complete -o default -F __start_helm h", "source <(helm completion zsh)", "helm completion fish | source"},
		{"helm-tenant", "source <(helm-tenant completion bash); complete -o default -F __start_helm-tenant h", "source <(helm-tenant completion zsh)", "helm-tenant completion fish | source"},
	} {
		for _, test := range []struct {
			typed string
			want  []string
		}{
			{"whoa", []string{"whoami"}},
			{"status wor", []string{"worker"}},
			{"status ", []string{"web", "worker"}},
		} {
			t.Run("bash "+alias.text+" "+test.typed, func(t *testing.T) {
				// An interactive shell expands aliases, which the completion relies on.
				script := `shopt -s expand_aliases; source /usr/share/bash-completion/bash_completion; alias h='` + alias.text + `'; ` + alias.bash + `
					COMP_LINE="h $1"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; IFS=' ' read -ra COMP_WORDS <<<"$COMP_LINE"
					[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
					function=$(complete -p h | sed 's/.*-F \([^ ]*\).*/\1/'); $function; for reply in "${COMPREPLY[@]}"; do echo "${reply%% *}"; done`
				expectWords(t, names(member.in(t).run(shell(t, "bash"), "-c", script, "bash", test.typed)), test.want...)
			})
			t.Run("fish "+alias.text+" "+test.typed, func(t *testing.T) {
				script := alias.fish + `; alias h='` + alias.text + `'; complete -C "h $argv[1]"`
				expectWords(t, names(member.in(t).run(shell(t, "fish"), "-c", script, "--", test.typed)), test.want...)
			})
			t.Run("zsh "+alias.text+" "+test.typed, func(t *testing.T) {
				// A shell at a terminal of its own: zsh expands the alias itself.
				script := `zmodload zsh/zpty; zpty shell zsh -f -i
					zpty -w shell "PS1=; autoload -Uz compinit; compinit -u -D; setopt nolistbeep; zstyle ':completion:*' menu no; ` + alias.zsh + `; alias h='` + alias.text + `'; print READY-NOW"
					wait_for() { local out= all= end=$((SECONDS + 60)); while ((SECONDS < end)); do
						if zpty -rt shell out; then all+=$out; [[ $all == *$~1* ]] && { print -r -- "$all"; return }; else sleep 0.05; fi; done; print -r -- "NOT SEEN: $all"; exit 1 }
					wait_for 'READY-NOW*READY-NOW'; zpty -w -n shell "h $1"$'\t'; sleep 0.2; zpty -w -n shell $'\t'
					wait_for "$2"`
				seen := test.want[0]
				if len(test.want) > 1 {
					seen = "deployed" // they are listed in zsh's own order, with what they are
				}
				member.in(t).run(shell(t, "zsh"), "-f", "-c", script, "zsh", test.typed, seen)
			})
		}
	}
}

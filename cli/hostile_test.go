package cli

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/admin"
	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/command/shelltest"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
	"helm-tenant/visible"
	"helm-tenant/wrapper"
)

// hostileSession returns a session whose streams are kept.
func hostileSession() (s *session, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	env := Environment{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Now: func() time.Time { return time.Unix(1e9, 0) }}
	return &session{caller: caller{wrapper.Caller{Env: env}}}, stdout, stderr
}

// hostileOutputs are the outputs about a cluster in which every name that other people can
// choose is word, by what prints them.
var hostileOutputs = map[string]func(s *session, word string) error{
	"describe": func(s *session, word string) error {
		return s.printDescription(hostileDescription(word))
	},
	"tenants": func(s *session, word string) error {
		return s.printTenants(hostileInventory(word), "here", tenantsQuery{output: "table"})
	},
	"tenants -o wide": func(s *session, word string) error {
		return s.printTenants(hostileInventory(word), "here", tenantsQuery{output: "wide"})
	},
	"destroy, refused": func(s *session, word string) error {
		err := error(&admin.HasReleasesError{Releases: []admin.Release{{Name: word, Namespace: word, Status: word, Chart: word}, {Name: "web", Chart: word}}})
		report(s.Env.Stderr, withHint(fmt.Errorf("destroy of tenant %q: %w", "a", err), hintsFor(err, inFlags)...))
		return nil
	},
	"destroy --dry-run": func(s *session, word string) error {
		removal := &admin.Removal{Name: "a", Home: word, Releases: []admin.Release{{Name: word, Namespace: word, Status: "DEPLOYED"}}, Prepared: &admin.Prepared{Plan: hostilePlan(word)}}
		s.previewDestroy(removal, &destroyOptions{output: "text"})
		s.sayWhatStays(removal)
		return nil
	},
	"destroy -o json": func(s *session, word string) error {
		removal := &admin.Removal{Name: "a", Home: word, Backups: []string{word}, Releases: []admin.Release{{Name: word, Namespace: word, Status: "DEPLOYED"}}, Prepared: &admin.Prepared{Notes: []string{word}}}
		return s.printDestruction(removal, &destroyOptions{output: "json"}, hostilePlan(word).Changes, []string{word})
	},
	"apply --dry-run": func(s *session, word string) error {
		outcomes := []admin.Outcome{{Name: "a", Prepared: &admin.Prepared{Plan: hostilePlan(word), Notes: []string{"it has " + word}}}, {Name: word, Err: errors.New(word)}}
		return s.printDiff("text", outcomes, hostilePlan(word), []string{word})
	},
	"apply": func(s *session, word string) error {
		outcomes := []admin.Outcome{{Name: "a", Prepared: &admin.Prepared{Plan: hostilePlan(word), Notes: []string{"it has " + word}}}, {Name: word, Err: errors.New(word)}}
		if err := s.printApplied("text", outcomes); err != nil {
			return err
		}
		report(s.Env.Stderr, s.judge(outcomes, false))
		return nil
	},
	"revoke": func(s *session, word string) error {
		members := tenant.Members{{Kind: "User", Name: word}, {Kind: "Group", Name: word}}
		still := []subjectWays{{Subject: "user " + word, Ways: []string{"user " + word + " -> RoleBinding " + word}, Rights: []string{"user " + word + " -> RoleBinding " + word}}}
		if err := s.printMembership(admin.Membership{Tenant: tenant.Tenant{Name: "a", Members: members}, Changed: map[tenant.Relation]tenant.Members{tenant.RelationMember: members}, Unchanged: members}, &memberOptions{output: "text", as: tenant.RelationMember}, revoked, still, nil, nil); err != nil {
			return err
		}
		return s.printMembership(admin.Membership{Tenant: tenant.Tenant{Name: "a", Members: members}}, &memberOptions{output: "text", as: tenant.RelationMember}, revoked, nil, nil, nil)
	},
	"init": func(s *session, word string) error {
		t := tenant.Tenant{Name: "a", HomeNamespace: word, Engine: tenant.EngineTiller, Members: tenant.Members{{Kind: "User", Name: word}}}
		return s.initDone(&admin.Prepared{Tenant: t}, &initOptions{})
	},
	"migrate": func(s *session, word string) error {
		r := migrate.Release{Name: word, Namespace: word, Status: word, Notes: []string{"Helm 3 has no hook " + word},
			Revisions: []migrate.Revision{{Version: 3}}}
		there := &admin.Migration{Tenant: tenant.Tenant{Name: "a", HomeNamespace: word}, State: &tenant.Migration{Converted: true}, Releases: []migrate.Release{r}, Standings: []migrate.Standing{{}}}
		m := &migration{session: s, name: "a", options: &migrateOptions{output: "text"}}
		(&admin.Migrate{Name: "a", Event: s.event}).NoteWork(there)
		return m.print(there)
	},
	"migrate, refused": func(s *session, word string) error {
		err := error(&admin.BlockedError{Problems: []error{errors.New("release " + word), fmt.Errorf("hook %q", word)}})
		report(s.Env.Stderr, fmt.Errorf("migrate of tenant %q: %w", "a", err))
		return nil
	},
	"errors": func(s *session, word string) error {
		for _, err := range []error{
			errors.New(word), fmt.Errorf("in %s: %w", word, errors.New(word)), problems{errors.New(word), errors.New("b " + word)}, &usageError{errors.New(word), "helm tenant"},
			&admin.RefusedError{Why: word, Setting: admin.SettingRole, Value: word}, &admin.EngineError{Name: word, From: tenant.EngineTiller}, &admin.EngineError{Name: word, From: tenant.EngineImpersonation},
			&admin.MigratingError{Name: word}, &admin.NoTenantError{Name: word, Where: word}, &admin.MissingNamespacesError{Names: []string{word, word}}, &admin.ClaimedError{Namespace: word, Owner: word},
			&admin.DeniedError{Missing: []cluster.Permission{{Verb: "get", Resource: "pods", Namespace: word, Name: word}, {Verb: "get", Resource: word}}},
			&cluster.NotOursError{Keys: []cluster.Key{{Kind: "Role", Namespace: word, Name: word}}},
		} {
			report(s.Env.Stderr, withHint(err, hintsFor(err, inFlags)...))
			report(s.Env.Stderr, withHint(err, hintsFor(err, inFile)...))
		}
		return nil
	},
	"audit": func(s *session, word string) error {
		return s.printReport(hostileReport(word), &auditOptions{output: "wide"})
	},
	"audit --can-reach": func(s *session, word string) error {
		r := hostileReport(word)
		r.Asked, r.Groups = "user "+word, []string{word}
		return s.printReport(r, &auditOptions{output: "table", canReach: word})
	},
}

func hostileDescription(word string) *admin.Description {
	members := tenant.Members{{Kind: "User", Name: word}, {Kind: "Group", Name: word}}
	return &admin.Description{
		Tenant: tenant.Tenant{Name: "a", Role: word, Engine: tenant.EngineTiller, Members: members}, Home: word,
		In:      []admin.NamespaceOf{{Name: word, Bindings: []admin.Binding{{Name: word, Role: word, Subjects: []string{"user " + word, word}}, {Name: word, Ours: true}}}, {Name: word, Missing: true}, {Name: word}},
		Running: &admin.Tiller{Image: word, Command: []string{word, word}}, Pods: []admin.PodOf{{Name: word, Phase: word}},
		Releases: []admin.Release{{Name: word, Namespace: word, Status: word, Chart: word}, {Name: word, Problem: word}},
		Drift:    hostilePlan(word).Changes, Foreign: word, Uncompared: word, Unseen: []string{word},
	}
}

func hostileInventory(word string) *admin.Inventory {
	return &admin.Inventory{
		Tenants: []admin.Overview{{Tenant: tenant.Tenant{Name: word, Namespaces: []string{word, word}, Role: word, Members: tenant.Members{{Kind: "User", Name: word}}}, Home: word,
			Tiller: &admin.Tiller{Version: word, Image: word}, Releases: map[string]int{word: 2}}, {Tenant: tenant.Tenant{Name: "b"}, Problem: word}},
		Unmanaged: []admin.Unmanaged{{Tiller: admin.Tiller{Namespace: word, Version: word, Image: word}, Releases: map[string]int{word: 1}}},
	}
}

func hostilePlan(word string) cluster.Plan {
	return cluster.Plan{Changes: []cluster.Change{{Action: cluster.Update, Key: cluster.Key{Kind: "RoleBinding", Namespace: word, Name: word},
		Fields: []cluster.Field{{Path: word, Live: word, Wanted: "x"}, {Path: "subjects", Live: []any{word}, Wanted: []any{"y", map[string]any{word: word}}}}}}}
}

func hostileReport(word string) *audit.Report {
	path := audit.OpenPath{Path: audit.Path{ID: "exec", Name: "exec into pods"}, Chains: [][]string{{"user " + word, word}}}
	f := audit.Finding{ID: "HT040", Severity: audit.High, Tenants: []string{"a"}, Home: word, Subject: "user " + word, Text: "user " + word + " has rights", Why: "It is so.",
		Chains: [][]string{{"user " + word, word}, {word}}, Fix: command.Run(command.Kubectl("delete", "a", "rolebinding", word)), Or: []command.Fix{command.Run(command.Tenant("revoke", "a", command.List("--user", word)))}}
	ignored := f
	ignored.Reason = word
	return &audit.Report{Result: audit.Unknown, Findings: []audit.Finding{f, {ID: "HT001", Severity: audit.High, Home: word, Subject: word, Fix: command.Advice("none")}}, Ignored: []audit.Finding{ignored},
		Unseen:      []audit.Unseen{{What: word, Why: word, Matters: word}},
		Deployers:   []audit.Deployer{{Tenant: word, Home: word, Account: word, Version: word, Namespaces: []string{word}, Access: []audit.Access{{Subject: "user " + word, Paths: []audit.OpenPath{path}}}}},
		ClusterWide: []audit.Wide{{Subject: word, Paths: []audit.OpenPath{path}}}, Administrators: []audit.Administrator{{Subject: word, Role: word}},
		CanReach: []audit.Reached{{Tenant: word, Home: word, Through: []string{word}, Paths: []audit.OpenPath{path}}}}
}

// shownCommands matches the commands that the output shows to be typed.
var shownCommands = regexp.MustCompile(`(?m)(?:^ +(?:fix|or)? *|: |[a-z] with )((?:helm tenant|kubectl) .*)$`)

// TestHostileNames: a name that somebody else chose starts no line of its own in the output,
// sends no control or hidden character to the terminal, and becomes neither a command nor an
// option of a shown one.
func TestHostileNames(t *testing.T) {
	var typed strings.Builder
	allowed, lines := map[string]bool{}, map[string]bool{}
	outputs := maps.Clone(hostileOutputs)
	maps.Copy(outputs, hostileVerbs)
	for name, write := range outputs {
		// For a name with hidden characters no command is shown, only its note.
		seen, unseen := hostileLines(t, write, "plain"), hostileLines(t, write, "\u200b")
		for _, word := range shelltest.Hostile() {
			out := hostileLines(t, write, word)
			for _, line := range out {
				if !visible.Plain(line) || visible.Instructs(line) {
					t.Errorf("%s of %q prints %q", name, word, line)
				}
				// No line begins like one of ours unless the output for a plain word has it as
				// well.
				if strings.HasPrefix(strings.TrimSpace(line), "run: ") || line == "Releases: 0" {
					t.Errorf("%s of %q prints the line %q", name, word, line)
				}
			}
			want := len(seen)
			if !visible.Plain(word) {
				want = len(unseen)
			}
			if word != "" && len(out) != want {
				t.Errorf("%s of %q has %d lines, and %d of another name:\n%s", name, word, len(out), want, strings.Join(out, "\n"))
			}
			for _, match := range shownCommands.FindAllStringSubmatch(strings.Join(out, "\n"), -1) {
				if line := match[1]; !lines[line] { // several verbs print the same
					lines[line] = true
					typed.WriteString(line + "\n")
				}
			}
			for _, whole := range []string{word, command.List("--user", word), "--home-namespace=" + word, "--role=" + word, "--from=" + word, "--namespaces=" + word + ",b"} {
				allowed[whole] = true
			}
		}
	}
	ours := regexp.MustCompile(`^([a-z]+|a|--(namespace=a|namespaces=(NS|b)|finish|abort|adopt|engine=(both|tiller|impersonation)|home-namespace=kube-system|tenant=a|user=USER)|-f|tenants\.yaml|--|[0-9]+)$`)
	for _, shell := range shelltest.Shells {
		t.Run(shell.Name, func(t *testing.T) {
			t.Parallel()
			calls := shell.Calls(t, typed.String())
			if want := strings.Count(typed.String(), "\n"); len(calls) != want || want < 50 {
				t.Errorf("%d commands are typed, and %d run", want, len(calls))
			}
			for _, call := range calls {
				if call[0] != "helm" && call[0] != "kubectl" {
					t.Errorf("%q runs", call)
				}
				for _, word := range call {
					if !ours.MatchString(word) && !allowed[word] {
						t.Errorf("%q has the word %q", call, word)
					}
				}
			}
		})
	}
}

func hostileLines(t *testing.T, write func(*session, string) error, word string) []string {
	t.Helper()
	s, stdout, stderr := hostileSession()
	if err := write(s, word); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(stdout.String()+stderr.String(), "\n"), "\n")
}

// JSON and YAML of describe, tenants, apply and audit contain the names unchanged, and no
// control or hidden character.
func TestHostileNamesAsData(t *testing.T) {
	for _, word := range shelltest.Hostile() {
		for _, format := range []string{"json", "yaml", "sarif", "html"} {
			s, stdout, _ := hostileSession()
			if err := s.printReport(hostileReport(word), &auditOptions{output: format}); err != nil {
				t.Fatalf("%s of %q: %v", format, word, err)
			}
			if bytes.ContainsFunc(stdout.Bytes(), func(r rune) bool { return r != '\n' && r != '\t' && visible.Hidden(r) }) || visible.Instructs(stdout.String()) {
				t.Errorf("%s of %q holds hidden characters or a runner's command", format, word)
			}
		}
		for _, format := range []string{"json", "yaml"} {
			s, stdout, _ := hostileSession()
			outcomes := []admin.Outcome{{Name: "a", Prepared: &admin.Prepared{Plan: hostilePlan(word), Notes: []string{"it has " + word}}}, {Name: "b", Err: errors.New(word)}}
			if err := errors.Join(s.printDiff(format, outcomes, hostilePlan(word), nil), s.printApplied(format, outcomes)); err != nil {
				t.Fatalf("%s of %q: %v", format, word, err)
			}
			if bytes.ContainsFunc(stdout.Bytes(), func(r rune) bool { return r != '\n' && visible.Hidden(r) }) || visible.Instructs(stdout.String()) {
				t.Errorf("%s of %q holds hidden characters or a runner's command", format, word)
			}
		}
	}
}

// The output of shellenv sets the variables to the kubeconfig's values, in every shell, and
// runs nothing.
func TestHostileContextsInShellenv(t *testing.T) {
	programs := map[string]string{"bash": "bash", "dash": "sh", "zsh": "zsh", "fish": "fish"}
	for _, shell := range shelltest.Shells {
		t.Run(shell.Name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			var want [][]string
			for _, word := range shelltest.Hostile() {
				out, err := shellenvOf(t, word, programs[shell.Program])
				if word == "" || strings.ContainsAny(word, "\x00\u0085") || !strings.EqualFold(strings.ToValidUTF8(word, ""), word) {
					continue // no kubeconfig can contain it
				}
				if !visible.Plain(word) {
					if err == nil || out != "" {
						t.Errorf("of the context %q is printed %q, %v", word, out, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("of the context %q: %v", word, err)
				}
				text.WriteString(out + "kubectl \"$HELM_KUBECONTEXT\" \"$HELM_TENANT\"\n")
				want = append(want, []string{"kubectl", word, "team-a"})
			}
			if diff := cmp.Diff(want, shell.Calls(t, text.String())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for _, word := range []string{"it's", "\u2018; touch pwned; \u2019", "\u201a\u201b", "$(touch pwned)"} {
		out, err := shellenvOf(t, word, "powershell")
		if want := "$env:HELM_KUBECONTEXT = " + command.PowerShell.Literal(word) + "\n"; err != nil || !strings.Contains(out, want) {
			t.Errorf("of %q is printed for PowerShell %q, %v", word, out, err)
		}
	}
}

// shellenvOf is what shellenv prints for a context of that name.
func shellenvOf(t *testing.T, name, shell string) (string, error) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: "b"}
	config.CurrentContext = name
	file := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return "", err
	}
	s, stdout, stderr := hostileSession()
	s.Env.Environ = []string{"PATH=/nowhere", "HELM_TENANT=team-a"}
	s.Env.Args = []string{"shellenv", "--shell=" + shell, "--kubeconfig=" + file}
	if code := Run(t.Context(), s.Env); code != exitDone {
		return stdout.String(), errors.New(stderr.String())
	}
	return stdout.String(), nil
}

// What is completed is put on the command line without quotes.
func TestHostileCompletions(t *testing.T) {
	for _, word := range shelltest.Hostile() {
		line := "web" + "\t" + word + "\n" + word + "\tx\n:4"
		got := helmAnswer(line, "")
		lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		if lines[len(lines)-1] != ":4" || !strings.HasPrefix(got, "web\t") {
			t.Errorf("of %q is answered %q", word, got)
		}
		for _, line := range lines[:len(lines)-1] {
			name, description, _ := strings.Cut(line, "\t")
			if !command.Typeable(name) || !visible.Plain(strings.ReplaceAll(description, "\t", "")) {
				t.Errorf("of %q is offered %q", word, line)
			}
		}
		if names := typeable([]string{word}); len(names) > 0 && strings.ContainsAny(word, " ;$`'\"\\|&<>(){}*?#!~\n\r") {
			t.Errorf("%q is offered", word)
		}
	}
	if got, want := helmAnswer("--namespace\tnamespace scope\n--kube-apiserver\tthe server\nweb\n_activeHelp_ choose one\n:4", "--"), "--namespace\tnamespace scope\n--kube-apiserver\tthe server\nweb\n_activeHelp_ choose one\n:4\n"; got != want {
		t.Errorf("helm's own flags are offered as %q, not %q", got, want)
	}
	if got := helmAnswer("--kube-apiserver=http://evil\tx\nweb\n:4", ""); got != "web\n:4\n" {
		t.Errorf("a release with the name of an option is offered: %q", got)
	}
}

// Every print of the verbs goes by the package visible, or is wholly our own.
func TestPrintsAreVisible(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(set, name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			function, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, _ := function.X.(*ast.Ident)
			if from == nil || from.Name != "fmt" || !strings.HasPrefix(function.Sel.Name, "Fprint") && !strings.HasPrefix(function.Sel.Name, "Print") {
				return true
			}
			foreign := slices.ContainsFunc(call.Args[1:], func(arg ast.Expr) bool { _, literal := arg.(*ast.BasicLit); return !literal })
			position := set.Position(call.Pos())
			own := []string{"backup_file.go", "output.go"} // escape by themselves
			if foreign && !slices.Contains(own, filepath.Base(position.Filename)) {
				t.Errorf("%s prints past the package visible", position)
			}
			return true
		})
	}
}

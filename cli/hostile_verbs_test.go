package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"helm-tenant/admin"
	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/command/shelltest"
	"helm-tenant/preflight"
	"helm-tenant/prove"
	"helm-tenant/release"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// hostileVerbs are more of hostileOutputs: verbs that print what they found in an API
// server, a chart or a kubeconfig.
var hostileVerbs = map[string]func(s *session, word string) error{
	"freeze": func(s *session, word string) error {
		prepared, writers := hostileFreeze(word)
		return s.frozen(prepared, writers, []string{word}, "text")
	},
	"freeze, refused": func(s *session, word string) error {
		err := error(&admin.FrozenError{Name: word, Frozen: tenant.Freeze{Reason: word, Since: word}})
		report(s.Env.Stderr, withHint(fmt.Errorf("init of tenant %q: %w", "a", err), hintsFor(err, inFlags)...))
		return nil
	},
	"preflight": func(s *session, word string) error { return s.printPreflight(hostileFlight(word), "table") },
	"preflight -o wide": func(s *session, word string) error {
		return s.printPreflight(hostileFlight(word), "wide")
	},
	"releases": func(s *session, word string) error {
		return s.printReleases(hostileReleases(word), "table", tableOptions{})
	},
	"releases -o wide": func(s *session, word string) error {
		return s.printReleases(hostileReleases(word), "wide", tableOptions{})
	},
	"releases -o name": func(s *session, word string) error {
		return s.printReleases(hostileReleases(word), "name", tableOptions{})
	},
	"releases --quiet": func(s *session, word string) error {
		return s.printReleases(hostileReleases(word), "table", tableOptions{quiet: true})
	},
	"split --dry-run": func(s *session, word string) error {
		return s.printSplit(hostileSplit(word), &splitOptions{output: "text"})
	},
	"split --finish": func(s *session, word string) error {
		end := &admin.SplitEnd{Rest: []cluster.Stored{{Revision: release.Revision{Release: word}}, {Revision: release.Revision{Release: "web"}}}, RestNamespaces: []string{word, "b"}}
		return s.endSplit(end, nil)(&splitOptions{from: "kube-system", finish: true}, "the Tiller in namespace %s is split\n")
	},
	"split --abort": func(s *session, word string) error {
		return s.endSplit(&admin.SplitEnd{Tenants: []tenant.Tenant{{Name: "a"}}, Plan: hostilePlan(word)}, nil)(&splitOptions{from: "kube-system", abort: true}, "the Tiller in namespace %s has its releases again\n")
	},
	"prove": func(s *session, word string) error { return s.printProof(hostileProof(word), "table") },
	"prove -o wide": func(s *session, word string) error {
		return s.printProof(hostileProof(word), "wide")
	},
	"whoami": func(s *session, word string) error { return hostileWhoami(word).print(s) },
	"whoami, with a Tiller": func(s *session, word string) error {
		w := hostileWhoami(word)
		w.Tiller, w.Deployer, w.Context = &tiller{Version: word, Answers: true, Answer: word}, nil, ""
		return w.print(s)
	},
	"grant": func(s *session, word string) error {
		result := hostileMembership(word)
		return s.printMembership(result, &memberOptions{output: "text", as: tenant.RelationOwner}, granted, nil, nil, nil)
	},
	"revoke --disconnect": func(s *session, word string) error {
		s.sayDisconnection("a", admin.Disconnection{Restarted: []string{word, word}, Interrupted: []string{word, "web"}, Lasting: []string{"a watch of " + word}, AccountsUnknown: word})
		return nil
	},
	"use": func(s *session, word string) error {
		two := &twoHomesError{[2]string{word, "a-helm"}, [2]tenant.Tenant{{Name: "a", Namespaces: []string{word}}, {Name: "a", AllNamespaces: true}}}
		report(s.Env.Stderr, two)
		return nil
	},
	"describe, a tenant that is frozen and has readers": func(s *session, word string) error {
		d := hostileDescription(word)
		people := tenant.Members{tenant.User(word), {Kind: "Group", Name: word}}
		d.Readers, d.Owners, d.Frozen = people, people, &tenant.Freeze{Reason: word, Since: word}
		d.Temporary, d.Over, d.TermsUnread = tenant.Terms{{Subject: people[0], Reason: word}}, nil, word
		d.RoleGaps, d.GuardUnheld, d.PodSecurityUnheld = []string{word}, word, word
		return s.printDescription(d)
	},
	"tenants NAME, a tenant that is frozen": func(s *session, word string) error {
		inventory := hostileInventory(word)
		people := tenant.Members{tenant.User(word), {Kind: "Group", Name: word}}
		inventory.Tenants[0].Readers, inventory.Tenants[0].Owners, inventory.Tenants[0].Temporary = people, people, tenant.Terms{{Subject: people[0], Reason: word}}
		inventory.Tenants[0].Frozen = &tenant.Freeze{Reason: word}
		inventory.Tenants[0].Tiller.Rollout = word
		return s.printTenants(inventory, word, tenantsQuery{output: "wide", names: []string{"a"}})
	},
	"errors of more verbs": func(s *session, word string) error {
		for _, err := range []error{
			&admin.SplitError{From: word, Err: errors.New(word)}, &admin.SplittingError{From: word, Split: tenant.Split{Phase: tenant.PhaseFinishing}}, &admin.MigratingError{Name: "a", Migration: tenant.Migration{From: word}},
			&admin.ContradictionError{Tenant: "a", Who: tenant.Members{tenant.User(word)}}, &admin.SquattedError{Name: word, Home: word, Found: []string{word}}, &admin.LostRecordError{Name: word, Home: word, Namespaces: []string{"b"}, Role: word}, &admin.LostRecordError{Name: "a", FormerHome: word, Namespaces: []string{"b"}},
			&cluster.RecordError{Tenant: word}, &admin.UnreadableRecordError{Tenant: tenant.Tenant{Name: "a", Namespaces: []string{"b"}}, Err: errors.New(word)},
		} {
			report(s.Env.Stderr, withHint(err, hintsFor(err, inFlags)...))
			report(s.Env.Stderr, withHint(err, s.splitHints(err, &splitOptions{from: "kube-system"})...))
		}
		return nil
	},
}

func hostileFreeze(word string) (*admin.Prepared, []audit.Writer) {
	t := tenant.Tenant{Name: "a", Frozen: &tenant.Freeze{Reason: word, Since: word, Means: tenant.FreezeMeans(word)}}
	return &admin.Prepared{Tenant: t, Notes: []string{"it has " + word}},
		[]audit.Writer{{Subject: audit.User(word), Name: "user " + word, Binding: "RoleBinding " + word, Role: "Role " + word}}
}

func hostileFlight(word string) *preflight.Report {
	return &preflight.Report{Result: "refused", Tenant: word, Command: "install", Release: word, Namespace: word, Chart: word, Deployer: word, Values: []preflight.Setting{{Set: "rbac.create=false", Of: 1}},
		Findings: []preflight.Finding{
			{ID: preflight.Rights, Result: preflight.Refused, APIVersion: word, Kind: word, Namespace: word, Name: word, File: word, Why: word, Do: word, Answer: word},
			{ID: preflight.Name, Result: preflight.Warned, Why: "the name " + word, Answer: word}}}
}

func hostileReleases(word string) *admin.ReleaseList {
	release := admin.Release{Name: word, Namespace: word, Status: word, Chart: word, AppVersion: word}
	broken := release
	broken.Problem = word
	return &admin.ReleaseList{Releases: []admin.ListedRelease{{Release: release, Tenants: []string{word, word}}, {Release: broken}},
		Unlisted: []admin.UnlistedReleases{{Tenant: word, Namespace: word, Reason: word}}}
}

func hostileSplit(word string) *admin.SplitPlan {
	return &admin.SplitPlan{From: "kube-system", Problems: []error{errors.New(word)}, Releases: []admin.SplitRelease{
		{Name: word, Namespace: word, Tenant: "a", Home: "a-tiller", Status: word, Outside: []string{word}, Unmatched: []string{word}}, {Name: word, Stays: word}}}
}

func hostileProof(word string) *prove.Report {
	var rows []prove.Row
	for _, result := range []prove.Result{prove.Allowed, prove.Untried, prove.Open, prove.Denied, prove.Beyond, prove.Accepted, prove.Refused} {
		rows = append(rows, prove.Row{Tenant: "a", Namespace: word, Attempt: "node", What: "try " + word, Benchmarks: []string{"one"}, As: prove.Deployer, User: word, Groups: []string{word}, Result: result, By: word, Answer: word, Closes: "guard: enforce"})
	}
	return prove.NewReport([]string{"a"}, rows)
}

func hostileWhoami(word string) whoami {
	return whoami{Tenant: "a", HomeNamespace: word, Rule: word, Context: word, Cluster: word, Server: word, User: word, UserName: word + "2", Namespace: "a-1", Namespaces: []string{word, "a-1"},
		Stale: word, Migration: word, May: mayRead, Temporary: &tenant.Term{Subject: tenant.User(word), Reason: word}, OwnerTemporary: &tenant.Term{Subject: tenant.User(word), Reason: word}, Frozen: &tenant.Freeze{Reason: word}, Deployer: &deployer{User: word, Problem: word, RoleGaps: []string{word}}}
}

func hostileMembership(word string) admin.Membership {
	who := tenant.Members{tenant.User(word), {Kind: "Group", Name: word}}
	terms := tenant.Terms{{Subject: who[0], Reason: word}}
	return admin.Membership{Tenant: tenant.Tenant{Name: "a", HomeNamespace: word, Members: who, Readers: who, Owners: who, Temporary: terms}, Notes: []string{word}, Unchanged: who, Was: terms,
		Changed: map[tenant.Relation]tenant.Members{tenant.RelationMember: who, tenant.RelationReader: who, tenant.RelationOwner: who}}
}

// hostileData are what these verbs print for programs.
var hostileData = map[string]func(s *session, word, format string) error{
	"freeze": func(s *session, word, format string) error {
		prepared, writers := hostileFreeze(word)
		return s.frozen(prepared, writers, []string{word}, format)
	},
	"preflight": func(s *session, word, format string) error { return s.printPreflight(hostileFlight(word), format) },
	"releases": func(s *session, word, format string) error {
		return s.printReleases(hostileReleases(word), format, tableOptions{})
	},
	"prove":  func(s *session, word, format string) error { return s.printProof(hostileProof(word), format) },
	"whoami": func(s *session, word, format string) error { return printObject(s.out(), format, hostileWhoami(word)) },
	"grant": func(s *session, word, format string) error {
		return s.printMembership(hostileMembership(word), &memberOptions{output: format, as: tenant.RelationOwner}, granted, nil, nil, nil)
	},
	"split": func(s *session, word, format string) error {
		return s.printSplit(hostileSplit(word), &splitOptions{output: format})
	},
	"tenants": func(s *session, word, format string) error {
		return s.printTenants(hostileInventory(word), "here", tenantsQuery{output: format, names: []string{"a"}})
	},
}

// The machine-readable output of these verbs can be parsed, contains the names unchanged, and
// no control or hidden character.
func TestHostileNamesOfVerbsAsData(t *testing.T) {
	for name, write := range hostileData {
		for _, word := range shelltest.Hostile() {
			for _, format := range []string{"json", "yaml"} {
				s, stdout, _ := hostileSession()
				if err := write(s, word, format); err != nil {
					t.Fatalf("%s -o %s of %q: %v", name, format, word, err)
				}
				if bytes.ContainsFunc(stdout.Bytes(), func(r rune) bool { return r != '\n' && visible.Hidden(r) }) {
					t.Errorf("%s -o %s of %q holds hidden characters", name, format, word)
				}
				var read any
				if err := yaml.Unmarshal(stdout.Bytes(), &read); format == "yaml" && err != nil {
					t.Errorf("%s -o yaml of %q can't be read: %v", name, word, err)
				}
				if format != "json" {
					continue
				}
				if err := json.Unmarshal(stdout.Bytes(), &read); err != nil {
					t.Errorf("%s -o json of %q can't be read: %v", name, word, err)
				}
				// Split shows names as people see them.
				if utf8.ValidString(word) && name != "split" && !holdsText(read, word) {
					t.Errorf("%s -o json of %q does not hold it", name, word)
				}
			}
		}
	}
}

// holdsText reports whether a value that was read from JSON holds a text.
func holdsText(value any, text string) bool {
	switch v := value.(type) {
	case string:
		return v == text
	case []any:
		return slices.ContainsFunc(v, func(inner any) bool { return holdsText(inner, text) })
	case map[string]any:
		for _, inner := range v {
			if holdsText(inner, text) {
				return true
			}
		}
	}
	return false
}

// A report of prove is markup in SARIF, JUnit and HTML: no name becomes markup.
func TestHostileProofs(t *testing.T) {
	for _, word := range append(shelltest.Hostile(), `"><script>alert(1)</script>`, "]]>", "<!--", "&x;") {
		for _, format := range []string{"sarif", "junit", "html"} {
			s, stdout, _ := hostileSession()
			if err := s.printProof(hostileProof(word), format); err != nil {
				t.Fatalf("%s of %q: %v", format, word, err)
			}
			if bytes.ContainsFunc(stdout.Bytes(), func(r rune) bool { return r != '\n' && r != '\t' && visible.Hidden(r) }) {
				t.Errorf("%s of %q holds hidden characters", format, word)
			}
			if format != "sarif" && strings.Contains(stdout.String(), "<script>alert") {
				t.Errorf("%s of %q holds a script", format, word)
			}
		}
	}
}

// What helm says of a chart that it does not render quotes the chart.
func TestHostileRefusalsOfHelm(t *testing.T) {
	for _, word := range shelltest.Hostile() {
		s, _, stderr := hostileSession()
		err := s.sayHelmFailed(&helmError{said: "Error: execution error at (web/templates/x.yaml:1:4): " + word + "\n", code: 3})
		if code, ok := errors.AsType[*codeError](err); !ok || code.code != 3 {
			t.Errorf("of %q: %v", word, err)
		}
		for i, line := range strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n") {
			if !visible.Plain(strings.ReplaceAll(line, "\t", "")) || i > 0 && !strings.HasPrefix(line, "  ") {
				t.Errorf("of %q is printed the line %q", word, line)
			}
		}
	}
}

// The file of preflight --for-admin has one document for each object, and nothing else from a
// chart's author except comments.
func TestHostileObjectsForAdmins(t *testing.T) {
	for _, word := range shelltest.Hostile() {
		if !utf8.ValidString(word) {
			continue // no YAML of a chart can contain it
		}
		object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": word}, "data": map[string]any{word: word}}
		text, err := forAdminText(&preflight.Report{Tenant: "a", Chart: word}, []preflight.ForAdmin{
			{Comments: []string{word, "---\n" + word}, Object: object}, {Comments: []string{word}, Refused: word}})
		if err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		if bytes.ContainsFunc(text, func(r rune) bool { return r != '\n' && visible.Hidden(r) }) {
			t.Errorf("the file of %q holds hidden characters", word)
		}
		var documents []map[string]any
		for document := range strings.SplitSeq("\n"+string(text), "\n---\n") {
			var read map[string]any
			if err := yaml.Unmarshal([]byte(document), &read); err != nil {
				t.Errorf("a document of %q can't be read: %v\n%s", word, err, document)
			}
			if read != nil {
				documents = append(documents, read)
			}
		}
		if len(documents) != 1 || !holdsText(documents[0], word) {
			t.Errorf("of %q are written %d documents:\n%s", word, len(documents), text)
		}
	}
}

// A kubeconfig whose names and exec plugin somebody else chose is derived and printed as
// it is: the same plugin with the same arguments, and nothing that a terminal obeys.
func TestHostileKubeconfigs(t *testing.T) {
	for _, word := range shelltest.Hostile() {
		if word == "" || strings.Contains(word, "\x00") || !utf8.ValidString(word) {
			continue // no kubeconfig can contain it
		}
		const held = "WORD" // client-go can read a control character that is escaped, and can't write it
		config := clientcmdapi.NewConfig()
		config.Clusters[held] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
		config.AuthInfos[held] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", Command: "login", Args: []string{held, "--" + held},
			Env: []clientcmdapi.ExecEnvVar{{Name: "X", Value: held}}, InstallHint: held, InteractiveMode: clientcmdapi.NeverExecInteractiveMode}}
		config.Contexts[held] = &clientcmdapi.Context{Cluster: held, AuthInfo: held, Namespace: "b"}
		config.CurrentContext = held
		file := filepath.Join(t.TempDir(), "config")
		written, err := clientcmd.Write(*config)
		if err != nil {
			t.Fatal(err)
		}
		written = bytes.ReplaceAll(written, []byte("--"+held), []byte(strconv.QuoteToASCII("--"+word)))
		if err := os.WriteFile(file, bytes.ReplaceAll(written, []byte(held), []byte(strconv.QuoteToASCII(word))), 0o600); err != nil {
			t.Fatal(err)
		}
		s, stdout, _ := hostileSession()
		k, err := tenant.LoadKubeconfig(os.Environ(), file, "")
		if err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		text, contexts, err := k.Derive(tenant.Known{Name: "a", HomeNamespace: "a-helm", Engine: tenant.EngineImpersonation, Namespaces: []string{"a-1"}}, tenant.Derivation{})
		if err != nil && strings.ContainsFunc(word, func(r rune) bool { return 0x7f <= r && r <= 0x9f }) {
			if !strings.Contains(err.Error(), "in the kubeconfig's entry can't be written again") {
				t.Errorf("%q: %v", word, err)
			}
			continue
		}
		if err != nil || !slices.Equal(contexts, []string{"a"}) {
			t.Fatalf("%q: %q, %v", word, contexts, err)
		}
		for _, output := range []string{"text", "json"} {
			stdout.Reset()
			err := s.printDerived(text, output)
			if err != nil && output == "json" && strings.ContainsFunc(word, func(r rune) bool { return r > 0xffff }) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if bytes.ContainsFunc(stdout.Bytes(), func(r rune) bool { return r != '\n' && visible.Hidden(r) }) {
				t.Errorf("the kubeconfig of %q holds hidden characters", word)
			}
			if json.Valid(stdout.Bytes()) != (output == "json") {
				t.Errorf("the kubeconfig of %q as %s is %s", word, output, stdout)
			}
			derived, err := clientcmd.Load(stdout.Bytes())
			if err != nil {
				t.Errorf("the kubeconfig of %q can't be read: %v", word, err)
				continue
			}
			user := derived.AuthInfos["a/"+word]
			if user == nil || derived.Clusters[word] == nil || len(derived.Contexts) != 1 || user.Exec.Command != "login" || !slices.Equal(user.Exec.Args, []string{word, "--" + word}) || user.Exec.Env[0].Value != word {
				t.Errorf("the kubeconfig of %q is another one:\n%s", word, stdout)
			}
		}
	}
	for _, name := range []string{"-x", "--kubeconfig=/dev/null", "a\u200bb", ""} {
		if err := (derivation{Derivation: tenant.Derivation{ContextName: name}, duration: time.Hour}).check("a", func(flag string) bool { return flag == "context-name" }); err == nil {
			t.Errorf("a context may be called %q", name)
		}
	}
}

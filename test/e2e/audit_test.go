package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

// event is a line of the audit log, as far as it says who did what.
type event struct {
	Verb, RequestURI, UserAgent string
	User                        struct{ Username string }
	ImpersonatedUser            *struct {
		Username string
		Groups   []string
	}
	ObjectRef      struct{ Resource, Namespace, Name string }
	ResponseStatus struct{ Code int }
}

func (e event) String() string {
	return fmt.Sprintf("%s %s/%s by %s, HTTP %d", e.Verb, e.ObjectRef.Resource, e.ObjectRef.Name, e.User.Username, e.ResponseStatus.Code)
}

// block is what stands in a code block of the documentation, between two marks.
func block(t testing.TB, file, mark string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "docs", file))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)<!-- " + mark + " -->\n```[a-z]*\n(.*?)```\n<!-- /" + mark + " -->").FindSubmatch(text)
	if found == nil {
		t.Fatalf("docs/%s has no block %s", file, mark)
	}
	return string(found[1])
}

// TestWhoDidIt shows that the audit log names the member who deployed, and as
// whom, by the policy and the queries of docs/audit-log.md.
func TestWhoDidIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	policy := write(t, dir, "policy.yaml", block(t, "audit-log.md", "policy"))
	c, err := testcluster.Start(context.Background(), testcluster.Options{Size: testcluster.API, AuditLog: log, APIServerArgs: []string{"--audit-policy-file=" + policy}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, cluster: c, plugin: plugin(t)}
	admin := w.personOf(3, c.Admin())
	admin.tenant("init", "team-a", "--namespaces", "a", "--create-namespaces", "--user", "alice")
	const deployer = "system:serviceaccount:team-a-helm:helm"

	// events are those that came since, of requests that helm made.
	seen := 0
	events := func() (found []event, lines []string) {
		t.Helper()
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		// The last line may not be whole yet.
		scanner := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
		scanner.Buffer(nil, 16<<20)
		n := 0
		for scanner.Scan() {
			if n++; n <= seen {
				continue
			}
			var e event
			if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
				t.Fatalf("%v in %s", err, scanner.Text())
			}
			if strings.HasPrefix(e.UserAgent, "Helm/") {
				found, lines = append(found, e), append(lines, scanner.Text())
			}
		}
		seen = n
		return found, lines
	}
	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			alice := w.userOf(major, "alice").in(t)
			alice.tenant("use", "team-a")
			events()
			release := fmt.Sprintf("web%d", major)
			alice.run("helm", "tenant", "install", release, tested(t))
			wanted := []string{"secrets/sh.helm.release.v1." + release + ".v1", "configmaps/" + release}
			created := map[string]bool{}
			var found []event
			var lines []string
			// The log is written a little after the answer.
			if err := harness.Await(t.Context(), fmt.Sprintf("lines that tell who made %v", wanted), func(context.Context) (bool, error) {
				more, text := events()
				found, lines = append(found, more...), append(lines, text...)
				for _, e := range more {
					if (e.Verb == "create" || e.Verb == "patch") && e.ResponseStatus.Code == 201 {
						created[e.ObjectRef.Resource+"/"+e.ObjectRef.Name] = true
					}
				}
				return created[wanted[0]] && created[wanted[1]], nil
			}); err != nil {
				t.Errorf("%v: %v", err, found)
			}
			for _, e := range found {
				if e.User.Username != "alice" || e.ImpersonatedUser == nil || e.ImpersonatedUser.Username != deployer {
					t.Errorf("a request of helm's that does not name both: %s, as %+v", e, e.ImpersonatedUser)
				}
				// Groups that the API server adds; rights bound to them are the deployer's,
				// too.
				if e.ImpersonatedUser != nil && strings.Join(e.ImpersonatedUser.Groups, " ") != "system:serviceaccounts system:serviceaccounts:team-a-helm system:authenticated" {
					t.Errorf("the deployer's groups are %v", e.ImpersonatedUser.Groups)
				}
			}
			if os.Getenv("HELM_TENANT_AUDIT_LINES") != "" {
				t.Logf("\n%s", strings.Join(lines, "\n"))
			}
		})
	}
	// Who may not is named, too, and no deployer is.
	mallory := w.userOf(3, "mallory")
	mallory.fails(1, "", "helm", "--kube-as-user", deployer, "list", "-n", "a")
	if s := mallory.try("kubectl", "--as", deployer, "get", "secrets", "-n", "a"); !strings.Contains(s.stderr, `User "mallory" cannot impersonate`) {
		t.Errorf("kubectl said %q", s.stderr)
	}

	t.Run("queries", func(t *testing.T) {
		harness.Program(t, "jq")
		ask := func(mark string) string {
			t.Helper()
			cmd := exec.Command("sh", "-ec", block(t, "audit-log.md", mark))
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return string(out)
		}
		contains(t, ask("by-tenant"), "\talice\tcreate\tsecrets\ta\tsh.helm.release.v1.web3.v1\t201\n", "\tsh.helm.release.v1.web4.v1\t201\n")
		if got, want := ask("releases"), "alice\t"+deployer+"\ta\tsh.helm.release.v1.web3.v1\nalice\t"+deployer+"\ta\tsh.helm.release.v1.web4.v1\n"; got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
		var refused string
		if err := harness.Await(t.Context(), "the line of a refusal", func(context.Context) (bool, error) {
			refused = ask("refused")
			return strings.Contains(refused, "mallory\tlist\t/api/v1/namespaces/a/secrets") && strings.Contains(refused, "cannot impersonate"), nil
		}); err != nil {
			t.Error(err)
		}
		contains(t, refused, "mallory\tlist\t/api/v1/namespaces/a/secrets", "cannot impersonate")
		lacks(t, refused, "alice")
	})
}

//go:build unix

package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/admin"
	"helm-tenant/cli"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/helm"
)

// fakeHelm3 answers as a Helm 3 that has release web of namespace a, as a migration of
// tenant t leaves it. A shell starts in a fraction of the time of a Go program.
const fakeHelm3 = `#!/bin/sh
case $* in
*version*) echo v3.22.0+g1234567 ;;
*"get manifest"*) printf '\n---\n# Source: hello/templates/all.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n' ;;
*--namespace=a*) echo '[{"name":"web","namespace":"a","revision":"2","status":"deployed"}]' ;;
*) echo '[]' ;;
esac
`

// typist runs commands of helm-tenant, as an admin types them.
type typist struct {
	t       *testing.T
	folder  string
	program string
	backups *int
}

// typed runs a command against the server, without a terminal, and returns its exit code and
// its standard error.
func (y *typist) typed(s *clustertest.Server, args ...string) (code int, output string) {
	y.t.Helper()
	args = slices.Clone(args)
	switch args[0] {
	case "init":
		args = append(args, "--wait=false") // nothing makes pods
	case "migrate", "destroy":
		*y.backups++
		args = append(args, "--wait=false", "--yes", "--timeout=1s", fmt.Sprintf("--backup=%s/%d.yaml", y.folder, *y.backups))
	}
	var stdout, stderr bytes.Buffer
	code = cli.Run(context.Background(), cli.Environment{
		Args: append(args, "--kubeconfig="+s.Kubeconfig()), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Environ:    []string{"HOME=" + y.folder, "XDG_CACHE_HOME=" + y.folder, "LocalAppData=" + y.folder, "PATH=", "HELM_BIN=" + y.program},
		Executable: filepath.Join(y.folder, "helm-tenant"), PID: 1, Now: time.Now,
		CommandLine: func(int) ([]string, error) { return nil, nil },
		Exec:        func(helm.Invocation) (int, error) { return 0, fmt.Errorf("helm is started") },
	})
	return code, stderr.String()
}

var (
	// A hint that is typed as it is, and one that adds a flag to the typed command.
	hintedCommand = regexp.MustCompile(`(?m)^  .*: helm tenant (.+)$`)
	hintedFlag    = regexp.MustCompile(`(?m)^  .*(?:add|with) (--[a-z-]+(?:=[a-z-]+)?)`)
)

// hinted returns the commands that the hints of a failed command name.
func hinted(args []string, output string) [][]string {
	var commands [][]string
	for _, match := range hintedCommand.FindAllStringSubmatch(output, -1) {
		commands = append(commands, strings.Fields(match[1]))
	}
	for _, match := range hintedFlag.FindAllStringSubmatch(output, -1) {
		if !strings.Contains(match[0], ": helm tenant") {
			commands = append(commands, append(slices.Clone(args), match[1]))
		}
	}
	return commands
}

// follow runs a command in a cluster with these objects. If it fails, each command in its hints
// must succeed, or have hints of its own that do. It returns the clusters in which a command
// succeeded.
func (y *typist) follow(objects []runtime.Object, typed []string, trail []string, repair func(*clustertest.Server, string) bool) (ends []*clustertest.Server) {
	y.t.Helper()
	s := clustertest.Start(y.t, objects...)
	code, output := y.typed(s, typed...)
	if code != 0 && repair(s, output) { // as the error asks
		code, output = y.typed(s, typed...)
	}
	if code == 0 {
		return []*clustertest.Server{s}
	}
	trail = append(slices.Clone(trail), strings.Join(typed, " "))
	if len(trail) > 4 {
		y.t.Errorf("no hint leads out of %q: %s", trail, output)
		return nil
	}
	next := hinted(typed, output)
	if len(next) == 0 {
		y.t.Errorf("after %q it does not say what to type: %s", trail, output)
	}
	for _, command := range next {
		if slices.Contains(trail, strings.Join(command, " ")) {
			y.t.Errorf("%q is hinted at again after %q: %s", command, trail, output)
			continue
		}
		ends = append(ends, y.follow(s.Objects(), command, trail, repair)...)
	}
	return ends
}

// repaired makes what an error asks for and no verb of helm-tenant makes.
func repaired(s *clustertest.Server, output string) bool {
	switch {
	case strings.Contains(output, `namespace "a" does not exist, and releases are recorded there: create it`):
		s.Put(&corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	case strings.Contains(output, "ClusterRole admin, does not exist: create it"), strings.Contains(output, `ClusterRole "admin" does not exist`):
		s.Put(&rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: "admin"},
			Rules: []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}})
	default:
		return false
	}
	return true
}

// TestHintsOfMigration: in each phase of a migration, and whatever disappeared meanwhile, each
// verb succeeds, or prints commands that do. After these the verb itself succeeds, too.
func TestHintsOfMigration(t *testing.T) {
	t.Parallel()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // much garbage, and little that stays
	folder, backups := t.TempDir(), 0                 // one folder: helm's version is cached there
	program := filepath.Join(folder, "helm")
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "helm-tenant"), nil, 0o600), os.WriteFile(program, []byte(fakeHelm3), 0o700)); err != nil {
		t.Fatal(err)
	}
	phases := slices.Sorted(maps.Keys(admin.MigrateBroken))
	removed := []string{"nothing", "a namespace with releases", "the role", "Tiller's Deployment", "all records of Helm 3", "the record", "the home"}
	verbs := [][]string{{"init", "t"}, {"destroy", "t", "--keep-releases"}, {"migrate", "t"}, {"migrate", "t", "--finish"}, {"migrate", "t", "--abort"}}
	scenarios := 0
	for _, phase := range phases {
		objects := admin.InPhase(t, phase)
		for _, what := range removed {
			s := clustertest.Start(t, objects...)
			admin.MigrateGone[what](s)
			without := s.Objects()
			if what != "nothing" && len(without) == len(objects) {
				continue // it is not there in this phase
			}
			for _, verb := range verbs {
				if scenarios++; scenarios%admin.Stride() != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s, gone is %s, %s", phase, what, strings.Join(verb, " ")), func(t *testing.T) {
					y := &typist{t: t, folder: folder, program: program, backups: &backups}
					for _, end := range y.follow(without, verb, nil, repaired) {
						if verb[0] == "migrate" {
							continue
						}
						if ends := y.follow(end.Objects(), verb, []string{"(the commands that were printed)"}, repaired); len(ends) == 0 {
							t.Error("afterwards there is no way")
						}
					}
				})
			}
		}
	}
}

package apitest

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/records"
)

// TestDestroySavesWhatIsWrittenMeanwhile has a member upgrade while the tenant is
// destroyed: after the backup, before the rights are gone.
func TestDestroySavesWhatIsWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "DEPLOYED"})
	var upgraded atomic.Bool
	admin := w.admin(t).through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/rolebindings/") && !upgraded.Swap(true) {
			w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 2, Status: "DEPLOYED"})
		}
		return false
	})
	file := filepath.Join(t.TempDir(), "backup.yaml")
	r := admin.must(t, "destroy", team.name, "--keep-releases", "--yes", "--wait=false", "--backup", file)
	later := strings.TrimSuffix(file, ".yaml") + "-later.yaml"
	for name, want := range map[string][]string{file: {"web.v1"}, later: {"web.v1", "web.v2"}} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("%v\n%v", err, r)
		}
		var backup corev1.SecretList
		must(t, yaml.Unmarshal(text, &backup))
		saved := []string{}
		for _, record := range backup.Items {
			saved = append(saved, record.Name)
		}
		slices.Sort(saved)
		same(t, "records in "+name, want, saved)
		if !strings.Contains(r.Stdout, "backed up in "+name) {
			t.Errorf("%s is not told of: %v", name, r)
		}
	}
}

// TestDestroyWithConcurrentInstall: a release appears during a destroy that must not
// leave releases behind. The tenant stays, and init gives it its rights again.
func TestDestroyWithConcurrentInstall(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--user", "alice")
	var installed atomic.Bool
	admin := w.admin(t).through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/rolebindings/") && !installed.Swap(true) {
			w.stored(t, team, records.Release{Name: "new", Namespace: team.a, Revision: 1, Status: "DEPLOYED"})
		}
		return false
	})
	admin.fails(t, 1, []string{"it has a release", "new", "--keep-releases"}, "destroy", team.name, "--yes", "--wait=false")
	if !installed.Load() {
		t.Fatal("no right was taken away: the test shows nothing")
	}
	if w.record(t, team) == nil {
		t.Error("the tenant's record is gone")
	}
	admin.must(t, "init", team.name, "--wait=false")
	w.bound(t, team.a, team, "admin")
}

// TestDestroyLeavesSharedNamespaces: a namespace that helm-tenant created for one
// tenant, and that another got by --share, is the other's when the first goes.
func TestDestroyLeavesSharedNamespaces(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, engine := range []string{"tiller", "impersonation"} {
		t.Run(engine, func(t *testing.T) {
			team, other := newTeam(), newTeam()
			w.makeTenant(t, team, "--engine", engine, "--home-namespace", team.home)
			admin := w.makeTenant(t, other, "--engine", engine, "--home-namespace", other.home, "--namespaces", team.a, "--share")
			// That of a tenant of which only a binding is left, too.
			w.bind(t, team.b, "theirs", "ClusterRole", "view")
			w.patch(t, "rolebindings", team.b, "theirs", `{"metadata":{"labels":{"helm-tenant/tenant":"ghost"}}}`)

			command := []string{"destroy", team.name, "--delete-namespaces", "--yes", "--wait=false"}
			for _, flags := range [][]string{{"--dry-run"}, nil} {
				r := admin.must(t, append(slices.Clone(command), flags...)...)
				for _, stays := range []string{
					fmt.Sprintf("namespace %q stays, because tenant %q has it, too", team.a, other.name),
					fmt.Sprintf("namespace %q stays, because a RoleBinding there is labelled as tenant %q", team.b, "ghost"),
				} {
					if !strings.Contains(r.Stderr, stays) {
						t.Errorf("it does not say that %s: %v", stays, r)
					}
				}
			}
			for _, ns := range []string{team.a, team.b} {
				found, err := w.root.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
				if err != nil || found.DeletionTimestamp != nil {
					t.Fatalf("namespace %s is gone (%v)", ns, err)
				}
			}
			if owner := w.label(t, team.a, "helm-tenant/tenant"); owner != other.name {
				t.Errorf("the namespace is labelled as tenant %q's, not %q's", owner, other.name)
			}
			if _, err := w.root.RbacV1().RoleBindings(team.a).Get(t.Context(), "helm-tenant."+other.name+".admin", metav1.GetOptions{}); err != nil {
				t.Errorf("the other tenant lost its rights: %v", err)
			}
			second := w.admin(t)
			second.must(t, "init", other.name, "--wait=false")
			second.wroteNothing(t)
			// Whose it is now takes it along.
			r := second.must(t, "destroy", other.name, "--delete-namespaces", "--yes", "--wait=false")
			if ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), team.a, metav1.GetOptions{}); err == nil && ns.DeletionTimestamp == nil {
				t.Errorf("its last tenant left the namespace behind: %v", r)
			}
		})
	}
}

// TestDestroyTakesHelmsRecordsOnly: what only carries helm's label is no release.
func TestDestroyTakesHelmsRecordsOnly(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	team.home = team.name + "-helm"
	w.makeTenant(t, team, "--engine", "impersonation")
	w.helm3(t, "install", "web", hello(), "--namespace", team.a)
	labels := map[string]string{"owner": "helm", "name": "fake", "status": "deployed", "version": "1"}
	for name, kind := range map[string]corev1.SecretType{"theirs": "helm.sh/release.v1", "sh.helm.release.v1.fake.v2": "helm.sh/release.v1", "sh.helm.release.v1.fake.v1": "Opaque"} {
		_, err := w.root.CoreV1().Secrets(team.a).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Type: kind}, metav1.CreateOptions{})
		must(t, err)
	}
	admin := w.withHelm3(t)
	r := admin.fails(t, 1, []string{"it has a release", "web"}, "destroy", team.name, "--yes", "--wait=false")
	if strings.Contains(r.Stderr, "fake") {
		t.Errorf("a Secret that is none is taken for a release: %v", r)
	}
	none := backupFile(t)
	wrong := *admin
	wrong.env = []string{"HELM_BIN=" + w.Bin("helm2")}
	wrong.fails(t, 1, []string{"release web can't be deleted: it is of Helm 3 and 4", "set HELM_BIN to a Helm 3 or 4"}, "destroy", team.name, "--delete-releases", "--yes", "--backup", none)
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("with another helm it began: %v", err)
	}
	admin.must(t, "destroy", team.name, "--delete-releases", "--yes", "--wait=false", "--backup", backupFile(t))
	same(t, "Secrets with helm's label", 3, len(w.helmRecords(t, team.a)))
}

// TestDestroyKeepsSharedHome: other objects of any kind keep the home namespace,
// except those that every namespace has, and those that describe it.
func TestDestroyKeepsSharedHome(t *testing.T) {
	t.Parallel()
	w := start(t)
	meta := metav1.ObjectMeta{Name: "theirs"}
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "x", Image: "example.com/x"}}}}
	for _, c := range []struct {
		kind string
		make func(ns string) error
	}{
		{"PersistentVolumeClaim", func(ns string) error {
			_, err := w.root.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: meta, Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Gi")}}}}, metav1.CreateOptions{})
			return err
		}},
		{"CronJob", func(ns string) error {
			_, err := w.root.BatchV1().CronJobs(ns).Create(t.Context(), &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{
				Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: pod}}}}, metav1.CreateOptions{})
			return err
		}},
		{"", func(ns string) error {
			_, err := w.root.CoreV1().ResourceQuotas(ns).Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: meta}, metav1.CreateOptions{})
			return err
		}},
	} {
		t.Run("a "+c.kind, func(t *testing.T) {
			team := newTeam()
			admin := w.makeTenant(t, team)
			must(t, c.make(team.home))
			r := admin.must(t, "destroy", team.name, "--yes", "--wait=false")
			ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), team.home, metav1.GetOptions{})
			stays := err == nil && ns.DeletionTimestamp == nil
			if stays != (c.kind != "") {
				t.Errorf("the home stays: %v (%v): %v", stays, err, r)
			}
			if c.kind != "" && !strings.Contains(r.Stderr, c.kind+" theirs") {
				t.Errorf("it does not say why the home stays: %v", r)
			}
		})
	}
}

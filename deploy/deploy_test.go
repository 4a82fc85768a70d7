// Package deploy holds the manifests for unattended runs against the code.
package deploy

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	sigsyaml "sigs.k8s.io/yaml"

	"helm-tenant/admin"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

var update = flag.Bool("update", false, "write the generated ClusterRoles")

// jobs are the folders, with the rules that their accounts need.
var jobs = map[string]func() []rbacv1.PolicyRule{"audit": admin.AuditRules, "apply": admin.ApplyRules, "revoke": admin.RevokeRules}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestClusterRoles: the roles have the rights that the code needs; -update writes them.
func TestClusterRoles(t *testing.T) {
	for job, rules := range jobs {
		role := map[string]any{"apiVersion": rbacv1.SchemeGroupVersion.String(), "kind": "ClusterRole", "metadata": map[string]any{"name": "helm-tenant-" + job}, "rules": rules()}
		text, err := sigsyaml.Marshal(role)
		if err != nil {
			t.Fatal(err)
		}
		want := "# Generated from the code: go test ./deploy -update\n" + string(text)
		file := filepath.Join(job, "clusterrole.yaml")
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, string(read(t, file))); diff != "" {
			t.Errorf("%s is not what %s needs; run go test ./deploy -update. -want +got:\n%s", file, job, diff)
		}
	}
}

// TestManifests: every file is one of the kustomization's, the image is that of this
// version, and pods are restricted.
func TestManifests(t *testing.T) {
	version := regexp.MustCompile(`(?m)^version: (\S+)$`).FindSubmatch(read(t, "../plugin.yaml"))
	for job := range jobs {
		t.Run(job, func(t *testing.T) {
			var kustomization struct {
				Resources          []string
				ConfigMapGenerator []struct{ Files []string }
				Images             []struct{ Name, NewTag string }
			}
			if err := sigsyaml.Unmarshal(read(t, filepath.Join(job, "kustomization.yaml")), &kustomization); err != nil {
				t.Fatal(err)
			}
			named := append([]string{"kustomization.yaml"}, kustomization.Resources...)
			for _, generator := range kustomization.ConfigMapGenerator {
				named = append(named, generator.Files...)
			}
			entries, err := os.ReadDir(job)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if !slices.Contains(named, entry.Name()) {
					t.Errorf("%s is not in the kustomization", entry.Name())
				}
			}
			if len(kustomization.Images) != 1 || kustomization.Images[0].Name != "helm-tenant" || kustomization.Images[0].NewTag != string(version[1]) {
				t.Errorf("the image is %+v, not of version %s", kustomization.Images, version[1])
			}
			var namespace corev1.Namespace
			decode(t, filepath.Join(job, "namespace.yaml"), &namespace)
			if namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
				t.Errorf("the namespace's labels are %v", namespace.Labels)
			}
			var cron batchv1.CronJob
			decode(t, filepath.Join(job, "cronjob.yaml"), &cron)
			pod := cron.Spec.JobTemplate.Spec.Template
			if violation, err := rails.Violation(tenant.PodSecurityRestricted, &pod.ObjectMeta, &pod.Spec); violation != "" || err != nil {
				t.Errorf("its pods violate the level restricted: %s, %v", violation, err)
			}
			if c := pod.Spec.Containers[0]; c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem || c.Image != "helm-tenant" {
				t.Errorf("its container is %+v", c)
			}
		})
	}
}

// decode reads the only object of a file strictly.
func decode(t *testing.T, file string, into any) {
	t.Helper()
	if err := sigsyaml.UnmarshalStrict(read(t, file), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

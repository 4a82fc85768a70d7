package apitest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// withToken returns a dynamic client with a token of an account, which it makes.
func (w *world) withToken(t *testing.T, namespace, account string) dynamic.Interface {
	t.Helper()
	accounts := w.root.CoreV1().ServiceAccounts(namespace)
	_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
	must(t, err)
	token, err := accounts.CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	config := w.Config(t, "nobody")
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = token.Status.Token
	return dynamic.NewForConfigOrDie(config)
}

// oldChart has objects that the guard would refuse, as a chart from before the guard: a Service
// with external IPs if they are set, and a binding for an outsider.
const oldChart = `
apiVersion: v1
kind: Service
metadata: {name: old, labels: {greeting: {{ .Values.greeting | quote }}}}
spec:
  ports: [{port: 80}]
  {{- if .Values.external }}
  externalIPs: [192.0.2.1]
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: old, labels: {greeting: {{ .Values.greeting | quote }}}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: old, finalizers: [example.com/old]}
spec: {suspend: true, template: {spec: {restartPolicy: Never, priorityClassName: system-node-critical, containers: [{name: c, image: i}]}}}
`

// TestTheGuardOfOldReleases: releases of before the guard are upgraded and rolled back
// as long as that adds nothing which is refused, with Helm 3 and 4.
func TestTheGuardOfOldReleases(t *testing.T) {
	t.Parallel()
	for _, major := range []string{"helm3", "helm4"} {
		t.Run(major, func(t *testing.T) {
			t.Parallel()
			w, team := start(t), newTeam()
			w.makeTenant(t, team, "--engine", "impersonation", "--guard", "off", "--accept-risk", "no-guard", "--contact", "#platform")
			chart := t.TempDir()
			must(t, os.MkdirAll(filepath.Join(chart, "templates"), 0o755))
			must(t, os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: old\nversion: 1.0.0\n"), 0o644))
			must(t, os.WriteFile(filepath.Join(chart, "templates", "all.yaml"), []byte(oldChart), 0o644))
			deployer := "system:serviceaccount:" + team.name + "-helm:helm"
			helm := func(args ...string) error {
				cmd := exec.Command(w.Bin(major), append(args, "--kube-as-user", deployer, "--namespace", team.a)...)
				cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Admin(), "HOME="+t.TempDir())
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("helm %v: %w: %s", args, err, out)
				}
				return nil
			}
			eventually(t, "the deployer's rights", func() error { return helm("list") })
			must(t, helm("install", "old", chart, "--set", "greeting=a,external=true"))

			w.admin(t).must(t, "init", team.name, "--guard", "enforce")
			client := w.as(t, deployer)
			eventually(t, "the guard", func() error {
				_, err := client.Resource(guarded["Service"]).Namespace(team.a).Create(t.Context(), parsed(t, team, fmt.Sprintf(serves, "externalIPs: [10.0.0.1]")), metav1.CreateOptions{DryRun: []string{"All"}})
				return byGuard(err, "services")
			})
			must(t, helm("upgrade", "old", chart, "--set", "greeting=b,external=true"))
			must(t, helm("rollback", "old", "1"))
			must(t, helm("upgrade", "old", chart, "--set", "greeting=c"))
			if err := byGuard(helm("rollback", "old", "1"), "services"); err != nil {
				t.Errorf("a rollback that adds external IPs: %v", err)
			}
			must(t, helm("upgrade", "old", chart, "--set", "greeting=d"))
			jobs := client.Resource(guarded["Job"]).Namespace(team.a)
			_, err := jobs.Patch(t.Context(), "old", types.MergePatchType, []byte(`{"metadata":{"finalizers":[]}}`), metav1.PatchOptions{})
			must(t, err)
			must(t, helm("uninstall", "old"))
		})
	}
}

// TestTheGuardOfBoundClaims: a claim that Kubernetes bound names its volume, and is
// upgraded and deleted as before.
func TestTheGuardOfBoundClaims(t *testing.T) {
	t.Parallel()
	w, team, actors := guardedTeam(t)
	ctx, size := t.Context(), corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}
	_, err := w.root.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: team.name}, Spec: corev1.PersistentVolumeSpec{
		Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: team.name,
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/none"}}}}, metav1.CreateOptions{})
	must(t, err)
	claims := actors["deployer"].Resource(guarded["PersistentVolumeClaim"]).Namespace(team.a)
	claim := parsed(t, team, "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {storageClassName: "+team.name+", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}")
	_, err = claims.Create(ctx, claim, metav1.CreateOptions{})
	must(t, err)
	eventually(t, "the claim to be bound", func() error {
		live, err := claims.Get(ctx, "data", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !strings.Contains(fmt.Sprint(live.Object["spec"]), "volumeName:"+team.name) {
			return fmt.Errorf("%v", live.Object["spec"])
		}
		live.SetLabels(map[string]string{"upgraded": "yes"})
		_, err = claims.Update(ctx, live, metav1.UpdateOptions{})
		return err
	})
	_, err = claims.Patch(ctx, "data", types.StrategicMergePatchType, []byte(`{"metadata":{"annotations":{"a":"b"}}}`), metav1.PatchOptions{})
	must(t, err)
	must(t, claims.Delete(ctx, "data", metav1.DeleteOptions{}))
}

package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOddObjects: objects that one request takes and another refuses are judged by the
// request that helm makes. Preflight says of each install and upgrade what helm then does.
func TestOddObjects(t *testing.T) {
	w := start(t)
	charts := map[string]string{
		"a field that the schema has not": strings.Replace(workload("Deployment", container("")), "spec: {selector", "spec: {unheardOf: 1, selector", 1),
		"two variables of one name":       workload("Deployment", container(`, env: [{name: A, value: "1"}, {name: A, value: "2"}]`)),
		"two ports of one number":         "apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53}]}\n",
		"characters that YAML has not":    `{apiVersion: v1, kind: ConfigMap, metadata: {name: R}, data: {a: "\x7f\x80\x85\uFEFF"}}` + "\n",
		"a name of such characters":       strings.Replace(rbac("Role", ""), "name: R", `name: "R-\x7f\x9b\x85"`, 1),
		"a list of one kind":              "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {metadata: {name: R}}\n",
		"a list":                          "apiVersion: v1\nkind: List\nitems:\n- " + `{apiVersion: v1, kind: ConfigMap, metadata: {name: R}, data: {a: b}}` + "\n",
		"a field in a list":               "apiVersion: v1\nkind: List\nitems:\n- " + `{apiVersion: v1, kind: ConfigMap, metadata: {name: R}, unheardOf: 1}` + "\n",
		"a list that names no kind":       "apiVersion: v1\nkind: List\nitems:\n- {metadata: {name: R}}\n",
	}
	for _, major := range []string{"3", "4"} {
		t.Run("helm"+major, func(t *testing.T) {
			t.Parallel()
			tenant := "odd" + major
			user := w.newTenant(t, tenant, major)
			number, written := 0, 0
			for name, text := range charts {
				number++
				text = strings.ReplaceAll(text, "metadata: {name: R", `metadata: {annotations: {revision: "{{ .Release.Revision }}"}, name: R`) // an upgrade changes it
				release, folder := fmt.Sprintf("odd-%d", number), chart(t, text, tenant+"-a")
				for _, command := range []string{"install", "upgrade"} {
					judged := user.run(t, "preflight", command, release, folder)
					done := user.run(t, command, release, folder)
					if (judged.Code == 0) != (done.Code == 0) {
						t.Errorf("%s: %v\nbut %v", name, judged, done)
					}
					if done.Code != 0 {
						break
					}
					written++
				}
			}
			if written == 0 {
				t.Error("nothing was written")
			}
		})
	}
}

// TestUpgradeByAnotherHelm: an upgrade by Helm 4 continues with patches for a release that Helm
// 3 made, and fits if these do.
func TestUpgradeByAnotherHelm(t *testing.T) {
	w := start(t)
	user := w.newTenant(t, "moved", "3")
	text := workload("Deployment", container(`, env: [{name: A, value: "{{ .Release.Revision }}"}, {name: A, value: "2"}]`))
	folder := chart(t, text, "moved-a")
	if r := user.run(t, "install", "web", folder); r.Code != 0 {
		t.Fatal(r)
	}
	user.helm = w.Bin("helm4")
	for _, test := range []struct {
		flag string
		code int
	}{{"--server-side=auto", 0}, {"--server-side=false", 0}, {"--server-side=true", 4}} {
		judged := user.run(t, "preflight", "upgrade", "web", folder, test.flag)
		done := user.run(t, "upgrade", "web", folder, test.flag)
		if judged.Code != test.code || (done.Code == 0) != (test.code == 0) {
			t.Errorf("%s: %v\nand %v", test.flag, judged, done)
		}
	}
}

// TestValuesThatAreReadOnce: helm renders a chart more than once, and each time with the
// values of standard input or of a pipe.
func TestValuesThatAreReadOnce(t *testing.T) {
	w := start(t)
	for _, major := range []string{"2", "3", "4"} {
		t.Run("helm"+major, func(t *testing.T) {
			t.Parallel()
			name := "once" + major
			user := w.newTenant(t, name, major)
			text := "FILE values.yaml\nrbac: {create: true}\nFILE templates/all.yaml\n{{- if .Values.wanted }}\n" + rbac("ClusterRole", "") + "{{- end }}\n"
			folder := chart(t, text, name+"-a")
			if major == "2" {
				folder = ofHelm2(t, text, name+"-a")
			}
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			release := []string{"web", folder}
			if major == "2" {
				release = []string{"-n", "web", folder}
			}
			for _, values := range []string{"-", pipe} {
				if values == pipe {
					go func() {
						if err := os.WriteFile(pipe, []byte("wanted: true\n"), 0); err != nil {
							t.Error(err)
						}
					}()
				}
				r := user.runWith(t, "wanted: true\n", append([]string{"preflight", "install", "-f", values}, release...)...)
				// With the copy, rbac.create=false is seen to help nothing.
				if r.Code != 4 || !strings.Contains(r.Stdout, "cluster-scoped") || strings.Contains(r.Stdout, "is left") {
					t.Errorf("values of %s: %v", values, r)
				}
			}
		})
	}
}

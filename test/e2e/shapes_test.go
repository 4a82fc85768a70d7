package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// Charts of the shapes that are common in public ones, written for these tests.

// writeChart writes a chart of that name; files are its templates and whatever else
// it has, by their paths. Without a Chart.yaml it gets a plain one.
func writeChart(t testing.TB, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if files["Chart.yaml"] == "" {
		files["Chart.yaml"] = "apiVersion: v1\nname: " + name + "\nversion: 0.1.0\nappVersion: '1.0'\ndescription: A shape\n"
	}
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// settings is a template of a ConfigMap that shows a value.
const settings = `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
data:
  greeting: {{ .Values.greeting | quote }}
`

// valued takes values of every type.
func valued(t testing.TB) string {
	return writeChart(t, "valued", map[string]string{
		"values.yaml": "# A comment\ngreeting: hello\nport: 8080\nratio: 0.75\nflag: false\nbig: 1234567890\nlist: [a, b]\nnested: {deep: {er: yes, gone: x}}\ntext: |\n  two\n  lines\nnothing:\n",
		"templates/all.yaml": settings + `  all: {{ .Values | toJson | quote }}
  port: {{ .Values.port | quote }}
`,
	})
}

// family has subcharts: one twice by an alias, one switched off by a condition, one
// by a tag, and values that are imported from one.
func family(t testing.TB) string {
	child := "apiVersion: v1\nversion: 0.2.0\nname: "
	return writeChart(t, "family", map[string]string{
		"requirements.yaml": `dependencies:
- {name: db, version: 0.2.0, repository: "", alias: primary, condition: primary.enabled}
- {name: db, version: 0.2.0, repository: "", alias: secondary}
- {name: cache, version: ~0.2, repository: "", condition: cache.enabled}
- {name: extra, version: 0.2.0, repository: "", tags: [more]}
- {name: lib, version: 0.2.0, repository: "", import-values: [shared]}
`,
		"requirements.lock":               "dependencies:\n- name: db\n  repository: \"\"\n  version: 0.2.0\ndigest: sha256:0123\ngenerated: 2020-01-02T03:04:05.678901234Z\n",
		"values.yaml":                     "greeting: hello\nprimary: {enabled: true, size: 2}\ncache: {enabled: false}\ntags: {more: false}\nglobal: {region: north}\n",
		"templates/all.yaml":              settings + "  shared: {{ .Values.color | quote }}\n",
		"charts/db/Chart.yaml":            child + "db\n",
		"charts/db/values.yaml":           "size: 1\n",
		"charts/db/templates/all.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-{{ .Chart.Name }}\ndata:\n  size: {{ .Values.size | quote }}\n  region: {{ .Values.global.region }}\n",
		"charts/cache/Chart.yaml":         child + "cache\n",
		"charts/cache/templates/all.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-cache\n",
		"charts/extra/Chart.yaml":         child + "extra\n",
		"charts/extra/templates/all.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-extra\n",
		"charts/lib/Chart.yaml":           child + "lib\n",
		"charts/lib/values.yaml":          "exports: {shared: {color: blue}}\n",
		"charts/lib/templates/_lib.tpl":   `{{ define "lib.name" }}lib{{ end }}`,
	})
}

// hooked has hooks for most events, with weights and deletion policies, and a test
// that fails.
func hooked(t testing.TB) string {
	hook := func(name, events, more string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-" + name + "\n  annotations:\n    helm.sh/hook: " + events + "\n" + more + "data:\n  greeting: {{ .Values.greeting | quote }}\n"
	}
	return writeChart(t, "hooked", map[string]string{
		"values.yaml":             "greeting: hello\n",
		"templates/all.yaml":      settings,
		"templates/before.yaml":   hook("before", "pre-install,pre-upgrade", "    helm.sh/hook-weight: \"-5\"\n    helm.sh/hook-delete-policy: before-hook-creation\n"),
		"templates/after.yaml":    hook("after", "post-install, post-upgrade, post-rollback", "    helm.sh/hook-weight: \"5\"\n    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded\n"),
		"templates/end.yaml":      hook("end", "pre-delete", "    helm.sh/hook-delete-policy: hook-succeeded\n"),
		"templates/tests/it.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}-test\n  annotations:\n    helm.sh/hook: test-success\nspec:\n  restartPolicy: Never\n  activeDeadlineSeconds: 1\n  terminationGracePeriodSeconds: 0\n  containers:\n  - {name: test, image: 'registry.k8s.io/pause:3.10'}\n",
	})
}

// stateful is what charts of databases and web applications are made of.
func stateful(t testing.TB) string {
	return writeChart(t, "stateful", map[string]string{
		"Chart.yaml":  "name: stateful\nversion: 1.2.3-beta.1+build.5\nappVersion: 9.6\nkubeVersion: '>=1.10-0'\ntillerVersion: '>=2.10.0'\nengine: gotpl\nhome: https://example.com\nsources: [https://example.com/src]\nkeywords: [data]\nmaintainers: [{name: ann, email: ann@example.com}]\nicon: https://example.com/i.png\ndeprecated: true\nannotations: {note: mine}\n",
		"values.yaml": "greeting: hello\nreplicas: 0\n",
		"README.md":   "# stateful\n\nIt is \"quoted\" & <marked>.\n",
		"files/data":  "\x00\x01\xfe\xff binary\n",
		"templates/_helpers.tpl": `{{- define "stateful.labels" -}}
app: {{ .Chart.Name }}
chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
heritage: {{ .Release.Service }}
release: {{ .Release.Name }}
{{- end -}}
`,
		"templates/NOTES.txt": "Thank you for {{ .Release.Name }}.\n\n  It says: {{ .Values.greeting }}\n",
		"templates/all.yaml": settings + `---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "stateful.labels" . | nindent 4 }}
  annotations: {helm.sh/resource-policy: keep}
data:
  file: {{ .Files.Get "files/data" | b64enc }}
---
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {clusterIP: None, selector: {release: "{{ .Release.Name }}"}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: "{{ .Release.Name }}"}
spec:
  serviceName: {{ .Release.Name }}
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {release: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {release: "{{ .Release.Name }}"}}
    spec: {containers: [{name: it, image: 'registry.k8s.io/pause:3.10'}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: "{{ .Release.Name }}"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "{{ .Release.Name }}"}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "{{ .Release.Name }}"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "{{ .Release.Name }}"}
subjects: [{kind: ServiceAccount, name: "{{ .Release.Name }}", namespace: "{{ .Release.Namespace }}"}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: "{{ .Release.Name }}"}
spec: {defaultBackend: {service: {name: "{{ .Release.Name }}", port: {number: 80}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: "{{ .Release.Name }}"}
spec: {maxUnavailable: 1, selector: {matchLabels: {release: "{{ .Release.Name }}"}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: "{{ .Release.Name }}"}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: it, image: 'registry.k8s.io/pause:3.10'}]}}}}
`,
	})
}

// fragile can only be installed if ok is not false: otherwise it has an object that the API
// server refuses.
func fragile(t testing.TB) string {
	return writeChart(t, "fragile", map[string]string{
		"values.yaml":        "greeting: hello\nok: true\n",
		"templates/all.yaml": settings + "{{ if not .Values.ok }}---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: NOT_A_NAME\n{{ end }}",
	})
}

// definitions brings a kind by Helm 2's crd-install hook, and an object of it.
func definitions(t testing.TB) string {
	return writeChart(t, "definitions", map[string]string{
		"values.yaml": "greeting: hello\n",
		"templates/crd.yaml": `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: greetings.shapes.example.com
  annotations: {helm.sh/hook: crd-install}
spec:
  group: shapes.example.com
  scope: Namespaced
  names: {plural: greetings, singular: greeting, kind: Greeting, listKind: GreetingList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`,
		"templates/all.yaml": settings + "---\napiVersion: shapes.example.com/v1\nkind: Greeting\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  words: {{ .Values.greeting | quote }}\n",
	})
}

// empty makes nothing but a note.
func empty(t testing.TB) string {
	return writeChart(t, "empty", map[string]string{"values.yaml": "", "templates/NOTES.txt": "Nothing.\n"})
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	railsTenants = 1000
	// railsRequests is how many requests an apply may take that changes nothing.
	railsRequests = 45
	// guardInstalls is how often a chart is installed with the guard, and without.
	guardInstalls = 15
)

// allRails is the head of a tenants file with every guard rail.
const allRails = `defaults:
  podSecurity: restricted
  guard: enforce
  quota: {pods: "50", requests.cpu: "20"}
  limits: {default: {cpu: 500m, memory: 128Mi}, defaultRequest: {cpu: 50m, memory: 64Mi}}
  network: isolated
  allowFrom: [10.0.0.0/24]
  hosts: ["*.example.com"]
  priorityClasses: [batch]
  labels: {cost-center: "42"}
  contact: "#platform"
`

// benchRails measures what guard rails cost: an apply of many tenants that have all of
// them, and helm installing a chart of 50 objects with the guard and without.
func benchRails(ctx context.Context, ours, helm, dir string, report *strings.Builder) error {
	file := filepath.Join(dir, "rails-tenants.yaml")
	text := strings.Replace(tenantsFile("impersonation", railsTenants), "tenants:\n", allRails+"tenants:\n", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	return withCluster(ctx, func(m *meter) error {
		m.env = append(m.env, "HELM_BIN="+helm)
		if err := m.benchGuard(ctx, ours, dir, report); err != nil {
			return err
		}
		first, err := m.measure(ctx, ours, "apply", "-f", file, "--create-namespaces")
		if err != nil {
			return err
		}
		if err := m.settle(ctx); err != nil {
			return err
		}
		again, err := m.measure(ctx, ours, "apply", "-f", file)
		if err != nil {
			return err
		}
		fmt.Fprintf(report, "\n| apply with all guard rails | from nothing | nothing changes | to reach |\n|---|---|---|---|\n| %d tenants of 5 namespaces | %s | %s | %d requests when nothing changes |\n",
			railsTenants, first, again, railsRequests)
		return nil
	})
}

// benchGuard has two tenants' deployers install the same chart in turn.
func (m *meter) benchGuard(ctx context.Context, ours, dir string, report *strings.Builder) error {
	chart := filepath.Join(dir, "fifty")
	if err := os.MkdirAll(filepath.Join(chart, "templates"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: fifty\nversion: 1.0.0\n"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(chart, "templates", "all.yaml"), []byte(fifty()), 0o644); err != nil {
		return err
	}
	for name, flags := range map[string][]string{"guarded": {"--guard", "enforce"}, "unguarded": {"--guard", "off", "--accept-risk", "no-guard"}} {
		args := append([]string{ours, "init", name, "--engine", "impersonation", "--namespaces", name, "--create-namespaces"}, flags...)
		if _, err := m.measure(ctx, args...); err != nil {
			return err
		}
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	var with, without, ratios []float64
	for range guardInstalls {
		times := map[string]time.Duration{}
		for _, name := range []string{"guarded", "unguarded"} {
			as := []string{"--kube-as-user", "system:serviceaccount:" + name + "-helm:helm", "--namespace", name}
			r, err := m.measure(ctx, append([]string{m.cluster.Bin("helm3"), "install", "fifty", chart}, as...)...)
			if err != nil {
				return err
			}
			times[name] = r.wall
			if _, err := m.measure(ctx, append([]string{m.cluster.Bin("helm3"), "uninstall", "fifty", "--wait=false"}, as...)...); err != nil {
				return err
			}
			if err := m.settle(ctx); err != nil {
				return err
			}
		}
		with, without = append(with, times["guarded"].Seconds()), append(without, times["unguarded"].Seconds())
		ratios = append(ratios, times["guarded"].Seconds()/times["unguarded"].Seconds())
	}
	middle := func(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
	fmt.Fprintf(report, "\n| `helm install` of 50 objects, Helm 3 | with the guard | without | ratio: median (lowest to highest) |\n|---|---|---|---|\n| %d pairs | %.2f s | %.2f s | %.2f (%.2f to %.2f) |\n",
		guardInstalls, middle(with), middle(without), middle(ratios), slices.Min(ratios), slices.Max(ratios))
	return nil
}

// fifty returns a chart's manifest of 50 objects, of kinds that the guard judges and of
// others.
func fifty() string {
	var text strings.Builder
	for i := range 10 {
		fmt.Fprintf(&text, `---
apiVersion: v1
kind: ConfigMap
metadata: {name: o%[1]d}
---
apiVersion: v1
kind: Service
metadata: {name: o%[1]d}
spec: {ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: o%[1]d}
spec:
  replicas: 0
  selector: {matchLabels: {app: o%[1]d}}
  template:
    metadata: {labels: {app: o%[1]d}}
    spec: {containers: [{name: main, image: none}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: o%[1]d}
spec: {rules: [{host: o%[1]d.example.com}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: o%[1]d}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default, namespace: {{ .Release.Namespace }}}]
`, i)
	}
	return text.String()
}

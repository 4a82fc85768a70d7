package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/records"
)

// What is wanted at most, of clusters with large, exploding and many release records.
const (
	largeRecords, largeBytes         = 1000, 200_000
	describeSeconds, describeMiB     = 3, 100
	migrateRatio, migrateMiB         = 1.3, 300
	bombs, bombSeconds, bombMiB      = 100, 5, 100
	manyReleases, manyEach, manyMiB  = 5000, 20, 200
	memberSecrets, memberSecretBytes = 300, 480_000
	listTenants, listEach            = 1000, 10
	listSeconds, listMiB             = 5, 200
)

// part measures a cluster of its own and adds to the report.
type part func(ctx context.Context, ours, helm, dir string, report *strings.Builder) error

// benchRecords measures what reads release records, on clusters with a few tenants that
// have very many or very large ones.
func benchRecords(ctx context.Context, ours, helm, dir string, report *strings.Builder) error {
	report.WriteString("\nRelease records: large ones, some that unpack to a thousand times their size, and many.\n")
	for _, part := range []part{rows(largeRows), rows(bombRows), rows(manyRows), rows(tenantRows), rows(splitRows)} {
		if err := part(ctx, ours, helm, dir, report); err != nil {
			return err
		}
	}
	return nil
}

// rows returns a part that fills one cluster and adds a table.
func rows(fill func(ctx context.Context, m *meter, ours, dir string, report *strings.Builder) error) part {
	return func(ctx context.Context, ours, helm, dir string, report *strings.Builder) error {
		report.WriteString("\n| cluster | command | took | to reach |\n|---|---|---|---|\n")
		return withCluster(ctx, func(m *meter) error {
			m.env = append(m.env, "HELM_BIN="+helm)
			return fill(ctx, m, ours, dir, report)
		})
	}
}

// row measures one command against its limits; zero means no limit.
func (m *meter) row(ctx context.Context, report *strings.Builder, cluster string, seconds, mib float64, args ...string) error {
	r, err := m.measure(ctx, args...)
	if err != nil {
		return err
	}
	addRow(report, cluster, strings.Join(append([]string{"helm-tenant"}, args[1:]...), " "), r, seconds, mib)
	return nil
}

// rowOf is row for a command that may refuse to do it, which the row says.
func (m *meter) rowOf(ctx context.Context, report *strings.Builder, cluster string, seconds, mib float64, args ...string) error {
	r, err := m.attempt(ctx, args...)
	if err != nil {
		return err
	}
	command := strings.Join(append([]string{"helm-tenant"}, args[1:]...), " ")
	if r.exit != nil {
		fmt.Fprintln(os.Stderr, r.exit)
		command += " (refused)"
	}
	addRow(report, cluster, command, r, seconds, mib)
	return nil
}

func addRow(report *strings.Builder, cluster, command string, r run, seconds, mib float64) {
	var bounds []string
	reached := "reached"
	if seconds > 0 {
		bounds = append(bounds, fmt.Sprintf("%.1f s", seconds))
		if r.wall.Seconds() > seconds {
			reached = "not reached"
		}
	}
	if mib > 0 {
		bounds = append(bounds, fmt.Sprintf("%.0f MiB", mib))
		if float64(r.memory>>20) > mib {
			reached = "not reached"
		}
	}
	if len(bounds) == 0 {
		bounds, reached = []string{"-"}, ""
	}
	row := fmt.Sprintf("| %s | `%s` | %s | %s %s |\n", cluster, command, r, strings.Join(bounds, ", "), reached)
	fmt.Fprint(os.Stderr, row)
	report.WriteString(row)
}

// init makes a tenant with Helm 2.
func (m *meter) init(ctx context.Context, ours, name string, args ...string) error {
	_, err := m.measure(ctx, append([]string{ours, "init", name, "--namespaces", name, "--create-namespaces", "--engine", "tiller", "--wait=false"}, args...)...)
	return err
}

// loader returns a client that is not held back.
func (m *meter) loader() (kubernetes.Interface, error) {
	config, err := m.cluster.RESTConfig("bench", "system:masters")
	if err != nil {
		return nil, err
	}
	config.QPS, config.ContentType = -1, "application/vnd.kubernetes.protobuf"
	return kubernetes.NewForConfig(config)
}

// load creates Secrets in a namespace, many at once.
func (m *meter) load(ctx context.Context, namespace string, count int, make func(int) *corev1.Secret) error {
	return m.loadAcross(ctx, count, func(int) string { return namespace }, make)
}

// loadAcross creates Secrets in the namespaces that are named for them, many at once.
func (m *meter) loadAcross(ctx context.Context, count int, namespace func(int) string, make func(int) *corev1.Secret) error {
	client, err := m.loader()
	if err != nil {
		return err
	}
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range count {
		group.Go(func() error {
			_, err := client.CoreV1().Secrets(namespace(i)).Create(ctx, make(i), metav1.CreateOptions{})
			return err
		})
	}
	err = group.Wait()
	fmt.Fprintf(os.Stderr, "created %d Secrets, from namespace %s on, in %s\n", count, namespace(0), time.Since(start).Round(time.Second))
	return err
}

// largeRows: a thousand releases of 200 kB.
func largeRows(ctx context.Context, m *meter, ours, dir string, report *strings.Builder) error {
	if err := m.init(ctx, ours, "large"); err != nil {
		return err
	}
	text := textOf(largeBytes)
	chart, manifest := text[:len(text)/2], text[len(text)/2:]
	secret := func(i int) *corev1.Secret {
		name := fmt.Sprintf("release-%04d", i)
		return records.Secret(records.Release{Name: name, Namespace: "large", Revision: 1, Status: "DEPLOYED", Template: chart, Manifest: records.ManifestOf(name, manifest)})
	}
	fmt.Fprintf(os.Stderr, "a record has %d bytes\n", len(secret(0).Data["release"]))
	if err := m.load(ctx, "large-tiller", largeRecords, secret); err != nil {
		return err
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	what := fmt.Sprintf("%d records of %d kB", largeRecords, len(secret(0).Data["release"])/1000)
	for range 2 {
		if err := m.row(ctx, report, what, describeSeconds, describeMiB, ours, "describe", "large"); err != nil {
			return err
		}
	}
	if err := m.row(ctx, report, what, 0, 200, ours, "tenants"); err != nil {
		return err
	}
	m.env = append(m.env, "HELM_BIN="+m.cluster.Bin("helm3"))
	moved, err := m.measure(ctx, ours, "migrate", "large", "--backup", filepath.Join(dir, "large.yaml"))
	if err != nil {
		return err
	}
	file, err := m.copyOf(ctx, "large", "owner=helm", filepath.Join(dir, "written.json"))
	if err != nil {
		return err
	}
	if _, err := m.measure(ctx, m.cluster.Bin("kubectl"), "create", "namespace", "copy"); err != nil {
		return err
	}
	written, err := m.measure(ctx, m.cluster.Bin("kubectl"), "create", "-f", file)
	if err != nil {
		return err
	}
	addRow(report, what, "helm-tenant migrate large", moved, migrateRatio*written.wall.Seconds(), migrateMiB)
	addRow(report, what, "kubectl create -f, of the same Secrets", written, 0, 0)
	return nil
}

// copyOf writes a namespace's Secrets into a file, as they can be created in another.
func (m *meter) copyOf(ctx context.Context, namespace, selector, file string) (string, error) {
	client, err := m.loader()
	if err != nil {
		return "", err
	}
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	options := metav1.ListOptions{LabelSelector: selector, Limit: 20}
	for {
		page, err := client.CoreV1().Secrets(namespace).List(ctx, options)
		if err != nil {
			return "", err
		}
		for _, s := range page.Items {
			text, err := json.Marshal(&corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
				ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: "copy", Labels: s.Labels}, Type: s.Type, Data: s.Data})
			if err == nil {
				_, err = fmt.Fprintf(f, "%s\n", text)
			}
			if err != nil {
				return "", err
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return file, f.Close()
		}
	}
}

// manyRows: a hundred thousand small records, of which one tenant has all.
func manyRows(ctx context.Context, m *meter, ours, _ string, report *strings.Builder) error {
	if err := m.init(ctx, ours, "many"); err != nil {
		return err
	}
	err := m.load(ctx, "many-tiller", manyReleases*manyEach, func(i int) *corev1.Secret {
		r := records.Release{Name: fmt.Sprintf("release-%04d", i/manyEach), Namespace: "many", Revision: 1 + i%manyEach, Status: "SUPERSEDED"}
		if r.Revision == manyEach {
			r.Status = "DEPLOYED"
		}
		return records.Secret(r)
	})
	if err != nil {
		return err
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	what := fmt.Sprintf("%d records of %d releases of one tenant", manyReleases*manyEach, manyReleases)
	for _, args := range [][]string{{ours, "tenants"}, {ours, "describe", "many"}, {ours, "releases", "--all"}, {ours, "export"}, {ours, "audit", "--fail-on", "critical"}} {
		if err := m.row(ctx, report, what, 0, manyMiB, args...); err != nil {
			return err
		}
	}
	return nil
}

// tenantRows measures a list of all releases: a thousand tenants with ten releases each.
func tenantRows(ctx context.Context, m *meter, ours, dir string, report *strings.Builder) error {
	file := filepath.Join(dir, "list-tenants.yaml")
	if err := os.WriteFile(file, []byte(tenantsFile("tiller", listTenants)), 0o600); err != nil {
		return err
	}
	if _, err := m.measure(ctx, ours, "apply", "-f", file, "--create-namespaces"); err != nil {
		return err
	}
	home := func(i int) string { return fmt.Sprintf("t%04d-tiller", i/listEach) }
	err := m.loadAcross(ctx, listTenants*listEach, home, func(i int) *corev1.Secret {
		return records.Secret(records.Release{Name: fmt.Sprintf("release-%05d", i), Namespace: fmt.Sprintf("t%04d-1", i/listEach), Revision: 1, Status: "DEPLOYED"})
	})
	if err != nil {
		return err
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	what := fmt.Sprintf("%d tenants with %d releases", listTenants, listTenants*listEach)
	for _, args := range [][]string{{"releases", "--all"}, {"tenants"}} {
		if err := m.row(ctx, report, what, listSeconds, listMiB, append([]string{ours}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// textOf returns a text that takes about so many bytes in a record. Compressed and encoded
// in base64 it has 2/11 of its length, as charts and manifests have.
func textOf(packed int) string {
	var text strings.Builder
	r := rand.New(rand.NewPCG(1, 2)) // the same in each run
	for text.Len() < packed*11/2 {
		fmt.Fprintf(&text, "      - name: item-%d\n        value: %q\n        readOnly: true\n", r.IntN(1e6), fmt.Sprint(r.IntN(1e9)))
	}
	return text.String()
}

func random(size int) []byte {
	text := make([]byte, size)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range text {
		text[i] = byte(r.Uint32())
	}
	return text
}

// alone builds the program, and prints what one part measures.
func alone(ctx context.Context, dir string, part part) error {
	ours := filepath.Join(dir, "helm-tenant")
	if _, err := timed(ctx, build(ctx, ".", ours)); err != nil {
		return err
	}
	report := &strings.Builder{}
	if err := part(ctx, ours, "helm", dir, report); err != nil {
		return err
	}
	fmt.Print(report.String())
	return nil
}

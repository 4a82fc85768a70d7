package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/testcluster"
)

// run is what one command took.
type run struct {
	wall     time.Duration
	memory   int64 // bytes, the largest that the process was
	requests int   // answered by the API server during the run
	cpu      time.Duration
	exit     error // of a command that ended with another exit code than 0
}

func (r run) String() string {
	return fmt.Sprintf("%.1f s (processor %.1f s), %d MiB, %d requests", r.wall.Seconds(), r.cpu.Seconds(), r.memory>>20, r.requests)
}

// scale measures apply over many tenants of five namespaces, from nothing and
// when nothing changes, against kubectl with the same objects in a cluster of
// its own.
func scale(ctx context.Context, ours, helm, dir string, sizes []int, report *strings.Builder) error {
	fmt.Fprintf(report, "\n| engine | tenants | command | from nothing | nothing changes | instead | from nothing | nothing changes | `kubectl diff` | ratios |\n|---|---|---|---|---|---|---|---|---|---|\n")
	var lists []string
	for _, engine := range []string{"tiller", "impersonation"} {
		for _, size := range sizes {
			row, list, err := scaleOnce(ctx, ours, helm, dir, engine, size)
			if err != nil {
				return fmt.Errorf("%d tenants, %s: %w", size, engine, err)
			}
			report.WriteString(row)
			lists = append(lists, list)
		}
	}
	fmt.Fprintf(report, "\n| engine | tenants | `helm tenant tenants` |\n|---|---|---|\n%s", strings.Join(lists, ""))
	return nil
}

func scaleOnce(ctx context.Context, ours, helm, dir, engine string, size int) (row, list string, err error) {
	file := filepath.Join(dir, fmt.Sprintf("%s-tenants-%d.yaml", engine, size))
	if err := os.WriteFile(file, []byte(tenantsFile(engine, size)), 0o644); err != nil {
		return "", "", err
	}
	objects := filepath.Join(dir, fmt.Sprintf("%s-objects-%d.json", engine, size))

	var first, again, listed run
	err = withCluster(ctx, func(m *meter) error {
		m.env = append(m.env, "HELM_BIN="+helm)
		var err error
		if first, err = m.measure(ctx, ours, "apply", "-f", file, "--create-namespaces"); err != nil {
			return err
		}
		if err = m.settle(ctx); err != nil {
			return err
		}
		if again, err = m.measure(ctx, ours, "apply", "-f", file); err != nil {
			return err
		}
		if listed, err = m.measure(ctx, ours, "tenants"); err != nil {
			return err
		}
		return m.export(ctx, objects)
	})
	if err != nil {
		return "", "", err
	}
	var theirs, theirsAgain, diff run
	err = withCluster(ctx, func(m *meter) error {
		apply := []string{m.cluster.Bin("kubectl"), "apply", "--server-side", "-f", objects}
		var err error
		if theirs, err = m.measure(ctx, apply...); err != nil {
			return err
		}
		if err = m.settle(ctx); err != nil {
			return err
		}
		if theirsAgain, err = m.measure(ctx, apply...); err != nil {
			return err
		}
		diff, err = m.measure(ctx, m.cluster.Bin("kubectl"), "diff", "--server-side", "-f", objects)
		return err
	})
	if err != nil {
		return "", "", err
	}
	row = fmt.Sprintf("| %s | %d | `helm-tenant apply` | %s | %s | `kubectl apply --server-side` | %s | %s | %s | %.2f, %.3f |\n", engine, size,
		first, again, theirs, theirsAgain, diff, first.wall.Seconds()/theirs.wall.Seconds(), again.wall.Seconds()/theirsAgain.wall.Seconds())
	return row, fmt.Sprintf("| %s | %d | %s |\n", engine, size, listed), nil
}

func tenantsFile(engine string, size int) string {
	var text strings.Builder
	text.WriteString("apiVersion: helm-tenant/v1\ntenants:\n")
	for i := range size {
		name := fmt.Sprintf("t%04d", i)
		fmt.Fprintf(&text, "- name: %s\n  namespaces: [%[1]s-1, %[1]s-2, %[1]s-3, %[1]s-4, %[1]s-5]\n  members: {users: [user%d], groups: [group%[2]d]}\n  engine: %s\n", name, i, engine)
	}
	return text.String()
}

// meter measures commands on one cluster.
type meter struct {
	cluster *testcluster.Cluster
	client  kubernetes.Interface
	env     []string
}

func withCluster(ctx context.Context, do func(*meter) error) error {
	c, err := testcluster.Start(ctx, testcluster.Options{Size: testcluster.API})
	if err != nil {
		return err
	}
	defer c.Stop()
	config, err := c.RESTConfig("bench", "system:masters")
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return do(&meter{c, client, append(os.Environ(), "KUBECONFIG="+c.Admin())})
}

func (m *meter) measure(ctx context.Context, args ...string) (run, error) {
	r, err := m.attempt(ctx, args...)
	if err == nil && r.exit != nil {
		err = r.exit
	}
	return r, err
}

// attempt measures a command that may refuse to do it.
func (m *meter) attempt(ctx context.Context, args ...string) (run, error) {
	fmt.Fprintf(os.Stderr, "measuring: %s\n", strings.Join(args, " "))
	before, err := m.requests(ctx)
	if err != nil {
		return run{}, err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = m.env
	var largest int64
	wall, failed := timedWith(ctx, cmd, func(started *os.Process) func() {
		memory := watchMemory(started.Pid)
		return func() { largest = memory() }
	})
	if _, refused := errors.AsType[*exec.ExitError](failed); failed != nil && !refused {
		return run{}, failed
	}
	after, err := m.requests(ctx)
	if err != nil {
		return run{}, err
	}
	return run{wall, largest, after - before - 1, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), failed}, nil // less the one for the metrics themselves
}

// watchMemory reads the largest resident set of a process until the returned function is
// called, which returns it in bytes. Linux's own number for an ended process (getrusage)
// includes that of its parent, from before the exec.
func watchMemory(pid int) func() int64 {
	done, result := make(chan struct{}), make(chan int64)
	go func() {
		largest := int64(0)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				result <- largest
				return
			case <-tick.C:
				largest = max(largest, residentSet(pid))
			}
		}
	}()
	return func() int64 { close(done); return <-result }
}

// residentSet returns the largest resident set of the process since its exec; 0 if it is not
// known.
func residentSet(pid int) int64 {
	folder := fmt.Sprintf("/proc/%d/", pid)
	// Before the exec it is still the bench.
	if program, err := os.Readlink(folder + "exe"); err != nil || program == benchProgram() {
		return 0
	}
	text, err := os.ReadFile(folder + "status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

func benchProgram() string {
	program, _ := os.Executable() // Linux knows it
	return program
}

// requests returns the number of requests, without watches, that the API server has answered,
// by its own metrics. Requests of controllers are included.
func (m *meter) requests(ctx context.Context) (int, error) {
	text, err := m.client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		return 0, err
	}
	total := 0.0
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		if label(metric, "verb") != "WATCH" && label(metric, "resource") != "leases" {
			total += metric.GetCounter().GetValue()
		}
	}
	return int(total), nil
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// settle waits until the controllers have caught up: no more than a few
// requests in two seconds.
func (m *meter) settle(ctx context.Context) error {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		before, err := m.requests(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
		after, err := m.requests(ctx)
		if err != nil {
			return err
		}
		if after-before < 10 {
			return nil
		}
	}
	return fmt.Errorf("the controllers of the cluster do not come to rest")
}

// export writes the tenants' objects as they could have been written by hand.
func (m *meter) export(ctx context.Context, file string) error {
	get := exec.CommandContext(ctx, m.cluster.Bin("kubectl"), "get", "namespaces,serviceaccounts,configmaps,roles,rolebindings,networkpolicies,deployments",
		"--all-namespaces", "--selector", "helm-tenant/tenant", "--output", "json")
	get.Env, get.Stderr = m.env, os.Stderr
	text, err := get.Output()
	if err != nil {
		return err
	}
	var list struct {
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, item := range list.Items {
		for _, field := range []string{"resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"} {
			unstructured.RemoveNestedField(item, "metadata", field)
		}
		delete(item, "status")
	}
	text, err = json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": list.Items})
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	return err
}

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"helm-tenant/test/harness"
)

// under is a person with the same kubeconfig who has another helm: helm3 or helm4,
// with helm-tenant as its plugin.
func (w *world) under(p *person, helm string) *person {
	w.t.Helper()
	dir := w.t.TempDir()
	bin, data := filepath.Join(dir, "bin"), filepath.Join(dir, "data")
	for _, folder := range []string{bin, filepath.Join(data, "plugins")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, path := range map[string]string{
		filepath.Join(bin, "helm"): w.cluster.Bin(helm), filepath.Join(bin, "kubectl"): w.cluster.Bin("kubectl"), filepath.Join(data, "plugins", "tenant"): w.plugin,
	} {
		if err := os.Symlink(path, name); err != nil {
			w.t.Fatal(err)
		}
	}
	q := &person{t: p.t, kubeconfig: p.kubeconfig, major: int(helm[len(helm)-1] - '0')}
	for _, entry := range p.env {
		if !strings.HasPrefix(entry, "HELM_HOME=") && !strings.HasPrefix(entry, "PATH=") {
			q.env = append(q.env, entry)
		}
	}
	q.env = append(q.env, "PATH="+bin+":"+os.Getenv("PATH"), "HELM_DATA_HOME="+data, "HELM_CONFIG_HOME="+filepath.Join(dir, "config"), "HELM_CACHE_HOME="+filepath.Join(dir, "cache"))
	return q
}

// inFolder is the person in a folder of their own, where backups go.
func (p *person) tenantIn(folder string, args ...string) said {
	p.t.Helper()
	return p.try(append([]string{"sh", "-c", `cd "$0" && exec helm tenant "$@"`, folder}, args...)...)
}

func (p *person) must(s said) said {
	p.t.Helper()
	if s.code != 0 {
		p.t.Fatalf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	return s
}

// seen is what a helm says of a release: a status for each revision, the manifest
// of each, and the values and notes of the newest.
type seen struct {
	Namespace string
	Statuses  map[int]string
	Manifests map[int]string
	Values    any
	Notes     string
}

// statuses3 are Helm 3's words for those of Helm 2.
var statuses3 = map[string]string{"DEPLOYED": "deployed", "SUPERSEDED": "superseded", "FAILED": "failed", "DELETED": "uninstalled"}

func (p *person) json(into any, args ...string) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.run(args...)), into); err != nil {
		p.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
}

// asked is a release that helm is asked about. What it is asked goes to helm-tenant
// by itself: that the plugin is the same is shown elsewhere, and these are many.
type asked struct{ Name, Namespace string }

// all asks about releases, some at once.
func (p *person) all(releases []asked, look func(run func(args ...string) string, r asked) seen) map[string]seen {
	p.t.Helper()
	binary, err := harness.Binary()
	if err != nil {
		p.t.Fatal(err)
	}
	run := func(args ...string) string { return p.run(append([]string{binary}, args...)...) }
	found := map[string]seen{}
	var mutex sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, r := range releases {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			s := look(run, r)
			mutex.Lock()
			defer mutex.Unlock()
			found[r.Name] = s
		})
	}
	group.Wait()
	if p.t.Failed() {
		p.t.FailNow()
	}
	return found
}

// read fills in the JSON of an answer.
func (p *person) read(into any, answer string) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		p.t.Errorf("%v in %s", err, answer)
	}
}

// allOf2 asks Helm 2, by the tenant's Tiller, for all that it has.
func (p *person) allOf2() map[string]seen {
	p.t.Helper()
	var list struct{ Releases []asked }
	p.json(&list, "helm", "tenant", "list", "--all", "--output", "json")
	return p.all(list.Releases, func(run func(...string) string, r asked) seen {
		s := seen{Namespace: r.Namespace, Statuses: map[int]string{}, Manifests: map[int]string{}}
		var history []struct {
			Revision int
			Status   string
		}
		p.read(&history, run("history", r.Name, "--max", "256", "--output", "json"))
		for _, h := range history {
			s.Statuses[h.Revision] = statuses3[h.Status]
			s.Manifests[h.Revision] = run("get", "manifest", r.Name, "--revision", strconv.Itoa(h.Revision))
		}
		p.read(&s.Values, run("get", "values", r.Name, "--output", "json"))
		s.Notes = strings.TrimSpace(run("get", "notes", r.Name))
		return s
	})
}

// allOf3 asks Helm 3 or 4, as the tenant, for all that it has in the namespaces.
func (p *person) allOf3(namespaces ...string) map[string]seen {
	p.t.Helper()
	var releases []asked
	for _, ns := range namespaces {
		var list []asked
		p.json(&list, "helm", "tenant", "list", "--namespace", ns, "--deployed", "--failed", "--pending", "--superseded", "--uninstalled", "--uninstalling", "--output", "json")
		releases = append(releases, list...)
	}
	return p.all(releases, func(run func(...string) string, r asked) seen {
		s := seen{Namespace: r.Namespace, Statuses: map[int]string{}, Manifests: map[int]string{}}
		in := func(args ...string) string { return run(append(args, "--namespace", r.Namespace)...) }
		var history []struct {
			Revision int
			Status   string
		}
		p.read(&history, in("history", r.Name, "--output", "json"))
		for _, h := range history {
			s.Statuses[h.Revision] = h.Status
			s.Manifests[h.Revision] = in("get", "manifest", r.Name, "--revision", strconv.Itoa(h.Revision))
		}
		p.read(&s.Values, in("get", "values", r.Name, "--output", "json"))
		if m, isMap := s.Values.(map[string]any); s.Values == nil || isMap && len(m) == 0 {
			s.Values = map[string]any{}
		}
		s.Notes = strings.TrimSpace(in("get", "notes", r.Name))
		return s
	})
}

// record3 is what Helm 3 stores of a revision.
func (p *person) record3(name, namespace string, revision int) map[string]any {
	p.t.Helper()
	text, err := base64.StdEncoding.DecodeString(p.jsonpath("{.data.release}", "secret", fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, revision), "--namespace", namespace))
	if err == nil {
		text, err = base64.StdEncoding.DecodeString(string(text))
	}
	var reader *gzip.Reader
	if err == nil {
		reader, err = gzip.NewReader(bytes.NewReader(text))
	}
	var record map[string]any
	if err == nil {
		err = json.NewDecoder(reader).Decode(&record)
	}
	if err != nil {
		p.t.Fatalf("the record of %s: %v", name, err)
	}
	// Helm 2 keeps hooks in no order, and each helm runs them at its time.
	hooks, _ := record["hooks"].([]any)
	slices.SortFunc(hooks, func(a, b any) int {
		return strings.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
	})
	for _, hook := range hooks {
		delete(hook.(map[string]any), "last_run")
	}
	return record
}

// records3 are the release records of Helm 3 in namespaces.
func (p *person) records3(namespaces ...string) string {
	p.t.Helper()
	var all strings.Builder
	for _, ns := range namespaces {
		all.WriteString(p.jsonpath(`{range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.labels} {.data}{"\n"}{end}`, "secrets", "--namespace", ns, "--selector", "owner=helm"))
	}
	return all.String()
}

// everything is what there is in namespaces, and its versions.
func (p *person) everything(namespaces ...string) string {
	p.t.Helper()
	var all string
	for _, ns := range namespaces {
		all += p.jsonpath(`{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.uid} {.metadata.generation} {.metadata.labels} {.data}{"\n"}{end}`,
			"configmaps,secrets,services,deployments,statefulsets,pods,serviceaccounts,roles,rolebindings,ingresses,poddisruptionbudgets,cronjobs,persistentvolumeclaims,networkpolicies", "--namespace", ns)
	}
	return all
}

// but is a text without the lines that match.
func but(text, pattern string) string {
	lines := strings.Split(text, "\n")
	match := regexp.MustCompile(pattern).MatchString
	return strings.Join(slices.DeleteFunc(lines, match), "\n")
}

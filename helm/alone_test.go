package helm

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRendersAlone: a chart is rendered without the cluster only if neither it nor what was typed
// can ask about the cluster.
func TestRendersAlone(t *testing.T) {
	root, err := os.MkdirTemp("", "charts-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) }) // Wine can't, and loses the whole drive at the end
	write := func(name, text string) {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A copy of the chart "plain" with one more file.
	also := func(chart, file, text string) {
		write(chart+"/Chart.yaml", "name: "+chart)
		write(chart+"/templates/a.yaml", "kind: ConfigMap")
		write(chart+"/"+file, text)
	}
	also("plain", "charts/sub/templates/a.yaml", "kind: Secret")
	also("looks", "templates/_h.tpl", `{{ lookup "v1" "Secret" "a" "b" }}`)
	also("subchart-looks", "charts/sub/templates/NOTES.txt", `{{ (lookup "v1" "Secret" "a" "b") }}`)
	also("default-looks", "values.yaml", `a: '{{ lookup "v1" "Secret" "a" "b" }}'`)
	also("apis", "templates/b.yaml", `{{ if .Capabilities.APIVersions.Has "a/v1" }}`)
	also("indexed", "templates/b.yaml", `{{ index . "Capabilities" }}`)
	also("version", "charts/sub/Chart.yaml", "kubeVersion: '>= 1.30'")
	also("large", "files/a.txt", strings.Repeat("x", maxAlone))
	also("packed-sub", "charts/s.tgz", string(packedChart(t, "s/Chart.yaml", "s/templates/a.yaml")))
	also("packed-twice", "charts/s.tgz", string(packedChart(t, "s/charts/t-1.0.0.tgz")))
	also("no-archive", "charts/s.tgz", "x")
	write("packed.tgz", string(packedChart(t, "c/Chart.yaml", "c/templates/a.yaml")))
	write("packed-looks.tgz", string(packedText(t, "c/templates/a.yaml", `{{ lookup }}`)))
	write("packed-large.tgz", string(packedText(t, "c/a", strings.Repeat("x", maxAlone+1))))
	write("packed-empty.tgz", string(packedChart(t, slices.Repeat([]string{"c/a"}, maxChart/512)...)))
	also("data", "files/a.gz", "x")
	write("values.yaml", "a: b")
	write("looking.yaml", `a: '{{ lookup "v1" "Secret" "a" "b" }}'`)
	for _, c := range []struct {
		chart string
		want  bool
		flags string
	}{
		{"plain", true, ""},
		{"plain", true, "--wait --timeout 5m --atomic --create-namespace -n a --kube-context c -o json"},
		{"plain", true, "-f values.yaml --set a=b,c=d"},
		{"packed-sub", true, ""},
		{"packed.tgz", true, ""},
		{"data", true, ""},
		{"packed-empty.tgz", false, ""},
		{"looks", false, ""},
		{"subchart-looks", false, ""},
		{"default-looks", false, ""},
		{"apis", false, ""},
		{"indexed", false, ""},
		{"version", false, ""},
		{"large", false, ""},
		{"packed-twice", false, ""},
		{"no-archive", false, ""},
		{"packed-looks.tgz", false, ""},
		{"packed-large.tgz", false, ""},
		{"nowhere", false, ""},
		{"plain", false, "-f looking.yaml"},
		{"plain", false, "-f values.yaml,looking.yaml"},
		{"plain", false, "-f nowhere.yaml"},
		{"plain", false, "-f https://example.com/values.yaml"},
		{"plain", false, "--set a={{.Capabilities}}"},
		{"plain", false, "--set-file a=values.yaml"},
		{"plain", false, "--post-renderer x"},
		{"plain", false, "--repo http://127.0.0.1:1"},
		{"plain", false, "--dependency-update"},
		{"plain", false, "--replace"},
		{"plain", false, "--dry-run"},
		{"plain", false, "--force"},
		{"plain", false, "--version 1"},
	} {
		var args []string
		for _, word := range strings.Fields(c.flags) {
			var paths []string
			for path := range strings.SplitSeq(word, ",") {
				if strings.HasSuffix(path, ".yaml") && !strings.Contains(path, "/") && !strings.Contains(path, "=") {
					path = filepath.Join(root, path)
				}
				paths = append(paths, path)
			}
			args = append(args, strings.Join(paths, ","))
		}
		for _, command := range [][]string{{"install"}, {"upgrade", "--install"}} {
			d, err := ReadDeployment(3, slices.Concat(command, []string{"web", filepath.Join(root, c.chart)}, args))
			if _, unknown := errors.AsType[*UnknownFlagError](err); unknown {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := d.RendersAlone(); got != c.want {
				t.Errorf("%v %s %s: %t", command, c.chart, c.flags, got)
			}
		}
	}
	for _, line := range [][]string{{"upgrade", "web", "plain"}, {"install", "--generate-name", "plain"}, {"upgrade", "--install=false", "web", "plain"}} {
		line[len(line)-1] = filepath.Join(root, "plain")
		d, err := ReadDeployment(4, line)
		if err != nil {
			t.Fatal(err)
		}
		if d.RendersAlone() {
			t.Errorf("%v renders alone", line)
		}
	}
}

func TestAlone(t *testing.T) {
	for typed, want := range map[string]string{
		"install web ./c -o json --wait --timeout 5m --set a=b -n x --for-admin f": "--include-crds --wait --timeout 5m --set a=b -n x -- web ./c",
		"upgrade -if values.yaml web ./c --reuse-values --skip-crds":               "--include-crds --values=values.yaml --skip-crds -- web ./c",
	} {
		d, err := ReadDeployment(3, strings.Fields(typed), "for-admin")
		if err != nil {
			t.Fatal(err)
		}
		line := d.Alone()
		if got := strings.Join(line.Args, " "); line.Command != "template" || got != want {
			t.Errorf("%s: %s %s", typed, line.Command, got)
		}
	}
}

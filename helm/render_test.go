package helm

import (
	"strings"
	"testing"
)

func TestReadDeployment(t *testing.T) {
	for _, c := range []struct {
		major   int
		command string
		args    string
		// what it is read as
		release, chart, problem string
		// helm's own dry run, and helm's template
		dryRun, template string
	}{
		{major: 3, command: "install", args: "web ./c --set a=b,c=d --set-string x=--y -f v.yaml --wait --timeout 5m",
			release: "web", chart: "./c",
			dryRun:   "--set a=b,c=d --set-string x=--y -f v.yaml --wait --timeout 5m -- web ./c",
			template: "--set a=b,c=d --set-string x=--y -f v.yaml -- web ./c"},
		{major: 3, command: "install", args: "-g ./c -o yaml --hide-secret --dry-run=client", chart: "./c", dryRun: "-g -- ./c", template: "-g -- ./c"},
		{major: 4, command: "install", args: "web oci://r/c --version 1.2.3 --server-side=false --rollback-on-failure", release: "web", chart: "oci://r/c",
			dryRun: "--version 1.2.3 --server-side=false --rollback-on-failure -- web oci://r/c", template: "--version 1.2.3 -- web oci://r/c"},
		{major: 3, command: "upgrade", args: "-if v.yaml web ./c --reuse-values -n other", release: "web", chart: "./c",
			dryRun: "-if v.yaml --reuse-values -n other -- web ./c", template: "--values=v.yaml -n other -- web ./c"},
		{major: 3, command: "install", args: "--description -- web -- ./c", release: "web", chart: "./c",
			dryRun: "--description -- -- web ./c", template: "-- web ./c"},
		{major: 3, command: "install", args: "web ./c --post-renderer ./p --post-renderer-args --x", release: "web", chart: "./c",
			dryRun: "--post-renderer ./p --post-renderer-args --x -- web ./c", template: "--post-renderer ./p --post-renderer-args --x -- web ./c"},
		{major: 2, command: "install", args: "./c -n web --set a=b --tls", release: "web", chart: "./c", template: "--set a=b -- /tmp/c"},
		{major: 2, command: "install", args: "./c", chart: "./c", template: "-- /tmp/c"},
		{major: 2, command: "upgrade", args: "web ./c --install -f v", release: "web", chart: "./c", template: "-f v -- /tmp/c"},
		{major: 3, command: "install", args: "web ./c --sett a=b", problem: "helm install has no flag --sett"},
		{major: 3, command: "install", args: "web ./c --set", problem: "flag needs an argument: --set"},
		{major: 4, command: "upgrade", args: "web ./c -if", problem: "flag needs an argument: --values"},
		{major: 2, command: "install", args: "./c --name", problem: "flag needs an argument: --name"},
		{major: 3, command: "install", args: "web ./c --set=", release: "web", chart: "./c", dryRun: "--set= -- web ./c", template: "--set= -- web ./c"},
		{major: 3, command: "upgrade", args: "web", problem: "upgrade takes the release's name and the chart"},
		{major: 3, command: "install", args: "--wait", problem: "the chart is missing"},
		{major: 3, command: "install", args: "a b c", problem: `not also "c"`},
	} {
		d, err := ReadDeployment(c.major, strings.Fields("--for-admin f "+c.command+" "+c.args), "for-admin")
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%s %s: %v, wanted %q", c.command, c.args, err, c.problem)
			}
			continue
		}
		if err != nil || d.Release != c.release || d.Chart != c.chart {
			t.Errorf("%s %s: read as %+v, %v", c.command, c.args, d, err)
			continue
		}
		if got := strings.Join(d.DryRun().Args, " "); c.major > 2 && got != "--dry-run=server --output=json --disable-openapi-validation "+c.dryRun {
			t.Errorf("%s %s: the dry run is %s", c.command, c.args, got)
		}
		if got := strings.Join(d.Template(Capabilities{APIVersions: []string{"v1"}}, "/tmp/c", false).Args, " "); !strings.HasSuffix(got, " "+c.template) || strings.Count(got, "--set ") != strings.Count(c.template, "--set ") {
			t.Errorf("%s %s: the template is %s, wanted ... %s", c.command, c.args, got, c.template)
		}
	}
}

// TestTemplate checks the arguments that are added to the typed ones.
func TestTemplate(t *testing.T) {
	capabilities := Capabilities{KubeVersion: "v1.37.2+x", APIVersions: []string{"v1", "v1/Pod"}}
	for _, c := range []struct {
		major   int
		upgrade bool
		want    string
	}{
		{2, true, "--kube-version=1.37 --is-upgrade --api-versions=v1 --api-versions=v1/Pod --name=web --set=rbac.create=false -- /c"},
		{3, false, "--kube-version=v1.37.2 --include-crds --api-versions=v1,v1/Pod --dry-run=server --set=rbac.create=false -- web ./c"},
		{4, true, "--kube-version=v1.37.2 --is-upgrade --include-crds --api-versions=v1,v1/Pod --set=rbac.create=false -- web ./c"},
	} {
		d, err := ReadDeployment(c.major, []string{"upgrade", "web", "./c"})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(d.Template(capabilities, "/c", c.upgrade, "rbac.create=false").Args, " "); got != c.want {
			t.Errorf("Helm %d: %s\nwanted %s", c.major, got, c.want)
		}
	}
}

func TestReusesValues(t *testing.T) {
	for args, want := range map[string]bool{
		"upgrade web c": true, "upgrade web c --set a=b": false, "upgrade web c -f v --reuse-values": true, "upgrade web c --reset-values": false,
		"upgrade web c --reset-then-reuse-values --set a=b": true, "install web c": false, "upgrade web c --reuse-values --reset-values": false,
	} {
		d, err := ReadDeployment(3, strings.Fields(args))
		if err != nil || d.ReusesValues() != want {
			t.Errorf("%s: %v, %v", args, !want, err)
		}
	}
	d, err := ReadDeployment(3, strings.Fields("upgrade web c -f b -n a --reuse-values"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(d.WithValues("/a").Template(Capabilities{}, "", true).Args, " "); !strings.HasSuffix(got, "--values=/a -f b -n a -- web c") {
		t.Errorf("with the release's values: %s", got)
	}
	if got := strings.Join(d.ReleaseValues().Args, " "); got != "values --output=yaml -n a -- web" {
		t.Errorf("they are asked for by: %s", got)
	}
}

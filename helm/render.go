package helm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Deployment is an install or upgrade as it was typed.
type Deployment struct {
	Major   int
	Command string
	// Release is the release's name, empty if helm generates one.
	Release string
	// Chart is the chart's name as typed: a folder, an archive, a URL, or a name in a
	// repository.
	Chart string

	args []string
	uses []flagUse
	own  []string
	// releaseAt is the index of the word with the release's name; -1 if a flag has it, or
	// there is none.
	releaseAt int
}

// UnknownFlagError reports a flag that helm's command does not have.
type UnknownFlagError struct{ Command, Flag string }

func (e *UnknownFlagError) Error() string {
	return fmt.Sprintf("helm %s has no flag %s", e.Command, e.Flag)
}

// ReadDeployment parses helm's install or upgrade with its arguments. own are flags of
// ours, with values, which may stand among them; Value returns theirs as well.
//
// Errors: an *UnknownFlagError; another command; a missing chart or release; too many
// arguments.
func ReadDeployment(major int, args []string, own ...string) (*Deployment, error) {
	_, words, _ := deployTable(major, "install", own).scanWords(args)
	if len(words) == 0 || args[words[0]] != "install" && args[words[0]] != "upgrade" {
		return nil, errors.New("type install or upgrade, then the arguments of helm's command")
	}
	command := args[words[0]]
	args = slices.Delete(slices.Clone(args), words[0], words[0]+1)
	d := &Deployment{Major: major, Command: command, args: args, releaseAt: -1, own: own}
	uses, words, unknown := deployTable(major, command, own).scanWords(args)
	if unknown >= 0 {
		flag, _, _ := strings.Cut(args[unknown], "=")
		return nil, &UnknownFlagError{command, flag}
	}
	d.uses = uses
	if last := len(uses) - 1; last >= 0 && deployTable(major, command, own).lacksValue(uses[last]) {
		// What is appended to the arguments would become the value.
		return nil, fmt.Errorf("flag needs an argument: --%s", uses[last].name)
	}
	if d.Is("help") {
		return d, nil
	}
	named := command == "upgrade" || major > 2 && len(words) > 1 // the first word is the release's name
	want := 1
	if named {
		want = 2
	}
	switch {
	case len(words) < want && want == 2:
		return nil, errors.New("upgrade takes the release's name and the chart")
	case len(words) < want:
		return nil, errors.New("the chart is missing")
	case len(words) > want:
		return nil, fmt.Errorf("%s takes one chart, not also %q", command, args[words[want]])
	}
	d.Chart = args[words[want-1]]
	if named {
		d.releaseAt = words[0]
		d.Release = args[words[0]]
	} else if name, given := d.value("name"); given {
		d.Release = name
	}
	return d, nil
}

func deployTable(major int, command string, own []string) flagTable {
	t := deployFlagsOfHelm2(command)
	if major > 2 {
		t = deployFlags(major, command)
	}
	t.valued = append(t.valued, own...)
	return t
}

// Is reports whether one of the boolean flags of that name is set.
func (d *Deployment) Is(names ...string) bool {
	set := false
	for _, use := range d.uses {
		if slices.Contains(names, use.name) {
			set = use.isTrue()
		}
	}
	return set
}

// ServerSide reports whether helm uses server-side apply for a new release, which is Helm 4's
// default. An upgrade goes on as the release was made, unless a flag says how.
func (d *Deployment) ServerSide() bool {
	return d.Major >= 4 && d.Value("server-side") != "false"
}

// Value returns the last value of a flag, empty if it was not given.
func (d *Deployment) Value(name string) string {
	value, _ := d.value(name)
	return value
}

func (d *Deployment) value(name string) (value string, given bool) {
	for _, use := range d.uses {
		if use.name == name {
			value, given = use.value, true
		}
	}
	return value, given
}

// chartFlags say where a chart comes from.
var chartFlags = []string{"ca-file", "cert-file", "key-file", "keyring", "username", "password", "pass-credentials", "repo",
	"version", "devel", "verify", "insecure-skip-tls-verify", "plain-http"}

// renderFlags are the flags of install and upgrade that change what is rendered, and that
// helm's template has as well.
var renderFlags = map[int][]string{
	2: {"set", "set-file", "set-string", "values", "name-template"},
	3: {"set", "set-file", "set-json", "set-literal", "set-string", "values", "name-template", "generate-name", "dependency-update", "enable-dns",
		"no-hooks", "skip-crds", "skip-schema-validation", "post-renderer", "post-renderer-args", "render-subchart-notes"},
}

// globalKept are helm's global flags, which each of its commands has.
func globalKept(name string) bool {
	return name != "debug" && slices.ContainsFunc(globalFlags, func(f flag) bool { return f.name == name })
}

// flags returns the wanted flags as typed. A word of several short flags is split if only
// some are wanted.
func (d *Deployment) flags(wanted func(name string) bool) []string {
	var kept []string
	for i := 0; i < len(d.uses); {
		word := d.uses[i : i+1]
		for i++; i < len(d.uses) && d.uses[i].position == word[0].position; i++ {
			word = word[:len(word)+1]
		}
		if !slices.ContainsFunc(word, func(use flagUse) bool { return !wanted(use.name) }) {
			kept = append(kept, d.args[word[0].position:word[0].end]...)
			continue
		}
		for _, use := range word {
			switch {
			case !wanted(use.name):
			case slices.Contains(deployTable(d.Major, d.Command, nil).valued, use.name) || use.joined:
				kept = append(kept, "--"+use.name+"="+use.value)
			default:
				kept = append(kept, "--"+use.name)
			}
		}
	}
	return kept
}

// words returns the words that follow the flags: the release's name, unless a flag has
// it, and the chart.
func (d *Deployment) words() []string {
	if d.releaseAt < 0 {
		return []string{"--", d.Chart}
	}
	return []string{"--", d.Release, d.Chart}
}

// WithRelease returns the deployment with another name of its release.
func (d *Deployment) WithRelease(name string) *Deployment {
	renamed := *d
	renamed.Release = name
	return &renamed
}

// DryRun returns helm's own dry run of the deployment. It renders as the real run does,
// with the API versions and objects of the cluster, and prints the release as JSON. It is
// for Helm 3 and 4 and needs 3.13.
//
// It leaves out that helm validates objects by the API server's schemas, which the API server
// does better and sooner, but for Lists: see ValidatedDryRun.
func (d *Deployment) DryRun() Line {
	line := d.ValidatedDryRun()
	line.Args = slices.Insert(line.Args, 2, "--disable-openapi-validation")
	return line
}

// ValidatedDryRun is DryRun with all that helm validates itself.
func (d *Deployment) ValidatedDryRun() Line {
	flags := d.flags(func(name string) bool {
		return !slices.Contains([]string{"dry-run", "output", "hide-secret", "debug", "help"}, name) && !slices.Contains(d.own, name)
	})
	return Line{Command: d.Command, Args: slices.Concat([]string{"--dry-run=server", "--output=json"}, flags, d.words())}
}

// Typed returns the deployment as it was typed.
func (d *Deployment) Typed() Line {
	flags := d.flags(func(name string) bool { return !slices.Contains(d.own, name) })
	return Line{Command: d.Command, Args: append(flags, d.words()...)}
}

// Capabilities are what charts can ask about the API server.
type Capabilities struct {
	// KubeVersion is like v1.37.0.
	KubeVersion string
	// APIVersions are the served API versions, and each with its kinds: "apps/v1" and
	// "apps/v1/Deployment".
	APIVersions []string
}

// Template returns helm's template of the deployment. It renders all objects, served or
// not, including those of the chart's crds folder. chart is the chart's folder or
// archive, for Helm 2, which accepts nothing else; empty for the chart as typed. upgrade
// reports whether a release exists. set are values that come last.
func (d *Deployment) Template(c Capabilities, chart string, upgrade bool, set ...string) Line {
	args := []string{}
	if c.KubeVersion != "" {
		args = append(args, "--kube-version="+d.kubeVersion(c.KubeVersion))
	}
	if upgrade {
		args = append(args, "--is-upgrade")
	}
	if d.Major == 2 {
		for _, version := range c.APIVersions {
			args = append(args, "--api-versions="+version)
		}
		if d.Release != "" {
			args = append(args, "--name="+d.Release)
		}
	} else {
		args = append(args, "--include-crds", "--api-versions="+strings.Join(c.APIVersions, ","))
		if d.Major == 3 {
			args = append(args, "--dry-run=server") // for the function lookup; Helm 4 would refuse kinds that are not served
		}
	}
	args = append(args, d.flags(func(name string) bool {
		return slices.Contains(renderFlags[min(d.Major, 3)], name) || d.Major > 2 && slices.Contains(chartFlags, name) || globalKept(name)
	})...)
	for _, value := range set {
		args = append(args, "--set="+value)
	}
	if d.Major == 2 {
		return Line{Command: "template", Args: append(args, "--", chart)}
	}
	return Line{Command: "template", Args: append(args, d.words()...)}
}

// CRDs returns helm's template of the crds folders only, which it prints first: it asks
// no API server, and leaves out flags that do not matter for them.
func (d *Deployment) CRDs(c Capabilities) Line {
	args := []string{"--include-crds", "--kube-version=" + d.kubeVersion(c.KubeVersion), "--api-versions=" + strings.Join(c.APIVersions, ",")}
	args = append(args, d.flags(func(name string) bool {
		return slices.Contains(renderFlags[3], name) && !strings.HasPrefix(name, "post-renderer") || slices.Contains(chartFlags, name) || globalKept(name)
	})...)
	return Line{Command: "template", Args: append(args, d.words()...)}
}

// kubeVersion returns the version for helm's template: Helm 2 accepts no "v".
func (d *Deployment) kubeVersion(version string) string {
	version, _, _ = strings.Cut(version, "+")
	if d.Major == 2 {
		parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
		return strings.Join(parts[:min(2, len(parts))], ".")
	}
	return version
}

// Values returns helm's command that prints the chart's default values.
func (d *Deployment) Values(chart string) Line {
	if d.Major == 2 {
		return Line{Command: "inspect", Args: []string{"values", "--", chart}}
	}
	flags := d.flags(func(name string) bool { return slices.Contains(chartFlags, name) || globalKept(name) })
	return Line{Command: "show", Args: slices.Concat([]string{"values"}, flags, []string{"--", d.Chart})}
}

// ReusesValues reports whether an upgrade uses the values of the present release: if a
// flag asks for that, or if neither values nor --reset-values are given (helm.sh/helm/v3,
// reuseValues in pkg/action/upgrade.go).
func (d *Deployment) ReusesValues() bool {
	switch {
	case d.Command != "upgrade" || d.Is("reset-values"):
		return false
	case d.Is("reuse-values") || d.Is("reset-then-reuse-values"):
		return true
	}
	return !slices.ContainsFunc(d.uses, func(use flagUse) bool {
		return slices.Contains([]string{"set", "set-file", "set-json", "set-literal", "set-string", "values"}, use.name)
	})
}

// ReleaseValues returns helm's command that prints the values of the present release.
func (d *Deployment) ReleaseValues() Line {
	flags := d.flags(globalKept)
	return Line{Command: "get", Args: slices.Concat([]string{"values", "--output=yaml"}, flags, []string{"--", d.Release})}
}

// WithValues returns the deployment with values from a file, which come before all
// others.
func (d *Deployment) WithValues(file string) *Deployment {
	changed := *d
	changed.args = append([]string{"--values=" + file}, d.args...)
	changed.uses, _ = deployTable(d.Major, d.Command, d.own).scan(changed.args)
	return &changed
}

// Fetch returns Helm 2's command that downloads the chart into a folder.
func (d *Deployment) Fetch(folder string) Line {
	flags := d.flags(func(name string) bool { return slices.Contains(chartFlags, name) || name == "home" })
	return Line{Command: "fetch", Args: slices.Concat([]string{"--destination=" + folder}, flags, []string{"--", d.Chart})}
}

// Render returns how helm is started for another line of the same call: in the same
// context and namespace, as the same deployer.
func (d Decision) Render(line Line, environ []string, kubeconfig string) Invocation {
	line.Globals = slices.DeleteFunc(slices.Clone(d.line.Globals), func(word string) bool { return strings.HasPrefix(word, "--debug=") })
	d.line = line
	return d.Invocation(environ, kubeconfig)
}

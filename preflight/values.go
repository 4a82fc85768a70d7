package preflight

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Setting is a value of the chart that reduces the number of objects out of the tenant's reach.
type Setting struct {
	// Set is an argument of --set.
	Set string `json:"set"`
	// Left is the number of cluster-scoped objects with the setting; Of is the number without.
	Left int `json:"left"`
	Of   int `json:"of"`
}

// MaxRenders limits how often helm renders the chart in one preflight, both to judge it and to
// find settings that help.
const MaxRenders = 6

// usual are the values by which charts usually switch cluster-scoped objects off, the likeliest
// first; the first ones that a chart has are tried.
var usual = []struct{ path, off string }{
	{"rbac.create", "false"},
	{"crds.install", "false"},
	{"installCRDs", "false"},
	{"crds.enabled", "false"},
	{"crds.create", "false"},
	{"crds.keep", "false"},
	{"crd.create", "false"},
	{"crd.install", "false"},
	{"crd.enabled", "false"},
	{"createCRDs", "false"},
	{"createCRD", "false"},
	{"createCustomResource", "false"},
	{"rbac.enabled", "false"},
	{"rbac.clusterScoped", "false"},
	{"rbac.clusterScope", "false"},
	{"rbac.useClusterRole", "false"},
	{"rbac.clusterRole", "false"},
	{"rbac.clusterRole.create", "false"},
	{"rbac.createClusterRole", "false"},
	{"rbac.clusterWideAccess", "false"},
	{"rbac.cluster", "false"},
	{"rbac.namespaced", "true"},
	{"clusterRole.create", "false"},
	{"clusterRole.enabled", "false"},
	{"clusterRoleBinding.create", "false"},
	{"podSecurityPolicy.enabled", "false"},
	{"podSecurityPolicy.create", "false"},
	{"rbac.pspEnabled", "false"},
	{"psp.enabled", "false"},
	{"psp.create", "false"},
	{"admissionWebhooks.enabled", "false"},
	{"webhook.enabled", "false"},
	{"webhooks.enabled", "false"},
	{"scope.enabled", "true"},
	{"singleNamespace", "true"},
	{"namespaced", "true"},
	{"clusterScoped", "false"},
	{"priorityClass.create", "false"},
	{"priorityClass.enabled", "false"},
	{"storageClass.create", "false"},
	{"ingressClass.create", "false"},
	{"ingressClassResource.enabled", "false"},
	{"namespace.create", "false"},
	{"createNamespace", "false"},
	{"apiService.create", "false"},
}

// Settings returns the usual values that a chart and its subcharts have, as arguments of --set.
// text is the chart's default values as helm prints them. Guesses follow (SubchartSettings).
// There are at most as many as can be tried with that many renders, of which the last tries all
// together.
func Settings(text []byte, guesses []string, renders int) []string {
	var values map[string]any
	if renders < 2 || len(text) > MaxRendered || yaml.Unmarshal(text, &values) != nil {
		return nil
	}
	var found []string
	for _, one := range usual {
		for _, path := range pathsOf(values, one.path, "", 3) {
			if set := path + "=" + one.off; !slices.Contains(found, set) {
				found = append(found, set)
			}
		}
	}
	for _, set := range guesses {
		if !slices.Contains(found, set) {
			found = append(found, set)
		}
	}
	return found[:min(len(found), renders-1)]
}

// SubchartSettings returns usual values of the subcharts from which cluster-scoped objects
// come. helm prints only the default values of the chart itself, so a subchart's values show
// only by rendering. A subchart is named by its folder, which in helm is its alias if it has
// one.
func (q Question) SubchartSettings(kinds Kinds, r Rendered) []string {
	var sets []string
	for _, o := range q.outside(kinds, r) {
		switch subchart := subchartOf(o.File); {
		case subchart == "":
		case strings.HasPrefix(o.GetKind(), "ClusterRole"):
			sets = append(sets, subchart+".rbac.create=false")
		case o.GetKind() == "CustomResourceDefinition" && !o.CRDFolder:
			sets = append(sets, subchart+".crds.install=false", subchart+".installCRDs=false", subchart+".crds.enabled=false")
		case strings.HasSuffix(o.GetKind(), "WebhookConfiguration"):
			sets = append(sets, subchart+".webhook.enabled=false", subchart+".admissionWebhooks.enabled=false")
		}
	}
	slices.Sort(sets)
	return slices.Compact(sets)
}

// subchartOf returns the path to the values of a template's subchart, such as "db.metrics" for
// web/charts/db/charts/metrics/templates/x.yaml. It is empty for the chart itself, and if a
// folder's name could be read as more than one key.
func subchartOf(file string) string {
	var names []string
	parts := strings.Split(file, "/")
	for i := 1; i+1 < len(parts) && parts[i] == "charts"; i += 2 {
		if !subchartName.MatchString(parts[i+1]) {
			return ""
		}
		names = append(names, parts[i+1])
	}
	return strings.Join(names, ".")
}

// subchartName matches the keys below which a setting is looked for. A chart's author chooses
// them, and a person types the setting into a shell: a name that a shell or --set would read as
// more than a word is not used.
var subchartName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// pathsOf finds a path in values: at the root, and below keys of subcharts up to the given
// depth.
func pathsOf(values map[string]any, path, prefix string, depth int) []string {
	var found []string
	if isSwitch(values, strings.Split(path, ".")) {
		found = append(found, prefix+path)
	}
	if depth == 0 {
		return found
	}
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if inner, ok := values[name].(map[string]any); ok && subchartName.MatchString(name) && len(found) < MaxRenders {
			found = append(found, pathsOf(inner, path, prefix+name+".", depth-1)...)
		}
	}
	return found
}

func isSwitch(values map[string]any, path []string) bool {
	for _, name := range path[:len(path)-1] {
		inner, ok := values[name].(map[string]any)
		if !ok {
			return false
		}
		values = inner
	}
	_, ok := values[path[len(path)-1]].(bool)
	return ok
}

// Outside counts the cluster-scoped objects.
func (q Question) Outside(kinds Kinds, r Rendered) int { return len(q.outside(kinds, r)) }

func (q Question) outside(kinds Kinds, r Rendered) []Object {
	var found []Object
	for _, o := range r.Judged(q) {
		kind, served := kinds[o.gvk()]
		if served && !kind.Namespaced || !served && isClusterScoped(o) {
			found = append(found, o)
		}
	}
	return found
}

// isClusterScoped reports whether a kind that is not served was cluster-scoped.
func isClusterScoped(o Object) bool {
	return slices.Contains([]string{"PodSecurityPolicy", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}, o.GetKind())
}

// String returns the setting as a sentence.
func (s Setting) String() string {
	if s.Left == 0 {
		return fmt.Sprintf("with --set %s no cluster-scoped object is left, of %d", s.Set, s.Of)
	}
	return fmt.Sprintf("with --set %s %d of %d cluster-scoped objects are left", s.Set, s.Left, s.Of)
}

// LeavesOutside reports whether findings refuse cluster-scoped objects.
func LeavesOutside(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Result == Refused && f.ID == ClusterScoped })
}

// TrySettings returns the settings that help, the most helpful first; left renders with some of
// them and counts the remaining objects. If several help, all together are tried last.
func TrySettings(all int, settings []string, left func(set ...string) (int, error)) ([]Setting, error) {
	var helpful []Setting
	var sets []string
	for _, set := range settings {
		n, err := left(set)
		if err != nil {
			return nil, err
		}
		if n < all {
			helpful, sets = append(helpful, Setting{set, n, all}), append(sets, set)
		}
		if n == 0 {
			return []Setting{{set, n, all}}, nil
		}
	}
	if len(sets) > 1 {
		n, err := left(sets...)
		if err != nil {
			return nil, err
		}
		helpful = append(helpful, Setting{strings.Join(sets, ","), n, all})
	}
	slices.SortStableFunc(helpful, func(a, b Setting) int { return a.Left - b.Left })
	return helpful, nil
}

package preflight

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Plan is the result of judging the objects alone.
type Plan struct {
	Findings []Finding
	// Try are the objects to be sent to the API server.
	Try []Object
	// Definitions are the chart's own CustomResourceDefinitions, by the kinds that they define.
	Definitions map[schema.GroupKind]Object
	// Custom are the objects of kinds that the chart defines and that are not served yet.
	Custom []Object

	all map[key]Object
}

// Judge finds problems that show without the API server. The objects are those that Judged
// returned; Judge sets their namespaces.
func (q Question) Judge(kinds Kinds, objects []Object) Plan {
	p := Plan{Definitions: map[schema.GroupKind]Object{}, all: map[key]Object{}}
	for _, o := range objects {
		if o.GetKind() == "CustomResourceDefinition" {
			group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
			p.Definitions[schema.GroupKind{Group: group, Kind: kind}] = o
		}
	}
	for _, o := range objects {
		served, isServed := kinds[o.gvk()]
		_, defined := p.Definitions[o.gvk().GroupKind()]
		namespaced := served.Namespaced
		if !isServed {
			namespaced = defined && p.isNamespaced(o.gvk().GroupKind())
		}
		if isServed || defined {
			q.place(o, namespaced)
		}
		if !q.judgeNames(&p, o) {
			continue
		}
		switch {
		case isServed:
			p.Try = append(p.Try, o)
		case defined:
			p.Custom = append(p.Custom, o)
		default:
			p.Findings = append(p.Findings, kinds.judgeServed(o))
		}
	}
	return p
}

func (p Plan) isNamespaced(kind schema.GroupKind) bool {
	scope, _, _ := unstructured.NestedString(p.Definitions[kind].Object, "spec", "scope")
	return scope != "Cluster"
}

// place sets the namespace in which helm would create the object.
func (q Question) place(o Object, namespaced bool) {
	switch {
	case !namespaced:
		o.SetNamespace("")
	case o.GetNamespace() == "":
		o.SetNamespace(q.Namespace)
	}
}

// judgeNames finds objects without a name, and duplicates. It returns false if the object must
// not be sent to the API server.
func (q Question) judgeNames(p *Plan, o Object) bool {
	if o.GetName() == "" {
		why, do := q.needsName(o)
		if why != "" {
			p.Findings = append(p.Findings, refused(o, Invalid, why, do, ""))
		}
		return why == ""
	}
	if why := content.IsPathSegmentName(o.GetName()); len(why) > 0 {
		p.Findings = append(p.Findings, refused(o, Invalid, fmt.Sprintf("the name %q is none that an object can have: %s", o.GetName(), why[0]), "mend the template, or its values", ""))
		return false
	}
	k := key{o.gvk().GroupKind(), o.GetNamespace(), o.GetName()}
	before, found := p.all[k]
	p.all[k] = o
	if found && o.Hook != before.Hook && !o.CRDFolder && !before.CRDFolder && !q.ServerSide && !q.Upgrade && (o.remains() || before.remains()) {
		p.Findings = append(p.Findings, refused(o, Duplicate, fmt.Sprintf("a hook that is created first and remains has the object's name: %s renders it, too", before.File),
			"give the hook another name, or the delete policy hook-succeeded", ""))
		return false
	}
	if found && !o.Hook && !before.Hook && !o.CRDFolder && !before.CRDFolder && !q.ServerSide {
		p.Findings = append(p.Findings, refused(o, Duplicate, fmt.Sprintf("the chart has this object twice: %s renders it, too", before.File),
			"leave one of them out, by the chart's values", ""))
		return false
	}
	return true
}

// needsName returns why helm can't create an object without a name, and what to do; why is
// empty if helm can. Helm 3 and 4 look for hooks by name, Helm 3 looks for existing objects by
// name before it installs (helm.sh/helm/v3/pkg/action, existingResourceConflict), and Helm 4's
// server-side apply needs a name.
func (q Question) needsName(o Object) (why, do string) {
	const name = "give it a metadata.name in the template"
	switch {
	case o.GetGenerateName() == "":
		return "the object has no metadata.name", "mend the template, or its values"
	case q.Major < 3:
		return "", ""
	case o.Hook:
		return "helm looks for a hook by its name, and this one has generateName instead", name
	case q.ServerSide:
		return "helm's server-side apply needs a name, and the object has generateName instead", name + ", or give --server-side=false"
	case q.Major == 3:
		return "helm looks for the object by its name before it installs, and it has generateName instead", name
	}
	return "", ""
}

// Of returns the chart's own object of that kind.
func (p Plan) Of(group, kind, namespace, name string) (Object, bool) {
	o, found := p.all[key{schema.GroupKind{Group: group, Kind: kind}, namespace, name}]
	return o, found
}

// maxReleaseName is the maximum length of a release's name in each major version of Helm: the
// name is the beginning of other names, and a label (helm.sh/helm/v3/pkg/chartutil,
// ValidateReleaseName; k8s.io/helm/pkg/tiller, releaseNameMaxLen).
const maxReleaseName = 53

// JudgeRelease finds problems of the release's name; fitting is a valid name with which helm
// can render the chart anyway.
func JudgeRelease(name string) (findings []Finding, fitting string) {
	why, do := "", "use lower case letters, digits, '-' and '.'"
	switch {
	case name == "":
		return nil, name
	case len(name) > maxReleaseName:
		why = fmt.Sprintf("the release's name has %d characters, and helm's records hold %d", len(name), maxReleaseName)
		do = "choose a shorter one"
	case !isReleaseName(name):
		why = fmt.Sprintf("the release's name %q is none that helm takes", name)
	default:
		return nil, name
	}
	fitting = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
	if fitting = strings.TrimRight(fitting[:min(len(fitting), maxReleaseName)], "-"); fitting == "" {
		fitting = "release-name"
	}
	return []Finding{{ID: Name, Result: Refused, Why: why, Do: do}}, fitting
}

// isReleaseName matches the form that all versions of Helm require.
func isReleaseName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "-") != label {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
				return false
			}
		}
	}
	return true
}

package preflight

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ID names a kind of finding.
type ID string

const (
	APINotServed     ID = "api-not-served"
	ClusterScoped    ID = "cluster-scoped"
	ForeignNamespace ID = "foreign-namespace"
	Rights           ID = "rights"
	Escalation       ID = "escalation"
	Guard            ID = "guard"
	PodSecurity      ID = "pod-security"
	Quota            ID = "quota"
	LimitRange       ID = "limit-range"
	Exists           ID = "exists"
	Duplicate        ID = "duplicate"
	Name             ID = "name"
	RecordSize       ID = "record-size"
	ServiceAccount   ID = "service-account"
	PriorityClass    ID = "priority-class"
	Admission        ID = "admission"
	Invalid          ID = "invalid"
	Helm             ID = "helm"
	NotTried         ID = "not-tried"
)

// Result is the severity of a finding.
type Result string

const (
	// Refused: the installation will fail.
	Refused Result = "refused"
	// Untried: it could not be checked.
	Untried Result = "not tried"
	// Warned: the installation will succeed, with a consequence that somebody should know.
	Warned Result = "warning"
)

// Finding is one thing that prevents the installation, or that could not be checked.
type Finding struct {
	ID     ID     `json:"id"`
	Result Result `json:"result"`
	// The object; empty if the finding is about the release.
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
	// File is the template of the object.
	File string `json:"file,omitempty"`
	// Why is the problem, Do the remedy.
	Why string `json:"why"`
	Do  string `json:"do,omitempty"`
	// Answer is the message of the API server or helm.
	Answer string `json:"answer,omitempty"`
}

// Object returns the name of the finding's object.
func (f Finding) Object() string {
	if f.Kind == "" {
		return "release"
	}
	return f.Kind + " " + cmp.Or(f.Name, "?")
}

func about(o Object, id ID, result Result, why, do, answer string) Finding {
	return Finding{ID: id, Result: result, APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), File: o.File,
		Why: why, Do: do, Answer: answer}
}

func refused(o Object, id ID, why, do, answer string) Finding {
	return about(o, id, Refused, why, do, answer)
}

// Report is the result of a preflight.
type Report struct {
	// Result is fits, refused or untried.
	Result    string `json:"result"`
	Tenant    string `json:"tenant"`
	Command   string `json:"command"`
	Release   string `json:"release"`
	Namespace string `json:"namespace"`
	Chart     string `json:"chart"`
	Deployer  string `json:"deployer"`
	Helm      string `json:"helm"`
	// Objects is the number of objects that were judged.
	Objects  int       `json:"objects"`
	Findings []Finding `json:"findings"`
	// Values are settings of the chart that reduce the number of findings.
	Values []Setting `json:"values"`
}

// Sum orders the findings, removes duplicates, and sets the result of the report.
func (r *Report) Sum() {
	rank := []Result{Refused, Untried, Warned}
	order := func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, a.Result), slices.Index(rank, b.Result)), cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.File, b.File), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Why, b.Why), cmp.Compare(a.Answer, b.Answer))
	}
	slices.SortFunc(r.Findings, order)
	r.Findings = slices.CompactFunc(r.Findings, func(a, b Finding) bool { return order(a, b) == 0 })
	r.Result = "fits"
	switch {
	case r.Has(Refused):
		r.Result = "refused"
	case r.Has(Untried):
		r.Result = "untried"
	}
}

// Has reports whether there is a finding with that result.
func (r *Report) Has(result Result) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Result == result })
}

// Question describes the installation and who makes it.
type Question struct {
	// Major is the major version of helm.
	Major int
	// Upgrade says that a release of the name exists.
	Upgrade bool
	// Release is empty if helm generates a name.
	Release, Namespace string
	// Namespaces are the tenant's namespaces.
	Namespaces    []string
	AllNamespaces bool
	// Deployer is the user that helm acts as.
	Deployer string
	// Flags of helm's command line.
	NoHooks, SkipCRDs, TakeOwnership, CreateNamespace bool
	// ServerSide says that helm uses server-side apply.
	ServerSide bool
	// ForceConflicts says that helm takes over fields of other managers.
	ForceConflicts bool
	// Searched says that helm's dry run of an install has looked for the release's objects and
	// found none that exist and belong to somebody else.
	Searched bool
}

// Has reports whether a namespace is the tenant's.
func (q Question) Has(namespace string) bool {
	return q.AllNamespaces || slices.Contains(q.Namespaces, namespace)
}

// Served is a kind that the API server serves.
type Served struct{ Namespaced bool }

// Kinds are the kinds that the API server serves.
type Kinds map[schema.GroupVersionKind]Served

// versionsOf returns the API versions in which a kind is served, the preferred one first:
// stable before beta.
func (k Kinds) versionsOf(group, kind string) []string {
	var versions []string
	for gvk := range k {
		if gvk.Group == group && gvk.Kind == kind {
			versions = append(versions, gvk.Version)
		}
	}
	slices.SortFunc(versions, func(a, b string) int {
		unstable := func(v string) int { return strings.Count(v, "alpha")*2 + strings.Count(v, "beta") }
		return cmp.Or(cmp.Compare(unstable(a), unstable(b)), cmp.Compare(len(b), len(a)), cmp.Compare(b, a))
	})
	return versions
}

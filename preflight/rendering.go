package preflight

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"helm-tenant/visible"
)

// Attempt is the result of one run of helm.
type Attempt struct {
	Text []byte
	// Failed says that helm failed.
	Failed bool
	Said   string
}

// Rendering is the set of objects that a chart renders in this cluster.
type Rendering struct {
	Rendered
	// Findings are those about the chart as a whole.
	Findings []Finding
	// Name is the release's name; empty if it is not known.
	Name string
	// Version is the revision that the release would have; 0 if it is not known.
	Version int
	// ApplyMethod is the method by which Helm 4 writes the objects, "ssa" or "csa"; empty if it
	// is not known.
	ApplyMethod string
	// unserved are the kinds that helm reported as not served, each with the name of one object;
	// nil if it reported nothing about kinds.
	unserved map[schema.GroupVersionKind]string
	// helmSays is helm's refusal, which other findings may explain.
	helmSays string
}

// RenderError says that helm can't render the chart; it has helm's own message.
type RenderError struct{ Said string }

func (e *RenderError) Error() string { return e.Said }

// helm's refusals after rendering, which end its dry run before it prints anything
var (
	notServed = regexp.MustCompile(`(?:name: "([^"]*)" (?:namespace: "[^"]*" )?from "[^"]*": )?no matches for kind "([^"]+)" in version "([^"]+)"`)
	notBuilt  = "unable to build kubernetes objects from"
	conflicts = regexp.MustCompile(`(?i)unable to continue with (?:install|update)`)
)

// RenderingOfTemplate reads the output of `helm template` of Helm 2, which has no crds folders.
//
// The error is a *RenderError, or says that there is more than can be judged.
func RenderingOfTemplate(plain *Attempt) (Rendering, error) {
	if plain.Failed {
		return Rendering{}, &RenderError{plain.Said}
	}
	rendered, err := ParseTemplate(2, plain.Text)
	return Rendering{Rendered: rendered}, err
}

// RenderingOfRefused combines two outputs. exact is helm's own dry run, which knows the cluster
// but printed nothing because it refused the chart. plain is the output of helm template with
// the crds folders, which prints everything and assumes that all APIs known to helm are served;
// it is nil if helm template did not run.
//
// The error is a *RenderError, or says that there is more than can be judged.
func RenderingOfRefused(exact, plain *Attempt) (Rendering, error) {
	if plain == nil || plain.Failed {
		return Rendering{}, &RenderError{exact.Said}
	}
	rendered, err := ParseTemplate(3, plain.Text)
	r := Rendering{Rendered: rendered}
	if err != nil {
		return r, err
	}
	message := visible.Excerpt(strings.TrimPrefix(strings.TrimSpace(exact.Said), "Error: "))
	r.helmSays = message
	switch {
	case strings.Contains(exact.Said, notBuilt):
		r.unserved = map[schema.GroupVersionKind]string{}
		for _, match := range notServed.FindAllStringSubmatch(exact.Said, -1) {
			if gv, err := schema.ParseGroupVersion(match[3]); err == nil {
				r.unserved[gv.WithKind(match[2])] = match[1]
			}
		}
	case conflicts.MatchString(exact.Said):
		r.unserved = map[schema.GroupVersionKind]string{}
	default:
		r.helmSays = ""
		r.Findings = append(r.Findings, helmRefuses(message))
	}
	r.size(plain.Text)
	return r, nil
}

// RenderingAlone reads the output of helm template with the crds folders, for a chart that does
// not depend on the cluster. simple is false where helm's own dry run could refuse what the API
// server's dry runs do not show: server is the API server's version.
func RenderingAlone(plain *Attempt, server string) (r Rendering, simple bool) {
	if plain.Failed {
		return r, false
	}
	rendered, err := ParseTemplate(3, plain.Text)
	if err != nil || len(rendered.Broken) > 0 {
		return r, false
	}
	r.Rendered = rendered
	r.size(plain.Text)
	unreadable := slices.ContainsFunc(r.Objects, func(o Object) bool { return !o.readableByHelm() })
	return r, !unreadable && len(r.Findings) == 0 && !r.ValidatedByHelm(server)
}

// readableByHelm reports whether the object has a name, by which helm reads it before it creates
// it, and metadata of the right types: helm refuses a label that is a number, for example
// (k8s.io/cli-runtime/pkg/resource, Mapper).
func (o Object) readableByHelm() bool {
	text, err := json.Marshal(o.Object)
	var known metav1.PartialObjectMetadata
	return err == nil && json.Unmarshal(text, &known) == nil && known.Name != ""
}

// RenderingOfDryRun reads the output of helm's own dry run. crds is the output of helm template
// with the crds folders, which the dry run omits; nil if there are none, or if the command
// ignores them.
//
// The error says that the dry run printed no release, or more than can be judged.
func RenderingOfDryRun(exact, crds *Attempt) (Rendering, error) {
	dump, rendered, err := ParseDump(exact.Text)
	r := Rendering{Rendered: rendered, Name: dump.Name, Version: dump.Version, ApplyMethod: dump.ApplyMethod}
	if err != nil {
		return r, err
	}
	r.size(exact.Text)
	switch {
	case crds == nil:
	case crds.Failed:
		r.Findings = append(r.Findings, Finding{ID: NotTried, Result: Untried, Why: "whether the chart has a crds folder is not known: helm template fails",
			Do: "look with: helm show crds", Answer: visible.Excerpt(crds.Said)})
	default:
		all, err := ParseTemplate(3, crds.Text)
		if err != nil {
			return r, err
		}
		for _, o := range all.Objects {
			if o.CRDFolder {
				r.Objects = append(r.Objects, o)
			}
		}
	}
	return r, nil
}

// ValidatedByHelm reports whether helm validates some of the objects itself: lists, and on API
// servers before 1.25, which check no fields, all objects. version is the API server's.
func (r *Rendering) ValidatedByHelm(server string) bool {
	v, err := version.ParseGeneric(server)
	return r.Lists || err == nil && v.LessThan(fieldValidation)
}

// fieldValidation is the version of Kubernetes since which an API server refuses fields that a
// kind has not, where it is asked to.
var fieldValidation = version.MustParseGeneric("1.25")

// Validated adds helm's refusal of lists in its dry run with validation. helm has the API
// server validate objects, but validates lists itself: it refuses fields that are not in the
// schema, and reads the cluster's CustomResourceDefinitions if it does not know the list's kind
// (k8s.io/kubectl/pkg/validation and k8s.io/cli-runtime/pkg/resource, HasSupport).
func (r *Rendering) Validated(validated *Attempt) {
	if !validated.Failed {
		return
	}
	f := helmRefuses(visible.Excerpt(strings.TrimPrefix(strings.TrimSpace(validated.Said), "Error: ")))
	if r.Lists {
		f.Do = "let the template print the items of its lists as documents of their own, or do what helm says"
	}
	r.Findings = append(r.Findings, f)
}

// Prune removes objects that helm template renders and helm in this cluster does not: those of
// kinds that are not served, if helm's validation of the cluster reported nothing about them. It
// adds those that only helm in this cluster renders, as far as helm's message names them: a
// template that asks which APIs there are prints another version here.
func (r *Rendering) Prune(kinds Kinds) {
	if r.unserved == nil {
		return
	}
	rendered := map[schema.GroupVersionKind]bool{}
	r.Objects = slices.DeleteFunc(r.Objects, func(o Object) bool {
		rendered[o.gvk()] = true
		_, served := kinds[o.gvk()]
		_, reported := r.unserved[o.gvk()]
		return !served && !o.Hook && !o.CRDFolder && !reported
	})
	missing := slices.DeleteFunc(slices.Collect(maps.Keys(r.unserved)), func(gvk schema.GroupVersionKind) bool { return rendered[gvk] })
	slices.SortFunc(missing, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	for _, gvk := range missing {
		object := &unstructured.Unstructured{Object: map[string]any{}}
		object.SetGroupVersionKind(gvk)
		object.SetName(r.unserved[gvk])
		r.Objects = append(r.Objects, Object{Unstructured: object})
	}
}

// Unexplained adds helm's own refusal if no other finding explains it. A refusal because the
// API server did not answer is no finding about the chart.
func (r *Rendering) Unexplained(findings []Finding) []Finding {
	switch {
	case r.helmSays == "" || slices.ContainsFunc(findings, func(f Finding) bool { return f.Result == Refused }):
		return findings
	case slices.ContainsFunc(findings, func(f Finding) bool { return f.ID == NotTried && f.Why == noAnswer }):
		return append(findings, Finding{ID: NotTried, Result: Untried, Why: "helm's own dry run failed: " + r.helmSays, Do: "try again", Answer: r.helmSays})
	}
	return append(findings, helmRefuses(r.helmSays))
}

func helmRefuses(message string) Finding {
	return Finding{ID: Helm, Result: Refused, Why: "helm itself refuses it: " + message, Do: "do what helm says", Answer: message}
}

// maxSecret is the maximum size of a Secret (k8s.io/api/core/v1, MaxSecretSize).
const maxSecret = 1 << 20

// size finds a release record that is too large: the release as JSON, compressed, has to fit
// into a Secret. The output of helm template is smaller than that, so it only shows a record
// that is too large by itself.
func (r *Rendering) size(text []byte) {
	if len(text) < maxSecret/2 {
		return
	}
	packed := packedSize(text)
	if packed > maxSecret {
		r.Findings = append(r.Findings, Finding{ID: RecordSize, Result: Refused,
			Why: fmt.Sprintf("helm's record of the release takes %d bytes, and a Secret holds %d", packed, maxSecret),
			Do:  "make the chart smaller: large files and CustomResourceDefinitions do not belong in its templates"})
	}
}

func packedSize(text []byte) int {
	var packed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return 0
	}
	if _, err := writer.Write(text); err != nil {
		return 0
	}
	if err := writer.Close(); err != nil {
		return 0
	}
	return base64.StdEncoding.EncodedLen(packed.Len())
}

// Record returns the Secret in which helm stores the release
// (helm.sh/helm/v3/pkg/storage/driver, newSecretsObject).
func (q Question) Record(version int) Object {
	name := fmt.Sprintf("sh.helm.release.v1.%s.v%d", q.Release, max(version, 1))
	return Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
		"metadata": map[string]any{"name": name, "namespace": q.Namespace, "labels": map[string]any{
			"name": q.Release, "owner": "helm", "status": "pending-install", "version": fmt.Sprint(max(version, 1))}},
	}}, File: recordFile}
}

// recordFile replaces the template's name in findings about helm's record.
const recordFile = "(helm's record)"

// Package preflight judges whether a chart can be installed in a tenant. It uses the output of
// helm, the known facts about the tenant and the API server, and the API server's answers to
// dry runs. The package itself sends no requests.
package preflight

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"helm-tenant/visible"
)

const (
	// MaxRendered limits helm's output: many times the content of a release record, which is at
	// most 1 MiB compressed.
	MaxRendered = 32 << 20
	// maxObjects limits the number of objects that are judged.
	maxObjects = 5000
)

// Object is a rendered object.
type Object struct {
	*unstructured.Unstructured
	// File is the template of the object, as helm names it: CHART/templates/x.yaml.
	File string
	// Hook says that the object is a hook: created for an event of the release, and not part of
	// it.
	Hook bool
	// CRDFolder says that the object is in a chart's crds folder, which helm installs first and
	// never changes.
	CRDFolder bool
	// InList says that it is an item of a list, which helm validates itself.
	InList bool
	// notes are the annotations of a hook's document, which may be a List.
	notes map[string]string
}

// annotations of helm's (helm.sh/helm/v3/pkg/release).
const (
	annotationHook         = "helm.sh/hook"
	annotationDeletePolicy = "helm.sh/hook-delete-policy"
	annotationRelease      = "meta.helm.sh/release-name"
	annotationNamespace    = "meta.helm.sh/release-namespace"
	labelManagedBy         = "app.kubernetes.io/managed-by"
)

func (o Object) events() []string { return words(o.notes[annotationHook]) }

// Replaces reports whether helm deletes an existing hook of that name before it creates this
// one.
func (o Object) Replaces() bool {
	policies := words(o.notes[annotationDeletePolicy])
	return len(policies) == 0 || slices.Contains(policies, "before-hook-creation")
}

// remains reports whether the object is a hook that helm creates before the objects of a new
// release, and does not delete after it.
func (o Object) remains() bool {
	return o.Hook && slices.Contains(o.events(), "pre-install") && !slices.Contains(words(o.notes[annotationDeletePolicy]), "hook-succeeded")
}

// words splits a list at its commas.
func words(list string) []string {
	var all []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.ToLower(strings.TrimSpace(word)); word != "" {
			all = append(all, word)
		}
	}
	return all
}

func isCRDFile(name string) bool {
	parts := strings.Split(name, "/")
	return len(parts) > 2 && slices.Contains(parts[1:], "crds") && !slices.Contains(parts[1:], "templates")
}

func (o Object) gvk() schema.GroupVersionKind { return o.GroupVersionKind() }

// key identifies an object within a chart.
type key struct {
	schema.GroupKind
	namespace, name string
}

// Rendered is the parsed output of helm.
type Rendered struct {
	Objects []Object
	// Broken are documents that are not objects: helm would refuse them.
	Broken []Finding
	// Lists says that a document has objects as items of a list.
	Lists bool
}

// ParseTemplate reads the output of helm template. With Helm 3 and 4 it begins with the files
// of the crds folders (--include-crds). Only the beginning counts as such, since a template may
// print a comment that names a file of a crds folder.
func ParseTemplate(major int, text []byte) (Rendered, error) {
	return parseStream(text, stream{hooks: true, crds: major > 2})
}

// stream says which special documents may occur among the objects of a release: hooks, and
// files of crds folders.
type stream struct{ hooks, crds bool }

// parseStream reads a stream of YAML documents as helm prints it, in which a comment names
// the template of each. The error says that there is more than can be judged.
func parseStream(text []byte, s stream) (Rendered, error) {
	var r Rendered
	file, inCRDs := "", s.crds
	for _, document := range documents(text) {
		// A template file may render several documents; old versions of helm name the file only
		// for the first.
		if name, found := sourceOf(document); found {
			file = name
			inCRDs = inCRDs && isCRDFile(file)
		}
		before := len(r.Objects)
		if err := r.add(document, file, s.hooks && !(inCRDs && file != "")); err != nil {
			return r, err
		}
		for i := before; inCRDs && file != "" && i < len(r.Objects); i++ {
			r.Objects[i].CRDFolder = true
		}
	}
	return r, nil
}

// documents splits a stream at its separators: lines that begin with three dashes.
func documents(text []byte) [][]byte {
	var all [][]byte
	start, offset := 0, 0
	for offset < len(text) {
		end := len(text)
		if i := bytes.IndexByte(text[offset:], '\n'); i >= 0 {
			end = offset + i + 1
		}
		if line := text[offset:end]; bytes.HasPrefix(line, []byte("---")) && (len(line) == 3 || strings.ContainsRune(" \t\r\n", rune(line[3]))) {
			all = append(all, text[start:offset])
			start = offset + 3
		}
		offset = end
	}
	return append(all, text[start:])
}

// sourceOf reads helm's comment at the head of a document.
func sourceOf(document []byte) (string, bool) {
	head, _, _ := bytes.Cut(bytes.TrimSpace(document), []byte("\n"))
	name, found := bytes.CutPrefix(head, []byte("# Source: "))
	return strings.TrimSpace(string(name)), found
}

// Hook adds a hook's manifest, of the template file.
func (r *Rendered) Hook(file, manifest string) error {
	for _, document := range documents([]byte(manifest)) {
		if err := r.add(document, file, true); err != nil {
			return err
		}
	}
	return nil
}

// add adds the objects of a document. If hooks is set, a document with a hook's annotation is a
// hook; the items of a List are what the List is.
func (r *Rendered) add(document []byte, file string, hooks bool) error {
	text, err := yaml.YAMLToJSON(document)
	if err == nil && bytes.Equal(text, []byte("null")) {
		return nil // nothing but comments
	}
	var body map[string]any
	if err == nil {
		err = unmarshalNumbers(text, &body)
	}
	if err != nil {
		r.broken(file, "", "is no YAML object: "+visible.Excerpt(err.Error()))
		return nil
	}
	object := &unstructured.Unstructured{Object: body}
	var notes map[string]string
	if hooks && object.GetAnnotations()[annotationHook] != "" {
		notes = object.GetAnnotations()
	}
	return r.addObject(object, Object{File: file, Hook: notes != nil, notes: notes})
}

// unmarshalNumbers reads JSON with whole numbers as int64, as unstructured objects have
// them.
func unmarshalNumbers(text []byte, into *map[string]any) error {
	var object unstructured.Unstructured
	err := object.UnmarshalJSON(withKind(text))
	if err != nil {
		return err
	}
	*into = object.Object
	if (*into)["kind"] == missingKind {
		delete(*into, "kind")
	}
	return nil
}

// missingKind stands for the kind of a document that has none, which the reader of
// unstructured objects refuses without saying which it was.
const missingKind = "\x00"

func withKind(text []byte) []byte {
	var head struct {
		Kind any `json:"kind"`
	}
	if json.Unmarshal(text, &head) == nil && (head.Kind == nil || head.Kind == "") && bytes.HasPrefix(text, []byte("{")) {
		rest := bytes.TrimPrefix(text, []byte("{"))
		separator := ","
		if bytes.HasPrefix(rest, []byte("}")) {
			separator = ""
		}
		return slices.Concat([]byte(`{"kind":"\u0000"`+separator), rest)
	}
	return text
}

func (r *Rendered) addObject(object *unstructured.Unstructured, from Object) error {
	kind, hasKind := object.Object["kind"].(string)
	version, hasVersion := object.Object["apiVersion"].(string)
	switch {
	case len(object.Object) == 0:
		return nil
	case !hasKind || kind == "" || !hasVersion || version == "":
		r.broken(from.File, kind, "has no apiVersion or no kind")
		return nil
	case len(r.Objects) >= maxObjects:
		return fmt.Errorf("the chart renders more than %d objects, and no more are judged", maxObjects)
	}
	if items, isList := object.Object["items"].([]any); isList && strings.HasSuffix(kind, "List") {
		r.Lists, from.InList = true, true
		for _, item := range items {
			body, isObject := item.(map[string]any)
			if !isObject {
				r.broken(from.File, kind, "holds an item that is no object")
				continue
			}
			inferKind(body, version, kind)
			if err := r.addObject(&unstructured.Unstructured{Object: body}, from); err != nil {
				return err
			}
		}
		return nil
	}
	from.Unstructured = object
	r.Objects = append(r.Objects, from)
	return nil
}

// inferKind sets the kind and version of an item of a typed list, such as ConfigMapList, if the
// item has none, as clients do (k8s.io/apimachinery/pkg/apis/meta/v1/unstructured,
// decodeToList).
func inferKind(item map[string]any, listVersion, listKind string) {
	kind, _ := item["kind"].(string)
	version, _ := item["apiVersion"].(string)
	if itemKind := strings.TrimSuffix(listKind, "List"); itemKind != "" && (kind == "" || version == "") {
		item["kind"], item["apiVersion"] = itemKind, listVersion
	}
}

func (r *Rendered) broken(file, kind, why string) {
	r.Broken = append(r.Broken, Finding{ID: Invalid, Result: Refused, File: file, Kind: kind, Why: "the document " + why, Do: "mend the template, or its values"})
}

// Judged returns the objects that the command creates: those of the release, of the crds folder
// if the command installs it, and the hooks for the command's own events. Objects without a
// namespace get the release's.
func (r Rendered) Judged(q Question) []Object {
	var judged []Object
	for _, o := range r.Objects {
		switch {
		case o.CRDFolder && (q.Upgrade || q.SkipCRDs):
			continue
		case o.Hook && !q.runs(o.events()):
			continue
		}
		judged = append(judged, o)
	}
	return judged
}

// runs reports whether the command runs hooks of one of these events. Helm 2 has hooks
// for CRDs.
func (q Question) runs(events []string) bool {
	if q.NoHooks {
		return false
	}
	own := []string{"pre-install", "post-install"}
	if q.Upgrade {
		own = []string{"pre-upgrade", "post-upgrade"}
	}
	if q.Major == 2 && !q.Upgrade {
		own = append(own, "crd-install")
	}
	return slices.ContainsFunc(events, func(event string) bool { return slices.Contains(own, event) })
}

// Dump is helm's release as its dry run prints it in JSON
// (helm.sh/helm/v4/pkg/release/v1, Release).
type Dump struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Version   int    `json:"version"`
	Manifest  string `json:"manifest"`
	// ApplyMethod is "ssa" if Helm 4 writes the objects by server-side apply, "csa" if not.
	ApplyMethod string `json:"apply_method"`
	Hooks       []struct {
		Path     string `json:"path"`
		Manifest string `json:"manifest"`
	} `json:"hooks"`
}

// ParseDump reads helm's release and its rendered objects. It fails if the text is not a
// release, or contains more than can be judged.
func ParseDump(text []byte) (Dump, Rendered, error) {
	var d Dump
	// helm may print other lines before the release.
	if start := bytes.IndexByte(text, '{'); start > 0 && bytes.HasSuffix(text[:start], []byte("\n")) {
		text = text[start:]
	}
	if err := json.Unmarshal(text, &d); err != nil || d.Name == "" {
		return d, Rendered{}, cmp.Or(err, errors.New("helm's dry run printed no release"))
	}
	r, err := parseStream([]byte(d.Manifest), stream{}) // helm has taken the hooks out
	for _, hook := range d.Hooks {
		if err == nil {
			err = r.Hook(hook.Path, hook.Manifest)
		}
	}
	return d, r, err
}

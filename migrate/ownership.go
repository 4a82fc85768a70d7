package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object is an object in the manifest of a release.
type Object struct {
	Resource
	// Namespace is the one in the manifest, empty if there is none.
	Namespace string
	// Kept reports whether helm leaves the object when it deletes the release.
	Kept bool
}

// String returns the object's name, with its namespace if it has one.
func (o Object) String() string {
	name := cmp.Or(o.Name, "without a name")
	if o.Namespace == "" {
		return o.Kind + " " + name
	}
	return fmt.Sprintf("%s %s in namespace %s", o.Kind, name, o.Namespace)
}

type manifestObject struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace string
		Annotations     map[string]any
	}
	Items []manifestObject
}

// Objects returns the objects of a manifest, those within a List one by one, as helm
// applies them (k8s.io/cli-runtime, resource.FlattenListVisitor). Documents that are no
// objects are left out.
func Objects(manifest string) []Object {
	var objects []Object
	for document := range strings.SplitSeq("\n"+manifest, "\n---") {
		var head manifestObject
		if short, ok := headOf(document); ok {
			if plain, ok := plainHead(short); ok {
				objects = plain.appendTo(objects)
				continue
			}
			if yaml.Unmarshal([]byte(short), &head) == nil {
				objects = head.appendTo(objects)
				continue
			}
		}
		head = manifestObject{}
		if yaml.Unmarshal([]byte(document), &head) == nil {
			objects = head.appendTo(objects)
		}
	}
	return objects
}

// headOf returns the lines of a YAML document that belong to the fields of
// manifestObject: parsing the whole document takes a thousand times as long. ok is false
// if the document must be parsed as a whole. It must be unless it is a block mapping with
// unique plain keys, as nearly all templates write it, and has nothing with which a YAML
// library could see other lines: a line break other than a line feed, or a quote or
// bracket that is not closed on its line. Whoever writes a release record writes its
// documents.
func headOf(document string) (head string, ok bool) {
	if strings.ContainsFunc(strings.ReplaceAll(document, "\r\n", "\n"), notPlain) {
		return "", false
	}
	var kept strings.Builder
	seen := map[string]bool{}
	keeps := false
	for line := range strings.Lines(document) {
		switch {
		case line[0] == '#', strings.TrimSpace(line) == "":
		case line[0] == ' ' && strings.HasPrefix(strings.TrimLeft(line, " "), "#") && len(seen) == 0:
			continue // content after the separator on its line
		case line[0] == ' ' || strings.HasPrefix(line, "- "):
			if len(seen) == 0 {
				return "", false
			}
		default:
			key, rest, found := strings.Cut(line, ":")
			if !found || !isPlainKey(key) || rest != "" && !strings.ContainsRune(" \r\n", rune(rest[0])) || seen[strings.ToLower(key)] {
				return "", false
			}
			seen[strings.ToLower(key)] = true
			keeps = slices.ContainsFunc(headFields, func(field string) bool { return strings.EqualFold(field, key) })
		}
		if keeps {
			if !closed(line) {
				return "", false
			}
			kept.WriteString(line)
		}
	}
	head = kept.String()
	return head, !strings.Contains(head, "*") // an alias may refer to a line that was left out
}

// notPlain reports whether a character is neither printable ASCII nor a line feed. YAML
// breaks lines at other characters as well.
func notPlain(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }

// closed reports whether all quotes and brackets of a line are in pairs.
func closed(line string) bool {
	count := func(c string) int { return strings.Count(line, c) }
	return count(`"`)%2 == 0 && count(`'`)%2 == 0 && count("{") == count("}") && count("[") == count("]")
}

var headFields = []string{"apiVersion", "kind", "metadata", "items"}

func isPlainKey(key string) bool {
	return key != "" && strings.IndexFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && !('a' <= r && r <= 'z') && !('A' <= r && r <= 'Z') && !('0' <= r && r <= '9')
	}) < 0
}

func (m manifestObject) appendTo(objects []Object) []Object {
	switch {
	case m.Kind == "":
		return objects
	case strings.HasSuffix(m.Kind, "List") && m.Metadata.Name == "":
		for _, item := range m.Items {
			objects = item.appendTo(objects)
		}
		return objects
	}
	// Helm compares it in this way (helm.sh/helm/v4/pkg/action, filterManifestsToKeep).
	policy, _ := m.Metadata.Annotations["helm.sh/resource-policy"].(string)
	return append(objects, Object{
		Resource:  Resource{m.APIVersion, m.Kind, m.Metadata.Name},
		Namespace: m.Metadata.Namespace,
		Kept:      strings.ToLower(strings.TrimSpace(policy)) == "keep",
	})
}

// Owner is a release as its objects name it. Since Helm 4.3 uninstall deletes only
// objects with this ownership (helm.sh/helm/v4/pkg/action, checkOwnership).
type Owner struct{ Name, Namespace string }

const (
	labelManagedBy      = "app.kubernetes.io/managed-by"
	managedByHelm       = "Helm"
	annotationRelease   = "meta.helm.sh/release-name"
	annotationNamespace = "meta.helm.sh/release-namespace"
)

// Ownership is the relation of an object to a release.
type Ownership int

const (
	// Unowned: the object names no release, or this one incompletely.
	Unowned Ownership = iota
	// Owned: the object names this release.
	Owned
	// OwnedByOther: the object names another release.
	OwnedByOther
)

// Ownership returns the relation of an object with these labels and annotations. The
// label alone names no release: charts for Helm 2 set it to "Tiller".
func (o Owner) Ownership(labels, annotations map[string]string) Ownership {
	name, namespace := annotations[annotationRelease], annotations[annotationNamespace]
	switch {
	case name != "" && name != o.Name, namespace != "" && namespace != o.Namespace:
		return OwnedByOther
	case name == "", namespace == "", labels[labelManagedBy] != managedByHelm:
		return Unowned
	}
	return Owned
}

// Metadata returns the labels and annotations with which an object names the release.
func (o Owner) Metadata() (labels, annotations map[string]string) {
	return map[string]string{labelManagedBy: managedByHelm},
		map[string]string{annotationRelease: o.Name, annotationNamespace: o.Namespace}
}

// OwnerOf returns the release in an object's annotations in a readable form.
func OwnerOf(annotations map[string]string) string {
	return fmt.Sprintf("%s in namespace %s", annotations[annotationRelease], annotations[annotationNamespace])
}

// plainHead reads a head (headOf) with only an API version, kind, name, namespace and labels,
// all of them plain scalars, as most objects of a release have: that takes a tenth of the time
// of a YAML library, and a manifest may have hundreds of objects. ok is false for any other
// head.
func plainHead(head string) (object manifestObject, ok bool) {
	seen := map[string]bool{}
	block := "" // the mapping that the line before belongs to
	for line := range strings.Lines(head) {
		text := strings.TrimRight(line, " \r\n")
		trimmed := strings.TrimLeft(text, " ")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(trimmed, ":")
		if !found || value != "" && value[0] != ' ' {
			return object, false
		}
		value = strings.TrimLeft(value, " ")
		var into *string
		switch indent := len(text) - len(trimmed); {
		case indent == 0:
			block = key
			into = map[string]*string{"apiVersion": &object.APIVersion, "kind": &object.Kind}[key]
		case indent == 2 && (block == "metadata" || block == "labels"):
			block = "metadata"
			if key == "labels" {
				block = key
			}
			into = map[string]*string{"name": &object.Metadata.Name, "namespace": &object.Metadata.Namespace}[key]
			key = "metadata." + key
		case indent == 4 && block == "labels" && isPlainLabel(key) && isPlainLabel(unquoted(value)):
			continue
		default:
			return object, false
		}
		opens := value == "" && (key == "metadata" || key == "metadata.labels")
		if seen[key] || !opens && (into == nil || !isPlainText(value)) {
			return object, false
		}
		seen[key] = true
		if into != nil {
			*into = value
		}
	}
	return object, true
}

// unquoted returns a value without the quotes around it.
func unquoted(value string) string {
	if len(value) > 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// notTexts are words that YAML reads as something else than a text.
var notTexts = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

func isPlainText(value string) bool {
	return isPlainLabel(value) && value[0] >= 'A' && !slices.Contains(notTexts, strings.ToLower(value))
}

// isPlainLabel reports whether a key or value is one of a label, unquoted.
func isPlainLabel(value string) bool {
	return value != "" && strings.IndexFunc(value, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && r != '/' && !('a' <= r && r <= 'z') && !('A' <= r && r <= 'Z') && !('0' <= r && r <= '9')
	}) < 0 && value[0] != '-' && value[0] != '.' && value[0] != '/'
}

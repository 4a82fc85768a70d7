package migrate

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object is an object in the manifest of a release.
type Object struct {
	Resource
	// Namespace is what the manifest says; empty where it says none.
	Namespace string
	// Kept says that helm leaves the object when it deletes the release.
	Kept bool
}

// String names the object, and its namespace where it has one.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return fmt.Sprintf("%s %s in namespace %s", o.Kind, o.Name, o.Namespace)
}

// manifestObject is what is read of an object in a manifest.
type manifestObject struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace string
		Annotations     map[string]any
	}
	Items []manifestObject
}

// Objects returns the objects of a manifest, those within a List one by one, as helm
// applies them (k8s.io/cli-runtime, resource.FlattenListVisitor). What is no object is
// left out.
func Objects(manifest string) []Object {
	var objects []Object
	for document := range strings.SplitSeq("\n"+manifest, "\n---") {
		var head manifestObject
		if yaml.Unmarshal([]byte(document), &head) == nil {
			objects = head.appendTo(objects)
		}
	}
	return objects
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
	// As helm compares it (helm.sh/helm/v4/pkg/action, filterManifestsToKeep).
	policy, _ := m.Metadata.Annotations["helm.sh/resource-policy"].(string)
	return append(objects, Object{
		Resource:  Resource{m.APIVersion, m.Kind, m.Metadata.Name},
		Namespace: m.Metadata.Namespace,
		Kept:      strings.ToLower(strings.TrimSpace(policy)) == "keep",
	})
}

// Owner is a release as the objects that belong to it name it. Since Helm 4.3 uninstall
// deletes only objects with this ownership (helm.sh/helm/v4/pkg/action, checkOwnership).
type Owner struct{ Name, Namespace string }

const (
	labelManagedBy      = "app.kubernetes.io/managed-by"
	managedByHelm       = "Helm"
	annotationRelease   = "meta.helm.sh/release-name"
	annotationNamespace = "meta.helm.sh/release-namespace"
)

// Ownership is whose an object is, from the view of a release.
type Ownership int

const (
	// Unowned is an object that names no release, or this one incompletely.
	Unowned Ownership = iota
	// Owned is an object that names this release.
	Owned
	// OwnedByOther is an object that names another release.
	OwnedByOther
)

// Ownership says whose an object with these labels and annotations is. The label alone
// names no release: charts for Helm 2 set it to "Tiller".
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

// Metadata returns the labels and annotations by which an object names the release.
func (o Owner) Metadata() (labels, annotations map[string]string) {
	return map[string]string{labelManagedBy: managedByHelm},
		map[string]string{annotationRelease: o.Name, annotationNamespace: o.Namespace}
}

// OwnerOf is the release that an object with these annotations names, for people.
func OwnerOf(annotations map[string]string) string {
	return fmt.Sprintf("%s in namespace %s", annotations[annotationRelease], annotations[annotationNamespace])
}

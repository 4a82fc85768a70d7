// Package recognise decides whether a pod is a Tiller, whoever made it and whatever its
// name is, and reads its settings from the pod's specification. It reads and writes no
// cluster.
package recognise

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Labels returns the labels by which every Helm 2 client finds its Tiller
// (k8s.io/helm/pkg/helm/portforwarder).
func Labels() map[string]string {
	return map[string]string{"app": "helm", "name": "tiller"}
}

// Selector returns a label selector for Labels.
func Selector() string { return labels.FormatLabels(Labels()) }

// HasLabels reports whether Labels are among these.
func HasLabels(podLabels map[string]string) bool {
	return labels.SelectorFromSet(Labels()).Matches(labels.Set(podLabels))
}

// IsTiller reports whether pods of that kind are Tillers: by the labels by which Helm finds
// its own, by an image's name, by a command, or by Tiller's port.
func IsTiller(podLabels map[string]string, spec corev1.PodSpec) bool {
	return HasLabels(podLabels) || RunsTiller(spec)
}

// RunsTiller reports whether a container of the pod is a Tiller by its own specification: labels
// alone make none.
func RunsTiller(spec corev1.PodSpec) bool {
	return slices.ContainsFunc(Listening(spec), func(c *corev1.Container) bool { return isTiller(*c) })
}

// port is the port of Tiller's API (k8s.io/helm/pkg/tiller/environment).
const port = 44134

// isTiller recognises a Tiller's container by its specification. docs/audit.md, "What it
// can't see", has the limits.
func isTiller(c corev1.Container) bool {
	return hasTillersImage(c) || slices.ContainsFunc(words(&c), isProgram) ||
		slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.ContainerPort == port })
}

// hasTillersImage reports whether the image has the name of Tiller's. The entry point of
// such an image is Tiller.
func hasTillersImage(c corev1.Container) bool {
	image, _, _ := strings.Cut(c.Image, "@")
	name, _, _ := strings.Cut(path.Base(image), ":")
	return name[strings.LastIndexAny(name, "-_.")+1:] == "tiller"
}

func isProgram(word string) bool { return path.Base(word) == "tiller" }

// Program returns Tiller's program in a container's command line; empty if there is none,
// so that the image's entry point decides.
func Program(c *corev1.Container) string {
	all := words(c)
	if index := slices.IndexFunc(all, isProgram); index >= 0 {
		return all[index]
	}
	return ""
}

// Container returns the container of Tiller in its pod: by its specification, or by its
// name, otherwise the first one. It is nil if there is none.
func Container(spec corev1.PodSpec) *corev1.Container {
	for _, c := range Listening(spec) {
		if isTiller(*c) || c.Name == "tiller" {
			return c
		}
	}
	if len(spec.Containers) > 0 {
		return &spec.Containers[0]
	}
	return nil
}

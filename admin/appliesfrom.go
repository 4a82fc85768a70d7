package admin

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/audit"
)

// appliesFrom returns the ConfigMaps and Secrets mounted into pods that run helm-tenant
// apply, recognised by image, name or script; nil for other pods.
func appliesFrom(namespace string, spec *corev1.PodSpec) []audit.ObjectRef {
	applies := func(c corev1.Container) bool {
		line := strings.Join(slices.Concat(c.Command, c.Args), " ")
		image := c.Image[strings.LastIndex(c.Image, "/")+1:]
		return strings.Contains(line, "apply") && (strings.Contains(image, "helm-tenant") || strings.Contains(line, "helm-tenant") || strings.Contains(line, "helm tenant"))
	}
	if !slices.ContainsFunc(spec.Containers, applies) && !slices.ContainsFunc(spec.InitContainers, applies) {
		return nil
	}
	var refs []audit.ObjectRef
	add := func(kind, name string) {
		refs = append(refs, audit.ObjectRef{Kind: kind, Namespace: namespace, Name: strings.Clone(name)})
	}
	for _, volume := range spec.Volumes {
		switch {
		case volume.ConfigMap != nil:
			add("ConfigMap", volume.ConfigMap.Name)
		case volume.Secret != nil:
			add("Secret", volume.Secret.SecretName)
		case volume.Projected != nil:
			for _, source := range volume.Projected.Sources {
				switch {
				case source.ConfigMap != nil:
					add("ConfigMap", source.ConfigMap.Name)
				case source.Secret != nil:
					add("Secret", source.Secret.Name)
				}
			}
		}
	}
	return refs
}

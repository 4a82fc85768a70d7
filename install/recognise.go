package install

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/tenant"
)

// TillerLabels are those by which every Helm 2 client finds its Tiller
// (k8s.io/helm/pkg/helm/portforwarder).
func TillerLabels() map[string]string {
	return map[string]string{"app": "helm", "name": "tiller"}
}

// TillerSelector selects what carries TillerLabels.
func TillerSelector() string { return labels.FormatLabels(TillerLabels()) }

// HasTillerLabels says whether TillerLabels are among these.
func HasTillerLabels(of map[string]string) bool {
	return labels.SelectorFromSet(TillerLabels()).Matches(labels.Set(of))
}

// LooksLikeTiller says whether pods of that kind are Tillers: by the labels by
// which Helm finds its own, by an image's name, or by a command.
func LooksLikeTiller(podLabels map[string]string, spec corev1.PodSpec) bool {
	return HasTillerLabels(podLabels) || slices.ContainsFunc(spec.Containers, isTiller)
}

// isTiller knows a Tiller's container by what runs in it. Which it can't know stands
// in docs/audit.md, "What it can't see".
func isTiller(c corev1.Container) bool {
	image, _, _ := strings.Cut(c.Image, "@")
	name, _, _ := strings.Cut(path.Base(image), ":")
	return name[strings.LastIndexAny(name, "-_.")+1:] == "tiller" ||
		slices.ContainsFunc(words(&c), func(word string) bool { return path.Base(word) == "tiller" })
}

// TillerContainer is the one in a Tiller's pod that is Tiller: by what runs in
// it, or by its name; the first where neither tells. It is nil where there is none.
func TillerContainer(spec corev1.PodSpec) *corev1.Container {
	for i, c := range spec.Containers {
		if isTiller(c) || c.Name == "tiller" {
			return &spec.Containers[i]
		}
	}
	if len(spec.Containers) > 0 {
		return &spec.Containers[0]
	}
	return nil
}

// words are those of a container's command line. An argument of a shell's holds
// several: sh -c "tiller --listen=...".
func words(c *corev1.Container) []string {
	var all []string
	unquoted := strings.NewReplacer(`"`, "", `'`, "")
	for _, argument := range slices.Concat(c.Command, c.Args) {
		all = append(all, strings.FieldsFunc(unquoted.Replace(argument), func(r rune) bool {
			return strings.ContainsRune(" \t\r\n;&|\\", r)
		})...)
	}
	return all
}

// Flag is the value of one of Tiller's flags, as Go's package flag takes it, of
// which the last counts; "true" where it has none, empty where it is not there.
func Flag(c *corev1.Container, name string) string {
	value := ""
	all := words(c)
	for i, word := range all {
		flag := strings.TrimLeft(word, "-")
		if flag == word {
			continue
		}
		if of, found := strings.CutPrefix(flag, name+"="); found {
			value = of
		}
		if flag == name {
			value = "true"
			if i+1 < len(all) && !strings.HasPrefix(all[i+1], "-") {
				value = all[i+1]
			}
		}
	}
	return value
}

// StorageOf is where the Tiller in a container keeps its releases, as its command
// line says; its own default is ConfigMaps (k8s.io/helm/cmd/tiller). It may be one
// that no tenant can have.
func StorageOf(c *corev1.Container) tenant.Storage {
	if value := Flag(c, "storage"); value != "" {
		return tenant.Storage(value)
	}
	return tenant.StorageConfigMap
}

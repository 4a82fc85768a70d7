package helm

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
)

// aloneFlags are the flags of install with which helm's template renders the same as the install
// does, for a chart that does not depend on the cluster. Template has them as well, and so refuses
// a wrong value of any of them.
var aloneFlags = []string{"set", "set-json", "set-literal", "set-string", "values", "no-hooks", "skip-crds", "skip-schema-validation", "enable-dns",
	"render-subchart-notes", "hide-notes", "atomic", "rollback-on-failure", "create-namespace", "description", "labels", "take-ownership", "timeout",
	"wait", "wait-for-jobs", "disable-openapi-validation"}

// ownOutput are the flags about the output of the command itself, which preflight prints.
var ownOutput = []string{"output", "debug", "hide-secret"}

// upgradeInstall are the flags of upgrade that do not matter while there is no release.
var upgradeInstall = []string{"install", "reuse-values", "reset-values", "reset-then-reuse-values", "cleanup-on-fail"}

// maxAlone bounds the bytes of a chart and its values of which a release record is surely small
// enough for a Secret: the record holds them in base64, and the whole in base64 again.
const maxAlone = 256 << 10

// clusterWords occur in every template that asks about the cluster (functions and objects of
// helm.sh/helm/v3/pkg/engine and chartutil), and in a Chart.yaml with a condition on its version.
var clusterWords = [][]byte{[]byte("lookup"), []byte("Capabilities"), []byte("kubeVersion")}

// RendersAlone reports whether Alone renders the chart as helm's own dry run does, which asks
// the API server: whether the command is an install of a chart on this machine, neither the
// chart nor its values mention what a template could ask about the cluster, and all is small
// and was read. In doubt it is false.
func (d *Deployment) RendersAlone() bool {
	if d.Major < 3 || d.releaseAt < 0 || d.Command == "upgrade" && !d.Is("install") {
		return false
	}
	text := &aloneText{left: maxAlone}
	for _, use := range d.uses {
		switch {
		case use.name == "values":
			for _, path := range d.splitPaths(use.value) {
				if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || !text.file(chartFile{open: func() (io.ReadCloser, error) { return os.Open(path) }}) {
					return false
				}
			}
		case slices.Contains(aloneFlags, use.name):
			if !text.add(strings.NewReader(use.value)) {
				return false
			}
		case slices.Contains(ownOutput, use.name), slices.Contains(d.own, use.name), globalKept(use.name):
		case d.Command == "upgrade" && slices.Contains(upgradeInstall, use.name):
		default:
			return false
		}
	}
	return walkChart(d.Chart, text.file)
}

// Alone returns helm's template of an install for which RendersAlone is true, with the crds
// folders.
func (d *Deployment) Alone() Line {
	flags := d.flags(func(name string) bool { return slices.Contains(aloneFlags, name) || globalKept(name) })
	return Line{Command: "template", Args: slices.Concat([]string{"--include-crds"}, flags, d.words())}
}

// aloneText reads texts as long as they are small and mention nothing of the cluster.
type aloneText struct{ left int64 }

func (a *aloneText) add(r io.Reader) bool {
	text, err := io.ReadAll(io.LimitReader(r, a.left+1))
	a.left -= int64(len(text))
	return err == nil && a.left >= 0 && !slices.ContainsFunc(clusterWords, func(word []byte) bool { return bytes.Contains(text, word) })
}

// file reads a file of a chart, which may be a folder.
func (a *aloneText) file(file chartFile) bool {
	if file.open == nil {
		return true
	}
	f, err := file.open()
	if err != nil {
		return false
	}
	defer f.Close()
	return a.add(f)
}

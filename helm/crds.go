package helm

import (
	"os"
	"strings"
)

// MayHaveCRDs reports whether the chart may have a crds folder: it is not a folder or
// archive on this machine, can't be read, or contains a file in such a folder. In doubt
// it is true; CRDs then shows what counts.
func (d *Deployment) MayHaveCRDs() bool {
	// Helm takes a name for a path before it searches repositories, unless one is named
	// (helm.sh/helm/v3/pkg/action, LocateChart).
	chart := strings.TrimSpace(d.Chart)
	if _, err := os.Stat(chart); err != nil || d.Value("repo") != "" || d.Is("dependency-update") {
		return true
	}
	return !walkChart(chart, func(file chartFile) bool { return !strings.Contains(file.name, "crds") })
}

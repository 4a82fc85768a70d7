package cli

import (
	"fmt"
	"os"

	"helm-tenant/audit"
	"helm-tenant/audit/view"
	"helm-tenant/wrapper"
)

// writeMetrics replaces the file in one step, so that a collector never reads half of it:
// the node exporter reads files whose names end in .prom, and the temporary file's name
// does not. Everybody may read the file: the collector is another user, and the file has
// only numbers and names of tenants.
func (s *session) writeMetrics(file string, report *audit.Report) error {
	err := replaceFile(file, 0o644, func(w *os.File) error { return view.Prometheus(w, report, wrapper.Version(), s.Env.Now()) })
	if err != nil {
		return fmt.Errorf("the metrics: %w", err)
	}
	return nil
}

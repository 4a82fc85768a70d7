package cli

import (
	_ "embed"
	"encoding/json"
	"io"
	"strings"
	"time"

	"helm-tenant/audit"
)

// auditPage is the page in which the report is put: no other file is needed to
// look at it, and none is loaded.
//
//go:embed audit.html
var auditPage string

// auditData is where the report goes in the page.
const auditData = "/*REPORT*/null"

// writeHTML writes the report as one page. encoding/json writes <, > and & as
// escapes, so that no word in the report ends the element that it stands in.
func writeHTML(w io.Writer, r *audit.Report, now time.Time) error {
	type page struct {
		Made  string           `json:"made"`
		Rules []audit.Rule     `json:"rules"`
		Sev   []audit.Severity `json:"severities"`
		R     *audit.Report    `json:"report"`
	}
	text, err := json.Marshal(page{Made: now.UTC().Format("2006-01-02 15:04 UTC"), Rules: audit.Rules(), Sev: audit.Severities(), R: r})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.Replace(auditPage, auditData, string(text), 1))
	return err
}

// Package view writes an audit's report for others than a terminal: as SARIF, and
// as one page of HTML.
package view

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
//go:embed page.html
var page string

// data is where the report goes in the page.
const data = "/*REPORT*/null"

// HTML writes the report as one page. encoding/json writes <, > and & as
// escapes, so that no word in the report ends the element that it stands in.
func HTML(w io.Writer, r *audit.Report, now time.Time) error {
	type content struct {
		Made  string           `json:"made"`
		Rules []audit.Rule     `json:"rules"`
		Sev   []audit.Severity `json:"severities"`
		R     *audit.Report    `json:"report"`
	}
	text, err := json.Marshal(content{Made: now.UTC().Format("2006-01-02 15:04 UTC"), Rules: audit.Rules(), Sev: audit.Severities(), R: r})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.Replace(page, data, string(text), 1))
	return err
}

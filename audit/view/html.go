// Package view writes an audit's report for others than a terminal: as SARIF, and
// as one page of HTML.
package view

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"

	"helm-tenant/audit"
)

// page is the one in which the report is put: no other file is needed to
// look at it, and none is loaded.
//
//go:embed page.html
var page string

// data is the placeholder for the report in the page.
const data = "/*REPORT*/null"

// HTML writes the report as one page. encoding/json writes <, > and & as escapes, so that no
// text in the report ends the element that contains it.
func HTML(w io.Writer, r *audit.Report, now time.Time) error {
	type content struct {
		Made       string           `json:"made"`
		Severities []audit.Severity `json:"severities"`
		Report     *audit.Report    `json:"report"`
	}
	text, err := json.Marshal(content{now.UTC().Format("2006-01-02 15:04 UTC"), audit.Severities(), r})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.Replace(signed(), data, string(text), 1))
	return err
}

// signed is the page with the hashes of its own style and script in its content security
// policy: nothing else runs, whatever the report contains.
var signed = sync.OnceValue(func() string {
	text := page
	for _, tag := range []string{"style", "script"} {
		_, after, _ := strings.Cut(page, "\n<"+tag+">")
		inner, _, _ := strings.Cut(after, "</"+tag+">")
		hash := sha256.Sum256([]byte(inner))
		text = strings.Replace(text, strings.ToUpper(tag)+"-HASH", "sha256-"+base64.StdEncoding.EncodeToString(hash[:]), 1)
	}
	return text
})

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// pinned is an action of a commit, with the release that it is.
var pinned = regexp.MustCompile(`^\s*- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

// TestWorkflows: what runs on GitHub is pinned, bounded in time, and may write nothing but where
// a release is published, which compiles nothing.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(".github", "workflows", "*.yml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\n"); strings.Contains(line, "uses:") && !pinned.MatchString(line) {
				t.Errorf("%s: an action without a commit and its release: %s", file, line)
			}
		}
		if checkouts, without := strings.Count(string(text), "actions/checkout@"), strings.Count(string(text), "persist-credentials: false"); checkouts != without {
			t.Errorf("%s: %d checkouts, and %d of them keep no credentials", file, checkouts, without)
		}
		var workflow struct {
			Permissions map[string]string `json:"permissions"`
			Jobs        map[string]struct {
				Timeout     int               `json:"timeout-minutes"`
				Permissions map[string]string `json:"permissions"`
				Steps       []struct {
					Run string `json:"run"`
				} `json:"steps"`
			} `json:"jobs"`
		}
		if err := yaml.Unmarshal(text, &workflow); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(workflow.Permissions) != 1 || workflow.Permissions["contents"] != "read" {
			t.Errorf("%s may %v", file, workflow.Permissions)
		}
		for name, job := range workflow.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: job %s has no timeout-minutes", file, name)
			}
			if job.Permissions == nil {
				continue
			}
			if name != "publish" {
				t.Errorf("%s: job %s may %v", file, name, job.Permissions)
			}
			for _, step := range job.Steps {
				if regexp.MustCompile(`\b(go|make|bash|npm|pip)\b`).MatchString(step.Run) {
					t.Errorf("%s: job %s may write, and runs %q", file, name, step.Run)
				}
			}
		}
	}
}

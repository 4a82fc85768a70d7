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

// The targets of a call of make, and the script that a shell is given; a comment has neither.
var (
	makeCall    = regexp.MustCompile(`\bmake((?: +[a-z][a-z-]*)+)`)
	shellCall   = regexp.MustCompile(`\b(?:ba)?sh +([\w./-]+)`)
	yamlComment = regexp.MustCompile(`(?m)(^|\s)#.*$`)
	makeTarget  = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
)

// TestWorkflowCalls: the targets and scripts that workflows call exist, and a job that needs
// another names one of its workflow.
func TestWorkflowCalls(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(".github", "workflows", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, match := range makeTarget.FindAllStringSubmatch(string(makefile), -1) {
		targets[match[1]] = true
	}
	calls := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		typed := yamlComment.ReplaceAllString(string(text), "")
		for _, call := range makeCall.FindAllStringSubmatch(typed, -1) {
			for _, name := range strings.Fields(call[1]) {
				if calls++; !targets[name] {
					t.Errorf("%s: make has no target %q", file, name)
				}
			}
		}
		for _, call := range shellCall.FindAllStringSubmatch(typed, -1) {
			if _, err := os.Stat(call[1]); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		var workflow struct {
			Jobs map[string]struct {
				RunsOn string `json:"runs-on"`
				Needs  any    `json:"needs"`
				Steps  []struct {
					Uses string `json:"uses"`
					Run  string `json:"run"`
					Dir  string `json:"working-directory"`
				} `json:"steps"`
			} `json:"jobs"`
		}
		if err := yaml.Unmarshal(text, &workflow); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, job := range workflow.Jobs {
			needs, ok := job.Needs.([]any)
			if !ok && job.Needs != nil {
				needs = []any{job.Needs}
			}
			for _, other := range needs {
				if _, found := workflow.Jobs[other.(string)]; !found {
					t.Errorf("%s: job %s needs %v, which there is not", file, name, other)
				}
			}
			if job.RunsOn == "" || len(job.Steps) == 0 {
				t.Errorf("%s: job %s runs nowhere, or does nothing", file, name)
			}
			for _, step := range job.Steps {
				if (step.Uses == "") == (step.Run == "") {
					t.Errorf("%s: a step of job %s uses %q and runs %q", file, name, step.Uses, step.Run)
				}
				if _, err := os.Stat(step.Dir); step.Dir != "" && err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
	if calls < 5 {
		t.Errorf("only %d targets are called: they are not found", calls)
	}
}

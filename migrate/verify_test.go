package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	release3 "helm.sh/helm/v3/pkg/release"
)

// webRelease returns a release at revision 2 whose records take so many bytes.
func webRelease(name, namespace string, size int) Release {
	return Release{Name: name, Namespace: namespace, Revisions: []Revision{
		{Version: 1, Status: release3.StatusSuperseded},
		{Version: 2, Status: release3.StatusDeployed, manifest: digestOf("manifest of " + name), size: size},
	}}
}

func TestJudge(t *testing.T) {
	r := webRelease("web", "a", 0)
	ours := []string{"sh.helm.release.v1.web.v1"}
	foreign := []string{"Secret sh.helm.release.v1.web.v1: it holds another release"}
	asMoved := &Listing{"2", "deployed"}
	const is = "release web in namespace a"
	for _, test := range []struct {
		name     string
		standing Standing
		listed   *Listing
		// The results from the records alone, and with helm's list: "same", a note, or
		// "problem: ".
		byRecords, byList string
	}{
		{"as it was moved", Standing{Ours: ours}, asMoved, "same", "same: verified " + is + ": revision 2, deployed"},
		{"not listed", Standing{Ours: ours}, nil, "same", "problem: " + is + " is not listed by helm3"},
		{"another revision is listed", Standing{Ours: ours}, &Listing{"1", "deployed"}, "same", "problem: " + is + " should be at revision 2, deployed, but helm3 lists revision 1, deployed"},
		{"another status is listed", Standing{Ours: ours}, &Listing{"2", "failed"}, "same", "problem: " + is + " should be at revision 2, deployed, but helm3 lists revision 2, failed"},
		{"upgraded", Standing{Ours: ours, Changed: []int{2}, Later: []int{3}}, &Listing{"3", "deployed"}, "Note: Helm 3 has changed " + is + " since", "Note: Helm 3 has changed " + is + " since: it is at revision 3, deployed"},
		{"upgraded, its past forgotten", Standing{Ours: ours, Missing: r.Revisions, Later: []int{12}}, &Listing{"12", "deployed"}, "Note: Helm 3 has changed " + is + " since", "Note: Helm 3 has changed " + is + " since: it is at revision 12, deployed"},
		{"an older revision forgotten", Standing{Ours: ours, Missing: r.Revisions[:1]}, asMoved, "Note: Helm 3 has changed " + is + " since", "Note: Helm 3 has changed " + is + " since: it is at revision 2, deployed"},
		{"upgraded, not listed", Standing{Ours: ours, Later: []int{3}}, nil, "Note: Helm 3 has changed " + is + " since", "problem: " + is + " is not listed by helm3"},
		{"its newest removed", Standing{Ours: ours, Missing: r.Revisions[1:]}, &Listing{"1", "superseded"}, "problem: " + is + ": Helm 3 has no record of revision 2, and made none of it: somebody removed it", "problem: " + is + ": Helm 3 has no record of revision 2, and made none of it: somebody removed it"},
		{"uninstalled", Standing{Missing: r.Revisions}, nil, "Note: " + is + " is gone: Helm 3 uninstalled it, or somebody removed its records", "Note: " + is + " is gone: Helm 3 uninstalled it, or somebody removed its records"},
		{"installed anew", Standing{Missing: r.Revisions, Foreign: foreign}, &Listing{"1", "deployed"}, "Note: " + is + " was installed again by Helm 3", "Note: " + is + " was installed again by Helm 3: that one is at revision 1, deployed"},
		{"other Secrets in the place of its records", Standing{Missing: r.Revisions, Foreign: foreign}, nil, "Note: " + is + " was installed again by Helm 3", "problem: " + is + " is not listed by helm3"},
		{"installed anew after its records were read", Standing{Missing: r.Revisions}, &Listing{"1", "deployed"}, "Note: " + is + " is gone: Helm 3 uninstalled it, or somebody removed its records", "Note: Helm 3 has changed " + is + " since: it is at revision 1, deployed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, verdict := range []struct {
				got  Verdict
				want string
			}{{r.judge(test.standing), test.byRecords}, {r.judgeListed(test.standing, test.listed, "helm3"), test.byList}} {
				got := verdict.got.Note
				if verdict.got.Same {
					got = strings.TrimSuffix("same: "+got, ": ")
				}
				if verdict.got.Problem != nil {
					got += "problem: " + verdict.got.Problem.Error()
				}
				if got != verdict.want {
					t.Errorf("\n got %s\nwant %s", got, verdict.want)
				}
			}
		})
	}
}

func TestPlanChecks(t *testing.T) {
	none := func(string) bool { return false }
	for _, test := range []struct {
		name     string
		releases []Release
		lost     func(string) bool
		// How many releases are verified by each of the means, and how many manifests.
		list, history, records, nothing, manifests int
		note                                       string
	}{
		{name: "none", lost: none},
		{name: "few", releases: manyReleases(3, "a", 0), lost: none, list: 3, manifests: 3},
		{name: "more than manifests are asked for", releases: manyReleases(120, "a", 0), lost: none, list: 120, manifests: 50, note: "the manifests of 50 of 120 releases"},
		{name: "a large namespace with few releases", releases: manyReleases(2, "large", maxListed), lost: none, history: 2, manifests: 2},
		{name: "a large namespace with many", releases: manyReleases(100, "large", maxListed), lost: none, history: 25, records: 75, manifests: 25, note: "was asked for 25 of 100 releases"},
		{name: "a large namespace and a small one", releases: append(manyReleases(100, "large", maxListed), manyReleases(100, "small", 0)...), lost: none,
			list: 100, history: 13, records: 87, manifests: 25, note: "was asked for 25 of 200 releases"},
		{name: "a namespace is gone", releases: append(manyReleases(2, "gone", 0), manyReleases(2, "a", 0)...), lost: func(namespace string) bool { return namespace == "gone" }, list: 2, nothing: 2, manifests: 2},
		{name: "a large namespace is gone", releases: manyReleases(100, "large", maxListed), lost: func(string) bool { return true }, nothing: 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			checks := planChecks(test.releases, test.lost)
			count := map[means]int{}
			manifests := 0
			for _, c := range checks {
				count[c.by]++
				if c.manifest {
					manifests++
				}
			}
			got := []int{count[byList], count[byHistory], count[byRecords], count[byNothing], manifests}
			if diff := cmp.Diff([]int{test.list, test.history, test.records, test.nothing, test.manifests}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if note := sampleNote(checks, "helm3"); (note == "") != (test.note == "") || !strings.Contains(note, test.note) {
				t.Errorf("it says %q", note)
			}
		})
	}
}

func manyReleases(count int, namespace string, size int) []Release {
	var all []Release
	for i := range count {
		all = append(all, webRelease(fmt.Sprintf("%s-%03d", namespace, i), namespace, size))
	}
	return all
}

func TestParseHistory(t *testing.T) {
	for _, test := range []struct {
		text    string
		want    Listing
		problem string
	}{
		{`[{"revision":12,"updated":"2020-09-13T12:26:40Z","status":"deployed","chart":"web-1.0.0"}]`, Listing{"12", "deployed"}, ""},
		{`[]`, Listing{}, "its history has 0 revisions"},
		{`[{"revision":1},{"revision":2}]`, Listing{}, "its history has 2 revisions"},
		{`null`, Listing{}, "its history has 0 revisions"},
		{`REVISION STATUS`, Listing{}, "invalid character"},
	} {
		got, err := parseHistory(test.text)
		if got != test.want || (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got %v, %v", test.text, got, err)
		}
	}
}

// TestVerify: helm is asked once for each namespace, and everything that is wrong is named.
func TestVerify(t *testing.T) {
	releases := []Release{webRelease("web", "a", 0), webRelease("db", "a", 0), webRelease("big", "large", maxListed+1), webRelease("lost", "large", 0)}
	standings := make([]Standing, len(releases))
	for i := range standings {
		standings[i].Ours = []string{"a Secret"}
	}
	good := map[string]string{
		"list a":            `[{"name":"web","revision":"2","status":"deployed"},{"name":"db","revision":"2","status":"deployed"}]`,
		"history big":       `[{"revision":2,"status":"deployed"}]`,
		"history lost":      `[{"revision":2,"status":"deployed"}]`,
		"get manifest web":  "manifest of web\n",
		"get manifest db":   "manifest of db",
		"get manifest big":  "\nmanifest of big",
		"get manifest lost": "manifest of lost",
	}
	all := "get manifest big, get manifest db, get manifest lost, get manifest web, history big, history lost, list a"
	for _, test := range []struct {
		name    string
		answers map[string]string // other ones; "!" begins an error
		asked   string            // empty: everything that is asked
		want    string            // in the error
		details int
	}{
		{name: "all is well", asked: all},
		{name: "a namespace is not listed", answers: map[string]string{"list a": "!forbidden"}, asked: "list a", want: "helm3 does not list the releases of namespace a: forbidden"},
		{name: "the list is no JSON", answers: map[string]string{"list a": "NAME"}, asked: "list a", want: "helm3 does not list the releases of namespace a: invalid character"},
		{name: "helm knows no such release", answers: map[string]string{"history lost": "!" + ErrReleaseNotFound.Error()}, want: "release lost in namespace large is not listed by helm3"},
		{name: "no history", answers: map[string]string{"history big": "!timed out"}, want: "helm3 does not tell the newest revision of release big in namespace large: timed out"},
		{name: "another manifest", answers: map[string]string{"get manifest db": "manifest"}, want: "release db in namespace a has another manifest under helm3"},
		{name: "no manifest", answers: map[string]string{"get manifest db": "!timed out"}, want: "release db in namespace a: helm3 does not print its manifest: timed out"},
		{name: "two are wrong", answers: map[string]string{"get manifest db": "manifest", "history big": "[]"}, want: "2 releases are not as they were moved:", details: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			var asked, output []string
			dbAsked := sync.OnceFunc(func() {})
			wait := make(chan struct{})
			if test.asked == all { // the second release is checked before the first
				dbAsked = sync.OnceFunc(func() { close(wait) })
			} else {
				close(wait)
			}
			v := Verifier{Program: "helm3", Say: func(sentence string) { output = append(output, sentence) }, Ask: func(_ context.Context, command string, args ...string) (string, error) {
				question := command + " " + args[0]
				if args[0] == "manifest" {
					question += " " + args[1]
				}
				question = strings.Replace(question, "--namespace=", "", 1)
				switch question {
				case "get manifest web":
					<-wait
				case "get manifest db":
					defer dbAsked()
				}
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, question)
				answer, ok := test.answers[question]
				if !ok {
					answer = good[question]
				}
				if problem, ok := strings.CutPrefix(answer, "!"); ok {
					if problem == ErrReleaseNotFound.Error() {
						return "", ErrReleaseNotFound
					}
					return "", errors.New(problem)
				}
				return answer, nil
			}}
			err := v.Verify(t.Context(), releases, standings, func(string) bool { return false })
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
			if unverified, ok := errors.AsType[*UnverifiedError](err); ok && len(unverified.Details()) != test.details {
				t.Errorf("its details are %q", unverified.Details())
			}
			slices.Sort(asked)
			if got := strings.Join(asked, ", "); test.asked != "" && got != test.asked {
				t.Errorf("asked is %s", got)
			}
			if err != nil {
				return
			}
			for i, r := range releases {
				if len(output) != len(releases) || !strings.Contains(output[i], r.where()) {
					t.Fatalf("it says %q", output)
				}
			}
		})
	}
}

package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"helm-tenant/lists"
)

const (
	// maxManifests bounds the releases for which helm is asked for the manifest. Each
	// takes a process, and all records were read and compared after they were written.
	maxManifests = 50
	// helmsAtOnce is the number of these processes that run concurrently.
	helmsAtOnce = 4
)

// ErrReleaseNotFound reports that Helm 3 or 4 has no release of a name.
var ErrReleaseNotFound = errors.New("release not found")

// Verifier has a real helm find the migrated releases.
type Verifier struct {
	// Program is the name of that helm in messages.
	Program string
	// Ask runs helm as the tenant's deployer and returns its output. It is called
	// concurrently. Its error is ErrReleaseNotFound if helm has no release of that name.
	Ask func(ctx context.Context, command string, args ...string) (string, error)
	// Say prints a sentence for the admin, in the order of the releases.
	Say func(sentence string)
}

// Verify runs helm to list every release and to print the manifests of some. In a namespace
// whose records are too large to list, it asks for some of the releases and judges the others
// by their records. standings are the comparisons with Helm 3's records; lost reports whether a
// namespace was deleted. The error is an *UnverifiedError with all releases that Helm 3 does
// not have as they were moved, or the error of a helm that lists nothing.
func (v *Verifier) Verify(ctx context.Context, releases []Release, standings []Standing, lost func(namespace string) bool) error {
	checks := planChecks(releases, lost)
	listed := map[string]map[string]Listing{}
	for i, r := range releases {
		if checks[i].by == byList && listed[r.Namespace] == nil {
			found, err := v.list(ctx, r.Namespace)
			if err != nil {
				return err
			}
			listed[r.Namespace] = found
		}
	}
	wrong, notes := make([]error, len(releases)), make([]chan string, len(releases))
	for i := range notes {
		notes[i] = make(chan string, 1)
	}
	var group errgroup.Group
	group.SetLimit(helmsAtOnce)
	go func() {
		for i, r := range releases {
			group.Go(func() error {
				var note string
				note, wrong[i] = v.check(ctx, r, standings[i], checks[i], listed[r.Namespace])
				notes[i] <- note
				return nil // all problems are collected
			})
		}
	}()
	for _, note := range notes {
		if sentence := <-note; sentence != "" {
			v.Say(sentence)
		}
	}
	if wrong = slices.DeleteFunc(wrong, func(err error) bool { return err == nil }); len(wrong) > 0 {
		return &UnverifiedError{wrong}
	}
	if note := sampleNote(checks, v.Program); note != "" {
		v.Say(note)
	}
	return nil
}

// UnverifiedError has every release that Helm 3 does not have as it was moved.
type UnverifiedError struct{ Problems []error }

func (e *UnverifiedError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].Error()
	}
	return fmt.Sprintf("%d releases are not as they were moved:", len(e.Problems))
}

// Details returns the problems, unless the error itself is the only one.
func (e *UnverifiedError) Details() []string { return Lines(e.Problems) }

// Lines returns a line for each of several problems; none for a single one, which the
// error itself contains.
func Lines(problems []error) []string {
	if len(problems) == 1 {
		return nil
	}
	return lists.Map(problems, error.Error)
}

type means int

const (
	// byList: helm lists the releases of its namespace.
	byList means = iota
	// byHistory: helm is asked for the release's newest revision.
	byHistory
	// byRecords: helm is not asked.
	byRecords
	// byNothing: the release's namespace was deleted.
	byNothing
)

// check is the means by which a release is verified, and whether helm is asked for its
// manifest.
type check struct {
	by       means
	manifest bool
}

func planChecks(releases []Release, lost func(namespace string) bool) []check {
	large := tooLargeToList(releases)
	limit := maxManifests
	if len(large) > 0 {
		limit /= 2 // a release of a large namespace takes two processes
	}
	sampled := sample(len(releases), limit)
	checks := make([]check, len(releases))
	for i, r := range releases {
		switch {
		case lost(r.Namespace):
			checks[i] = check{by: byNothing}
		case !large[r.Namespace]:
			checks[i] = check{byList, sampled[i]}
		case sampled[i]:
			checks[i] = check{byHistory, true}
		default:
			checks[i] = check{by: byRecords}
		}
	}
	return checks
}

// sampleNote names the releases for which helm was not asked, empty if there are none.
func sampleNote(checks []check, program string) string {
	checked, manifests, unasked := 0, 0, false
	for _, c := range checks {
		if c.by == byNothing {
			continue
		}
		checked++
		if c.manifest {
			manifests++
		}
		unasked = unasked || c.by == byRecords
	}
	switch {
	case manifests == checked:
		return ""
	case unasked:
		return fmt.Sprintf("Note: %s was asked for %d of %d releases: to list all of them it would have to unpack all their records; the records of all were compared", program, manifests, checked)
	default:
		return fmt.Sprintf("Note: %s was asked for the manifests of %d of %d releases; it lists all of them, and the records of all were compared", program, manifests, checked)
	}
}

// check verifies one release, and returns a sentence for the admin, which may be empty. listed
// are the releases of its namespace, if helm listed them.
func (v *Verifier) check(ctx context.Context, r Release, standing Standing, how check, listed map[string]Listing) (sentence string, err error) {
	var found Verdict
	switch how.by {
	case byNothing:
		return fmt.Sprintf("Note: release %s is gone, with namespace %s", r.Name, r.Namespace), nil
	case byRecords:
		found = r.judge(standing)
	case byHistory:
		listing, err := v.newest(ctx, r)
		if err != nil {
			return "", err
		}
		found = r.judgeListed(standing, listing, v.Program)
	default:
		var listing *Listing
		if one, ok := listed[r.Name]; ok {
			listing = &one
		}
		found = r.judgeListed(standing, listing, v.Program)
	}
	if found.Same && how.manifest {
		text, err := v.Ask(ctx, "get", "manifest", r.Name, "--namespace="+r.Namespace, "--revision="+strconv.Itoa(r.Newest().Version))
		if err != nil {
			return "", fmt.Errorf("%s: %s does not print its manifest: %w", r.where(), v.Program, err)
		}
		if r.Newest().manifest != digestOf(text) {
			return "", fmt.Errorf("%s has another manifest under %s than it has under Helm 2", r.where(), v.Program)
		}
	}
	return found.Note, found.Problem
}

func (v *Verifier) list(ctx context.Context, namespace string) (map[string]Listing, error) {
	// Helm 4 has no --all.
	text, err := v.Ask(ctx, "list", "--namespace="+namespace, "--deployed", "--failed", "--pending", "--superseded", "--uninstalled", "--uninstalling", "--max=0", "--output=json")
	var found map[string]Listing
	if err == nil {
		found, err = parseList(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not list the releases of namespace %s: %w", v.Program, namespace, err)
	}
	return found, nil
}

// newest asks helm for the newest revision of one release; nil if helm has none.
func (v *Verifier) newest(ctx context.Context, r Release) (*Listing, error) {
	text, err := v.Ask(ctx, "history", r.Name, "--namespace="+r.Namespace, "--max=1", "--output=json")
	if errors.Is(err, ErrReleaseNotFound) {
		return nil, nil
	}
	var listing Listing
	if err == nil {
		listing, err = parseHistory(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not tell the newest revision of release %s in namespace %s: %w", v.Program, r.Name, r.Namespace, err)
	}
	return &listing, nil
}

// Listing is helm's output for a release's newest revision.
type Listing struct{ Revision, Status string }

// parseList parses the output of `helm list --output=json` (helm.sh/helm/v3/cmd/helm,
// list.go), by the names of the releases.
func parseList(text string) (map[string]Listing, error) {
	var all []struct{ Name, Revision, Status string }
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	found := map[string]Listing{}
	for _, one := range all {
		found[one.Name] = Listing{one.Revision, one.Status}
	}
	return found, nil
}

// parseHistory parses the output of `helm history --max=1 --output=json`
// (helm.sh/helm/v3/cmd/helm, history.go). It fails unless that is one revision.
func parseHistory(text string) (Listing, error) {
	var revisions []struct {
		Revision int
		Status   string
	}
	if err := json.Unmarshal([]byte(text), &revisions); err != nil {
		return Listing{}, err
	}
	if len(revisions) != 1 {
		return Listing{}, fmt.Errorf("its history has %d revisions, not one", len(revisions))
	}
	return Listing{strconv.Itoa(revisions[0].Revision), revisions[0].Status}, nil
}

// Verdict is the result for a migrated release.
type Verdict struct {
	// Note is a message for the admin; empty for none.
	Note string
	// Same reports whether it is unchanged since it moved, so that its manifest can be
	// compared.
	Same bool
	// Problem is the reason why the release is not verified.
	Problem error
}

func note(format string, args ...any) Verdict {
	return Verdict{Note: "Note: " + fmt.Sprintf(format, args...)}
}

// judge judges a release by its records alone, which were compared with Tiller's.
func (r Release) judge(standing Standing) Verdict {
	switch {
	case standing.None() && len(standing.Foreign) > 0:
		return note("%s was installed again by Helm 3", r.where())
	case standing.None():
		return note("%s is gone: Helm 3 uninstalled it, or somebody removed its records", r.where())
	case standing.Lost(r):
		return Verdict{Problem: fmt.Errorf("%s: Helm 3 has no record of revision %d, and made none of it: somebody removed it", r.where(), r.Newest().Version)}
	case len(standing.Missing)+len(standing.Changed)+len(standing.Later) > 0:
		return note("Helm 3 has changed %s since", r.where())
	}
	return Verdict{Same: true}
}

// judgeListed judges a release by its records and by helm's listing of it, nil for none.
// program is the helm that listed it.
func (r Release) judgeListed(standing Standing, listed *Listing, program string) Verdict {
	byItsRecords := r.judge(standing)
	removed := standing.None() && len(standing.Foreign) == 0
	switch {
	case listed == nil && removed:
		return byItsRecords
	case listed == nil:
		return Verdict{Problem: fmt.Errorf("%s is not listed by %s", r.where(), program)}
	case removed: // Helm 3 installed it after the records were read
		return note("Helm 3 has changed %s since: it is at revision %s, %s", r.where(), listed.Revision, listed.Status)
	case byItsRecords.Problem != nil:
		return byItsRecords
	case !byItsRecords.Same:
		which := "it"
		if standing.None() {
			which = "that one" // of the same name
		}
		return Verdict{Note: fmt.Sprintf("%s: %s is at revision %s, %s", byItsRecords.Note, which, listed.Revision, listed.Status)}
	}
	if newest := r.Newest(); listed.Revision != strconv.Itoa(newest.Version) || listed.Status != newest.Status.String() {
		return Verdict{Problem: fmt.Errorf("%s should be at revision %d, %s, but %s lists revision %s, %s", r.where(), newest.Version, newest.Status, program, listed.Revision, listed.Status)}
	}
	return Verdict{Same: true, Note: fmt.Sprintf("verified %s: revision %s, %s", r.where(), listed.Revision, listed.Status)}
}

func (r Release) where() string {
	return fmt.Sprintf("release %s in namespace %s", r.Name, r.Namespace)
}

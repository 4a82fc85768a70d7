package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/helm/pkg/proto/hapi/release"
)

// TestSplitOddReleases: releases in every state, and with odd manifests, go to their tenant
// byte for byte; to Helm 3 and 4 go those that it can have. Errors name commands for the Tiller
// that is split.
func TestSplitOddReleases(t *testing.T) {
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\n"
	large := config + "data:\n  x: \"" + strings.Repeat("0123456789abcdef", 1<<16) + "\"\n" // unpacked
	const garbled = `its newest record can't be read: its manifest has a document that is no object in YAML`
	wait := func(revision int, status, way string) string {
		return fmt.Sprintf(`tenant "ta" can't move on to Helm 3: release odd, revision %d, is %s: %s`, revision, status, way)
	}
	const deleted = "helm --tiller-namespace=old delete --purge odd"
	for _, test := range []struct {
		name     string
		statuses map[int32]release.Status_Code // by revision
		manifest string
		// refused is the error, and onward the one where the tenant moves on to Helm 3.
		refused, onward string
		stays           string
	}{
		{name: "an installation that began", statuses: map[int32]release.Status_Code{1: release.Status_PENDING_INSTALL}, manifest: config,
			onward: wait(1, "PENDING_INSTALL", "wait for the helm that works on it, or delete it with "+deleted)},
		{name: "an upgrade that began", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED, 2: release.Status_PENDING_UPGRADE}, manifest: config,
			onward: wait(2, "PENDING_UPGRADE", "wait for the helm that works on it, or go back with helm --tiller-namespace=old rollback odd 1")},
		{name: "a failed one", statuses: map[int32]release.Status_Code{1: release.Status_FAILED}, manifest: config},
		{name: "a deleted one", statuses: map[int32]release.Status_Code{1: release.Status_DELETED}, manifest: config},
		{name: "one that is being deleted", statuses: map[int32]release.Status_Code{1: release.Status_DELETING}, manifest: config,
			onward: wait(1, "DELETING", "delete it again with "+deleted)},
		{name: "an unknown status", statuses: map[int32]release.Status_Code{1: release.Status_UNKNOWN}, manifest: config,
			onward: wait(1, "UNKNOWN", "wait for the helm that works on it, or delete it with "+deleted)},
		{name: "no manifest", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED}},
		{name: "comments", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED}, manifest: "---\n# nothing\n---\n\n"},
		{name: "a list", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED}, manifest: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: odd}}\n"},
		{name: "a kind that is not served", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED}, manifest: "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: odd}\n"},
		{name: "no YAML", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED}, manifest: config + "---\na: [b\n", stays: garbled},
		{name: "no object", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED}, manifest: "some text\n", stays: garbled},
		{name: "another object", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED}, manifest: large, refused: "release odd: ConfigMap odd in namespace a has another data"},
		{name: "a large one that failed", statuses: map[int32]release.Status_Code{1: release.Status_FAILED}, manifest: large},
		{name: "missing revisions", statuses: map[int32]release.Status_Code{3: release.Status_SUPERSEDED, 7: release.Status_DEPLOYED}, manifest: config},
		{name: "two deployed", statuses: map[int32]release.Status_Code{1: release.Status_DEPLOYED, 2: release.Status_DEPLOYED}, manifest: config},
	} {
		for _, onward := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/onward %t", test.name, onward), func(t *testing.T) {
				s, c := unsplit(t).start(t)
				var objects []runtime.Object
				for revision, status := range test.statuses {
					objects = append(objects, inConfigMap(recordHolding(t, "old", "odd", "a", revision, status, test.manifest)))
				}
				s.Put(append(objects, configMapNamed("a", "odd"))...)
				before := recordsIn(s)
				run, refused := splitting(t, c), test.refused
				if onward {
					run = splittingOnward(t, c)
					refused += test.onward
				}
				p, err := run.Begin(t.Context())
				if !strings.Contains(fullText(err), refused) || (err != nil) != (refused != "") {
					t.Fatalf("got %q, not %q", fullText(err), refused)
				}
				if err != nil {
					if after := recordsIn(s); len(after) != len(before) {
						t.Errorf("refused, it copied: %d records, before %d", len(after), len(before))
					}
					return
				}
				index := slices.IndexFunc(p.Releases, func(r SplitRelease) bool { return r.Name == "odd" })
				if got := p.Releases[index].Stays; got != test.stays {
					t.Errorf("it stays since %q, not %q", got, test.stays)
				}
				after := recordsIn(s)
				for revision := range test.statuses {
					name := fmt.Sprintf("odd.v%d", revision)
					copied, moved := after["Secret "+name+" in namespace ta-tiller"], slices.Contains(helmRecordsIn(s, "a"), "sh.helm.release.v1."+name)
					if want := test.stays == ""; (copied == before["ConfigMap "+name+" in namespace old"]) != want || moved != (want && onward) {
						t.Errorf("%s is copied as it is: %t, moved on to Helm 3: %t", name, !want, moved)
					}
				}
			})
		}
	}
}

package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	release3 "helm.sh/helm/v3/pkg/release"
	helmtime "helm.sh/helm/v3/pkg/time"
	corev1 "k8s.io/api/core/v1"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/release"
)

func everywhere(string) bool { return true }

// old returns a record of a revision of Helm 2's, changed by each of the functions.
func old(name string, version int32, code release2.Status_Code, change ...func(*release2.Release)) Stored {
	return Read(fmt.Sprintf("%s.v%d", name, version), oldRelease(name, version, code, change...), all)
}

func oldRelease(name string, version int32, code release2.Status_Code, change ...func(*release2.Release)) *release2.Release {
	r := full()
	r.Name, r.Version, r.Info.Status.Code = name, version, code
	r.Info.LastDeployed = stamp(int(version))
	r.Hooks = r.Hooks[:1]
	for _, f := range change {
		f(r)
	}
	return r
}

func in(namespace string) func(*release2.Release) {
	return func(r *release2.Release) { r.Namespace = namespace }
}

// brief returns a release in one line.
func brief(r Release) string {
	var revisions []string
	for _, revision := range r.Revisions {
		revisions = append(revisions, fmt.Sprintf("%d:%s", revision.Version, revision.Status))
		if secret := r.EmptySecret(revision); secret.Name != fmt.Sprintf("sh.helm.release.v1.%s.v%d", r.Name, revision.Version) || secret.Namespace != r.Namespace {
			revisions = append(revisions, "in Secret "+secret.Namespace+"/"+secret.Name)
		}
	}
	return fmt.Sprintf("%s/%s %s %s %q", r.Namespace, r.Name, r.Status, strings.Join(revisions, " "), r.Notes)
}

func TestReleases(t *testing.T) {
	const (
		deployed   = release2.Status_DEPLOYED
		superseded = release2.Status_SUPERSEDED
		failed     = release2.Status_FAILED
		deleted    = release2.Status_DELETED
		upgrading  = release2.Status_PENDING_UPGRADE
	)
	for _, test := range []struct {
		name     string
		stored   []Stored
		want     []string
		problems []string
	}{
		{name: "nothing"},
		{name: "the order of versions is that of numbers",
			stored: []Stored{old("web", 10, deployed), old("web", 9, superseded), old("db", 1, failed, in("b")), old("old", 2, deleted), old("old", 1, superseded)},
			want:   []string{`b/db FAILED 1:failed []`, `a/old DELETED 1:superseded 2:uninstalled []`, `a/web DEPLOYED 9:superseded 10:deployed []`}},
		{name: "an interrupted upgrade in the past",
			stored: []Stored{old("web", 1, superseded), old("web", 2, upgrading), old("web", 3, release2.Status_UNKNOWN), old("web", 4, deployed)},
			want:   []string{`a/web DEPLOYED 1:superseded 2:pending-upgrade 3:unknown 4:deployed []`}},
		{name: "an interrupted upgrade now",
			stored:   []Stored{old("web", 1, superseded), old("web", 2, deployed), old("web", 3, upgrading)},
			problems: []string{`release web, revision 3, is PENDING_UPGRADE: wait for the helm that works on it, or go back with helm tenant rollback web 2`}},
		{name: "an interrupted install, deletion, and what nobody knows",
			stored: []Stored{old("one", 1, release2.Status_PENDING_INSTALL), old("two", 4, release2.Status_DELETING), old("three", 1, release2.Status_UNKNOWN), old("four", 1, deployed)},
			want:   []string{`a/four DEPLOYED 1:deployed []`},
			problems: []string{
				`release one, revision 1, is PENDING_INSTALL: wait for the helm that works on it, or delete it with helm tenant delete --purge one`,
				`release three, revision 1, is UNKNOWN: wait for the helm that works on it, or delete it with helm tenant delete --purge three`,
				`release two, revision 4, is DELETING: delete it again with helm tenant delete --purge two`}},
		{name: "elsewhere",
			stored:   []Stored{old("web", 1, deployed, in("c")), old("ns", 1, deleted, in(""))},
			problems: []string{`release ns is in namespace "", which is not the tenant's: give it to the tenant with init, or delete the release with helm tenant delete --purge ns`, `release web is in namespace "c", which is not the tenant's: give it to the tenant with init, or delete the release with helm tenant delete --purge web`}},
		{name: "installed anew in another namespace",
			stored: []Stored{old("web", 1, superseded, in("c")), old("web", 2, superseded, in("b")), old("web", 3, deployed)},
			want:   []string{`a/web DEPLOYED 3:deployed ["revision 1 was in namespace c and does not move" "revision 2 was in namespace b and does not move"]`}},
		{name: "hooks that Helm 3 has not",
			stored: []Stored{old("web", 1, superseded, func(r *release2.Release) { r.Hooks = full().Hooks }), old("web", 2, deployed, func(r *release2.Release) { r.Hooks = full().Hooks[2:] })},
			want: []string{`a/web DEPLOYED 1:superseded 2:deployed ["Helm 3 has no crd-install hook webs.example.com: what it made stays, and helm leaves it alone"` +
				` "Helm 3 has no test-failure hook web-broken" "Helm 3 has no test-failure hook web-test"]`}},
		{name: "names", stored: []Stored{old("Web", 1, deployed), old("a_b", 1, deployed), old("a.b-c", 1, deployed), old(strings.Repeat("x", 54), 1, deployed)},
			want:     []string{`a/a.b-c DEPLOYED 1:deployed []`},
			problems: []string{`release "Web" has a name that Helm 3 does not take`, `release "a_b" has a name that Helm 3 does not take`, `release "` + strings.Repeat("x", 54) + `" has a name that Helm 3 does not take`}},
		{name: "records that no Tiller wrote",
			stored:   []Stored{Unreadable("broken.v1", errors.New("Secret broken.v1 is none")), Read("web.v1", oldRelease("db", 1, deployed), nil), Read("web.v2", oldRelease("web", 1, deployed), nil)},
			problems: []string{"Secret broken.v1 is none", "record web.v1 holds db.v1, which no Tiller writes: remove it", "record web.v2 holds web.v1, which no Tiller writes: remove it"}},
		{name: "all of it at once",
			stored: []Stored{old("web", 1, superseded, func(r *release2.Release) { r.Config.Raw = "[" }), old("web", 2, upgrading, in("c"), func(r *release2.Release) { r.Chart = nil })},
			problems: []string{`release web is in namespace "c", which is not the tenant's: give it to the tenant with init, or delete the release with helm tenant delete --purge web`,
				`release web, revision 2, is PENDING_UPGRADE: wait for the helm that works on it, or delete it with helm tenant delete --purge web`,
				`release web, revision 2, can't be converted: it has no chart`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			releases, problems := Releases(test.stored, 0, func(ns string) bool { return ns == "a" || ns == "b" })
			var got, output []string
			for _, r := range releases {
				got = append(got, brief(r))
			}
			for _, problem := range problems {
				output = append(output, problem.Error())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("releases: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.problems, output); diff != "" {
				t.Errorf("problems: -want +got:\n%s", diff)
			}
		})
	}
}

// all keeps every object of a manifest.
func all(Object) bool { return true }

// TestReadKeeps: of the objects of a manifest only those stay that are asked for, so that the
// memory for a release does not depend on their number.
func TestReadKeeps(t *testing.T) {
	var manifest strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&manifest, "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: part-%d\n", i)
	}
	one := oldRelease("web", 1, release2.Status_DEPLOYED, func(r *release2.Release) { r.Manifest = manifest.String() })
	for _, test := range []struct {
		keeps func(Object) bool
		want  int
	}{
		{nil, 0},
		{func(Object) bool { return false }, 0},
		{func(o Object) bool { return o.Name == "part-7" }, 1},
		{all, 5000},
	} {
		if kept := Read("web.v1", one, test.keeps).revision.objects; len(kept) != test.want || test.want == 1 && kept[0].Name != "part-7" {
			t.Errorf("%d objects are kept, not %d", len(kept), test.want)
		}
	}
}

// TestNoteOutside: what is in no namespace of the tenant's is noted, of the current revision.
func TestNoteOutside(t *testing.T) {
	manifest := func(r *release2.Release) {
		r.Manifest = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reader, namespace: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: here}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: there, namespace: z}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: own, namespace: b}\n"
	}
	note := "outside the tenant's namespaces, so that its deployer can't upgrade or delete it: ClusterRole reader, ConfigMap there in namespace z"
	for _, test := range []struct {
		stored []Stored
		want   []string
	}{
		{[]Stored{old("web", 1, release2.Status_DEPLOYED, manifest)}, []string{note}},
		{[]Stored{old("web", 1, release2.Status_SUPERSEDED, manifest), old("web", 2, release2.Status_DEPLOYED)}, nil},
		{[]Stored{old("web", 1, release2.Status_DELETED, manifest)}, nil},
	} {
		releases, problems := Releases(test.stored, 0, everywhere)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		releases[0].NoteOutside([]string{"a", "b"}, func(r Resource) bool { return r.Kind == "ClusterRole" })
		if diff := cmp.Diff(test.want, releases[0].Notes); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestNoteUnserved(t *testing.T) {
	manifestOf := func(kind string) func(*release2.Release) {
		return func(r *release2.Release) {
			r.Manifest = "\n---\n# Source: x\napiVersion: extensions/v1beta1\nkind: " + kind + "\nmetadata: {name: web}\n---\n# nothing\n\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n"
		}
	}
	serves := func(r Resource) bool { return r.APIVersion == "v1" || r.APIVersion == "apps/v1" }
	for _, test := range []struct {
		name   string
		stored []Stored
		want   []string
	}{
		{"the one that is deployed counts", []Stored{old("web", 1, release2.Status_SUPERSEDED, manifestOf("Past")), old("web", 2, release2.Status_DEPLOYED, manifestOf("Deployment")), old("web", 3, release2.Status_FAILED, manifestOf("Past"))},
			[]string{"Deployment web is of extensions/v1beta1, which this API server does not serve: Helm 3 can't upgrade the release before the Helm plugin mapkubeapis has changed its record",
				"Helm 3 can't roll back to revision 1, 3, which has a Past of extensions/v1beta1: this API server does not serve it"}},
		{"else the newest", []Stored{old("web", 1, release2.Status_SUPERSEDED, manifestOf("Past")), old("web", 2, release2.Status_FAILED, manifestOf("Failed"))},
			[]string{"Failed web is of extensions/v1beta1, which this API server does not serve: Helm 3 can't upgrade the release before the Helm plugin mapkubeapis has changed its record",
				"Helm 3 can't roll back to revision 1, which has a Past of extensions/v1beta1: this API server does not serve it"}},
		{"an older one alone", []Stored{old("web", 1, release2.Status_SUPERSEDED, manifestOf("Past")), old("web", 2, release2.Status_DEPLOYED)},
			[]string{"Helm 3 can't roll back to revision 1, which has a Past of extensions/v1beta1: this API server does not serve it"}},
		{"deleted", []Stored{old("web", 1, release2.Status_DELETED, manifestOf("Deployment"))},
			[]string{"Helm 3 can't roll back to revision 1, which has a Deployment of extensions/v1beta1: this API server does not serve it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			releases, problems := Releases(test.stored, 0, everywhere)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			releases[0].NoteUnserved(serves)
			if diff := cmp.Diff(test.want, releases[0].Notes); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// secretOf returns the Secret that is written of a revision.
func secretOf(t *testing.T, revision Revision, stored *release2.Release) *corev1.Secret {
	t.Helper()
	secret, err := revision.Secret(stored)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// keptOf reads the records, and checks that a record recognized by its digest equals the parsed
// one.
func keptOf(t *testing.T, r Release, live []corev1.Secret) []Kept {
	t.Helper()
	var all []Kept
	for _, secret := range live {
		kept, parsed := ReadKept(r, secret, nil, release.NewBudget()), ReadKept(Release{}, secret, nil, release.NewBudget())
		if !reflect.DeepEqual(kept.revision, parsed.revision) || kept.name != parsed.name || kept.namespace != parsed.namespace || (kept.problem == nil) != (parsed.problem == nil) {
			t.Errorf("known by its digest it is %v, parsed %v", kept, parsed)
		}
		all = append(all, kept)
	}
	return all
}

func TestCompare(t *testing.T) {
	releases, problems := Releases([]Stored{old("web", 1, release2.Status_SUPERSEDED), old("web", 2, release2.Status_DEPLOYED)}, 0, everywhere)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r := releases[0]
	// stored is a revision as it lies in the cluster, changed by each function.
	stored := func(version int, change ...func(*release3.Release)) corev1.Secret {
		t.Helper()
		existing, err := release.InSecret(*secretOf(t, r.Revisions[min(version, 2)-1], oldRelease("web", int32(min(version, 2)), map[bool]release2.Status_Code{true: release2.Status_SUPERSEDED, false: release2.Status_DEPLOYED}[version == 1])), release.NewBudget())
		if err != nil {
			t.Fatal(err)
		}
		existing.Version = version
		for _, f := range change {
			f(existing)
		}
		secret, err := helm3Secret(existing)
		if err != nil {
			t.Fatal(err)
		}
		return *secret
	}
	superseded := func(r *release3.Release) {
		r.Info.Status, r.Info.Description = release3.StatusSuperseded, "Superseded"
	}
	other := func(r *release3.Release) { r.Manifest += "#" }
	anew := func(r *release3.Release) { r.Info.FirstDeployed = minute(9) }
	kept := func(r *release3.Release) { r.Info.Status = release3.StatusUninstalled }
	disguised := stored(2)
	disguised.Type = "Opaque"
	for _, test := range []struct {
		name  string
		live  []corev1.Secret
		moved bool
		want  string
		none  bool
	}{
		{"nothing", nil, false, "missing [1 2] changed [] later [] foreign []", true},
		{"half of it", []corev1.Secret{stored(1)}, false, "missing [2] changed [] later [] foreign []", false},
		{"all of it", []corev1.Secret{stored(2), stored(1)}, true, "missing [] changed [] later [] foreign []", false},
		{"its newest removed", []corev1.Secret{stored(1)}, true, "missing [2] changed [] later [] foreign []", false},
		{"upgraded", []corev1.Secret{stored(1), stored(2, superseded), stored(4, other), stored(3, superseded)}, true, "missing [] changed [2] later [3 4] foreign []", false},
		{"upgraded before all was written", []corev1.Secret{stored(2, superseded), stored(3)}, false, "missing [1] changed [2] later [3] foreign []", false},
		{"upgraded until the past was forgotten", []corev1.Secret{stored(12), stored(13)}, true, "missing [1 2] changed [] later [12 13] foreign []", false},
		{"another's", []corev1.Secret{stored(1, other)}, false, "missing [1 2] changed [] later [] foreign [Secret sh.helm.release.v1.web.v1: it holds another release]", true},
		{"another's, of a later version", []corev1.Secret{stored(3)}, false, "missing [1 2] changed [] later [] foreign [Secret sh.helm.release.v1.web.v3: it holds another release]", true},
		{"another's, installed at another time", []corev1.Secret{stored(2, anew)}, false, "missing [1 2] changed [] later [] foreign [Secret sh.helm.release.v1.web.v2: it holds another release]", true},
		{"installed anew, and upgraded", []corev1.Secret{stored(1, anew), stored(2, anew), stored(3, anew)}, true, "missing [1 2] changed [] later [] foreign [Secret sh.helm.release.v1.web.v1: it holds another release" +
			" Secret sh.helm.release.v1.web.v2: it holds another release Secret sh.helm.release.v1.web.v3: it holds another release]", true},
		{"installed anew, in the place of a history that was kept", []corev1.Secret{stored(1), stored(2, kept), stored(3, anew)}, true, "missing [] changed [2] later [] foreign [Secret sh.helm.release.v1.web.v3: it holds another release]", false},
		{"upgraded, uninstalled with its history kept, and installed anew", []corev1.Secret{stored(1), stored(2, superseded), stored(3, kept), stored(4, anew)}, true, "missing [] changed [2] later [3] foreign [Secret sh.helm.release.v1.web.v4: it holds another release]", false},
		{"no record of helm's", []corev1.Secret{disguised, {}}, true, "missing [1 2] changed [] later [] foreign [Secret sh.helm.release.v1.web.v2: it is no record that helm writes Secret : it holds no release]", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Compare(r, keptOf(t, r, test.live), test.moved)
			var missing []int
			for _, revision := range s.Missing {
				missing = append(missing, revision.Version)
			}
			if got := fmt.Sprintf("missing %v changed %v later %v foreign %v", missing, s.Changed, s.Later, s.Foreign); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
			// Helm 3 deletes the newest revision only after it has made a later one, or with
			// all others.
			if lost := slices.Contains(missing, 2) && len(s.Later) == 0; s.Lost(r) != lost {
				t.Errorf("its newest is lost: %v", s.Lost(r))
			}
			if s.None() != test.none {
				t.Errorf("none of it is there: %v", s.None())
			}
		})
	}
}

// TestCompareFirstDeployed: a descendant of a release has the time of one of its revisions, or
// none if Helm 2 recorded none.
func TestCompareFirstDeployed(t *testing.T) {
	first := func(s int) func(*release2.Release) {
		return func(r *release2.Release) { r.Info.FirstDeployed = stamp(s) }
	}
	unknown := func(r *release2.Release) { r.Info.FirstDeployed = nil }
	for _, test := range []struct {
		name   string
		stored []*release2.Release
		first  helmtime.Time
		ours   bool
	}{
		{"that of the newest", []*release2.Release{oldRelease("web", 1, release2.Status_SUPERSEDED, first(1)), oldRelease("web", 2, release2.Status_DEPLOYED, first(2))}, minute(2), true},
		{"that of an older one, which is deployed", []*release2.Release{oldRelease("web", 1, release2.Status_DEPLOYED, first(1)), oldRelease("web", 2, release2.Status_FAILED, first(2))}, minute(1), true},
		{"another", []*release2.Release{oldRelease("web", 1, release2.Status_DEPLOYED, first(1)), oldRelease("web", 2, release2.Status_FAILED, first(2))}, minute(3), false},
		{"none, as before", []*release2.Release{oldRelease("web", 1, release2.Status_DEPLOYED, unknown)}, helmtime.Time{}, true},
		{"one, and none before", []*release2.Release{oldRelease("web", 1, release2.Status_DEPLOYED, unknown)}, minute(3), false},
		{"none, and one before", []*release2.Release{oldRelease("web", 1, release2.Status_DEPLOYED, first(1))}, helmtime.Time{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stored []Stored
			for _, one := range test.stored {
				stored = append(stored, Read(fmt.Sprintf("web.v%d", one.Version), one, all))
			}
			releases, problems := Releases(stored, 0, everywhere)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			r := releases[0]
			live := []corev1.Secret{}
			for i, revision := range r.Revisions {
				live = append(live, *secretOf(t, revision, test.stored[i]))
			}
			next, err := release.InSecret(live[len(live)-1], release.NewBudget())
			if err != nil {
				t.Fatal(err)
			}
			next.Version, next.Info.FirstDeployed = r.Newest().Version+1, test.first
			secret, err := helm3Secret(next)
			if err != nil {
				t.Fatal(err)
			}
			s := Compare(r, keptOf(t, r, append(live, *secret)), true)
			if ours := len(s.Later) == 1 && s.Ours[0] == secret.Name && len(s.Foreign) == 0; ours != test.ours || len(s.Missing) > 0 {
				t.Errorf("ours: %v; %+v", ours, s)
			}
		})
	}
}

// TestReleasesTooLarge: what Helm 2 stored may not fit any more, since base64 is within
// the zip now.
func TestReleasesTooLarge(t *testing.T) {
	random := make([]byte, 900<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	old := full()
	old.Chart.Files = []*anypb.Any{{TypeUrl: "big", Value: random}}
	_, problems := Releases([]Stored{Read("web.v3", old, all)}, 0, everywhere)
	if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "release web, revision 3, is too large: it takes ") {
		t.Errorf("it says %v", problems)
	}
}

// FuzzRecords: a chart can bring records of its own making, of either helm.
func FuzzRecords(f *testing.F) {
	whole, err := proto.Marshal(protoadapt.MessageV2Of(full()))
	if err != nil {
		f.Fatal(err)
	}
	secret, err := helm3Secret(converted())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, secret.Data["release"])
	f.Add([]byte{}, []byte("e30="))
	f.Fuzz(func(t *testing.T, message, text []byte) {
		if r, err := release.InSecret(corev1.Secret{Data: map[string][]byte{"release": text}}, release.NewBudget()); err == nil {
			one := Release{Name: r.Name, Namespace: r.Namespace, Revisions: []Revision{{Version: 3}}}
			Compare(one, keptOf(t, one, []corev1.Secret{{Data: map[string][]byte{"release": text}}}), true)
		}
		_, _ = release.Helm2(text, release.NewBudget())
		_, _, _ = release.HelmChart(text, release.NewBudget())
		var old release2.Release
		if proto.Unmarshal(message, protoadapt.MessageV2Of(&old)) != nil {
			return
		}
		releases, problems := Releases([]Stored{Read(fmt.Sprintf("%s.v%d", old.GetName(), old.GetVersion()), &old, all)}, 0, everywhere)
		if len(releases)+len(problems) == 0 {
			t.Error("it is neither converted nor refused")
		}
		for i := range releases {
			releases[i].NoteUnserved(func(Resource) bool { return false })
			newest := releases[i].Newest()
			if kept := ReadKept(Release{}, *secretOf(t, newest, &old), nil, release.NewBudget()); kept.problem != nil || kept.revision.whole != newest.whole {
				t.Errorf("what was written is read as %v", kept)
			}
		}
	})
}

// helm3Secret returns the Secret in which Helm 3 keeps a release.
func helm3Secret(r *release3.Release) (*corev1.Secret, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return release.Secret(r, plain)
}

package migrate

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

// TestSecret holds the object to what Helm 3's driver writes, and reads it again.
func TestSecret(t *testing.T) {
	r := converted()
	secret, err := secretOf(r)
	if err != nil {
		t.Fatal(err)
	}
	want := corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.web.v3", Namespace: "a", Labels: map[string]string{
			"name": "web", "owner": "helm", "status": "uninstalled", "version": "3", "createdAt": "1605262890"}},
		Type: "helm.sh/release.v1",
		Data: secret.Data,
	}
	if diff := cmp.Diff(want, *secret); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// By hand, so that no mistake of one direction is undone by the other.
	zipped, err := base64.StdEncoding.DecodeString(string(secret.Data["release"]))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	var by release.Release
	if err := json.Unmarshal(plain, &by); err != nil {
		t.Fatal(err)
	}
	read, err := ReleaseOf(*secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []*release.Release{&by, read} {
		if diff := cmp.Diff(converted(), got, unexported); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	again, err := secretOf(read)
	if err != nil || !cmp.Equal(again, secret) {
		t.Errorf("written again it differs (%v): %s", err, cmp.Diff(secret, again))
	}
}

func TestSecretTooLarge(t *testing.T) {
	r := converted()
	random := make([]byte, 900<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	r.Chart.Files = append(r.Chart.Files, &chart.File{Name: "big", Data: random})
	if _, err := secretOf(r); err == nil || !strings.Contains(err.Error(), "a Secret holds 1048576") {
		t.Errorf("it says %v", err)
	}
	// What Helm 2 stored may not fit any more: base64 is within the zip now.
	old := full()
	old.Chart.Files = []*anypb.Any{{TypeUrl: "big", Value: random}}
	_, problems := Releases([]Stored{{Object: "web.v3", Release: old}}, everywhere)
	if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "release web, revision 3, can't be converted: it takes ") {
		t.Errorf("it says %v", problems)
	}
}

func TestReleaseOfBroken(t *testing.T) {
	zip := func(text string) []byte {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, _ = io.WriteString(w, text) // into memory
		_ = w.Close()
		return zipped.Bytes()
	}
	for name, text := range map[string]string{
		"no base64": "***", "no JSON": base64.StdEncoding.EncodeToString(zip("{")),
		"cut":       base64.StdEncoding.EncodeToString(zip(strings.Repeat("x", 100))[:20]),
		"no status": base64.StdEncoding.EncodeToString(zip(`{"name":"web"}`)),
		"a bomb":    base64.StdEncoding.EncodeToString(zip(strings.Repeat(" ", maxRelease+1))),
	} {
		if r, err := ReleaseOf(corev1.Secret{Data: map[string][]byte{"release": []byte(text)}}); err == nil {
			t.Errorf("%s: it reads %v", name, r)
		}
	}
	if _, err := ReleaseOf(corev1.Secret{}); err == nil {
		t.Error("a Secret without a release is read")
	}
	// The first Helm 3 did not zip.
	plain := base64.StdEncoding.EncodeToString([]byte(`{"name":"web","info":{"deleted":"","status":"deployed"}}`))
	if r, err := ReleaseOf(corev1.Secret{Data: map[string][]byte{"release": []byte(plain)}}); err != nil || r.Name != "web" {
		t.Errorf("unzipped: %v, %v", r, err)
	}
}

// FuzzRecords: a chart can bring records of its own making, of either helm.
func FuzzRecords(f *testing.F) {
	whole, err := proto.Marshal(protoadapt.MessageV2Of(full()))
	if err != nil {
		f.Fatal(err)
	}
	secret, err := secretOf(converted())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, secret.Data["release"])
	f.Add([]byte{}, []byte("e30="))
	f.Fuzz(func(t *testing.T, message, text []byte) {
		if r, err := ReleaseOf(corev1.Secret{Data: map[string][]byte{"release": text}}); err == nil {
			Compare(Release{Name: r.Name, Namespace: r.Namespace, Revisions: []Revision{{Release: converted()}}}, []corev1.Secret{{Data: map[string][]byte{"release": text}}}, true)
		}
		var old release2.Release
		if proto.Unmarshal(message, protoadapt.MessageV2Of(&old)) != nil {
			return
		}
		releases, problems := Releases([]Stored{{Object: fmt.Sprintf("%s.v%d", old.GetName(), old.GetVersion()), Release: &old}}, everywhere)
		if len(releases)+len(problems) == 0 {
			t.Error("it is neither converted nor refused")
		}
		for i := range releases {
			releases[i].NoteUnserved(func(Resource) bool { return false })
			read, err := ReleaseOf(*releases[i].Newest().Secret)
			if err != nil || !same(read, releases[i].Newest().Release) {
				t.Errorf("what was written is read as %v, %v", read, err)
			}
		}
	})
}

package release

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	corev1 "k8s.io/api/core/v1"
	chart2 "k8s.io/helm/pkg/proto/hapi/chart"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

// again repeats a text.
type again struct{ text, left string }

func (a *again) Read(p []byte) (int, error) {
	if a.left == "" {
		a.left = strings.Repeat(a.text, 1<<16)
	}
	n := copy(p, a.left)
	a.left = a.left[n:]
	return n, nil
}

// bomb returns a record that fits into an object and unpacks to a text so many bytes long,
// with head and tail around what is repeated.
func bomb(t testing.TB, head, repeated, tail string, size int64) []byte {
	t.Helper()
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []io.Reader{strings.NewReader(head), io.LimitReader(&again{text: repeated}, size-int64(len(head)+len(tail))), strings.NewReader(tail)} {
		if _, err := io.Copy(w, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if zipped.Len() > 1<<20 {
		t.Fatalf("%d bytes do not fit into an object", zipped.Len())
	}
	return base64.StdEncoding.AppendEncode(nil, zipped.Bytes())
}

// readers are all functions that read a record, and how much memory each may take in
// all while it does.
var readers = map[string]struct {
	most uint64
	read func([]byte, *Budget) error
}{
	"Helm2Summary": {2 << 20, func(packed []byte, b *Budget) error { _, err := Helm2Summary(packed, b); return err }},
	"HelmChart":    {2 << 20, func(packed []byte, b *Budget) error { _, _, err := HelmChart(packed, b); return err }},
	"Helm2":        {8 * maxUnpacked, func(packed []byte, b *Budget) error { _, err := Helm2(packed, b); return err }},
	"InSecret": {8 * maxUnpacked, func(packed []byte, b *Budget) error {
		_, err := InSecret(corev1.Secret{Data: map[string][]byte{"release": packed}}, b)
		return err
	}},
}

// allocated is how many bytes do allocates in all.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBombs: whatever a record of an object's size unpacks to, reading it takes
// bounded memory. Anybody who may write a ConfigMap can make one.
func TestBombs(t *testing.T) {
	const whole = 8 << 20
	for name, packed := range map[string][]byte{
		"zeros":                       bomb(t, "", "\x00", "", whole),
		"too many zeros":              bomb(t, "", "\x00", "", 33<<20),
		"empty charts":                bomb(t, "", "\x1a\x00", "", whole),
		"empty hooks":                 bomb(t, "", "\x32\x00", "", whole),
		"empty templates":             bomb(t, "\x1a"+varint(whole-5), "\x12\x00", "", whole),
		"charts in charts":            bomb(t, "\x1a"+varint(whole-5), "\x1a\x02\x1a\x00", "", whole),
		"names of a chart":            bomb(t, "\x1a"+varint(whole-5)+"\x0a"+varint(whole-10), "\x0a\x00", "", whole),
		"empty keywords":              bomb(t, "\x1a"+varint(whole-5)+"\x0a"+varint(whole-10), "\x2a\x00", "", whole),
		"a long name":                 bomb(t, "\x0a"+varint(whole-5), "x", "", whole),
		"a long manifest":             bomb(t, "\x2a"+varint(whole-5), "x", "", whole),
		"a field that never ends":     bomb(t, "\x2a"+varint(1<<31-1), "x", "", whole),
		"a number that never ends":    bomb(t, "\x38", "\xff", "", whole),
		"groups":                      bomb(t, "", "\x0b", "", whole),
		"JSON: a list of lists":       bomb(t, `{"hooks":[`, `[],`, `[]]}`, whole),
		"JSON: lists in lists":        bomb(t, `{"config":`, `{"a":`, ``, whole),
		"JSON: many templates":        bomb(t, `{"info":{},"chart":{"templates":[`, `{},`, `{}]}}`, whole),
		"JSON: a long name":           bomb(t, `{"name":"`, `x`, `"}`, whole),
		"JSON: a long key":            bomb(t, `{"`, `x`, `":1}`, whole),
		"JSON: a long chart's name":   bomb(t, `{"chart":{"metadata":{"name":"`, `x`, `"}}}`, whole),
		"JSON: backslashes":           bomb(t, `{"name":"`, `\`, `"}`, whole),
		"JSON: the chart at its end":  bomb(t, `{"manifest":"`, `x`, `","chart":{"metadata":{"name":"n"}}}`, whole),
		"JSON: spaces":                bomb(t, `{`, ` `, `}`, whole),
		"JSON: a number":              bomb(t, `{"version":`, `1`, `}`, whole),
		"JSON: many keys":             bomb(t, `{`, `"a":1,`, `"b":1}`, whole),
		"JSON: chart after chart":     bomb(t, `{`, `"chart":{},`, `"b":1}`, whole),
		"it says that it is small":    withSize(t, bomb(t, "", "\x00", "", 33<<20), 100),
		"it says that it is the most": withSize(t, bomb(t, "", "\x00", "", 33<<20), maxUnpacked),
	} {
		for reader, r := range readers {
			if got := allocated(func() { _ = r.read(packed, NewBudget()) }); got > r.most {
				t.Errorf("%s of %s took %d bytes", reader, name, got)
			}
		}
	}
}

func varint(n uint64) string {
	var text []byte
	for range 3 { // always four bytes, so that the sizes above are easy to see
		text = append(text, byte(n)|0x80)
		n >>= 7
	}
	return string(append(text, byte(n)))
}

func withSize(t *testing.T, packed []byte, size uint32) []byte {
	t.Helper()
	zipped, err := base64.StdEncoding.DecodeString(string(packed))
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.AppendEncode(nil, sizedAs(zipped, size))
}

// TestBudget: many records below the limit exceed the budget of a run together; records with
// the usual ratio do not, however many there are.
func TestBudget(t *testing.T) {
	budget := NewBudget()
	exploding, usual := bomb(t, "\x2a"+varint(maxUnpacked-5), "x", "", maxUnpacked), record(t, usualManifest(200<<10))
	read := 0
	for range 100 {
		if _, err := Helm2Summary(exploding, budget); err == nil {
			read++
		} else if want := "it unpacks to "; !strings.HasPrefix(err.Error(), want) {
			t.Fatal(err)
		}
	}
	if read == 0 || read > maxExcess/(maxUnpacked/2) {
		t.Errorf("%d of 100 were read", read)
	}
	for range 1000 {
		if _, err := Helm2Summary(usual, budget); err != nil {
			t.Fatal(err)
		}
	}
}

// usualManifest returns a text that packs as manifests do.
func usualManifest(size int) string {
	var text strings.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for text.Len() < size {
		fmt.Fprintf(&text, "  - name: item-%d\n    value: %q\n", random.IntN(1e6), fmt.Sprint(random.Uint64()))
	}
	return text.String()
}

func record(t testing.TB, manifest string) []byte {
	t.Helper()
	plain, err := proto.Marshal(protoadapt.MessageV2Of(&release2.Release{
		Name: "web", Namespace: "a", Version: 3, Manifest: manifest, Info: &release2.Info{Description: "Install complete"},
		Chart: &chart2.Chart{
			Metadata:  &chart2.Metadata{Name: "nginx", Version: "1.2.3", Keywords: []string{"web"}},
			Templates: []*chart2.Template{{Name: "x", Data: []byte(manifest)}},
		},
		Hooks: []*release2.Hook{{Name: "before", Weight: -5, Events: []release2.Hook_Event{release2.Hook_PRE_INSTALL, release2.Hook_POST_INSTALL}}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	text, err := pack(plain)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestHelm2Summary reads by fields what Helm 2's own types read.
func TestHelm2Summary(t *testing.T) {
	encode := func(plain string) []byte { return base64.StdEncoding.AppendEncode(nil, []byte(plain)) }
	for _, test := range []struct {
		name   string
		packed []byte
		want   Summary
		fails  bool
	}{
		{"a release", record(t, usualManifest(100<<10)), Summary{Name: "web", Namespace: "a", Version: 3, Chart: "nginx-1.2.3"}, false},
		{"not zipped", encode("\x0a\x03web\x42\x01a\x38\x03"), Summary{Name: "web", Namespace: "a", Version: 3, Chart: "-"}, false},
		{"two namespaces, of which Tiller takes the last", encode("\x42\x01a\x42\x01b"), Summary{Namespace: "b", Chart: "-"}, false},
		{"a negative version", encode("\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Summary{Version: -1, Chart: "-"}, false},
		{"fields that it does not know", encode("\x4a\x01x\x51\x00\x00\x00\x00\x00\x00\x00\x00\x5d\x00\x00\x00\x00\x0a\x01w"), Summary{Name: "w", Chart: "-"}, false},
		{"nothing", nil, Summary{Chart: "-"}, false},
		{"cut in a name", encode("\x0a\x05we"), Summary{}, true},
		{"cut in a tag", encode("\x8a"), Summary{}, true},
		{"a chart that ends in a field", encode("\x1a\x02\x0a\x05\x0a\x01w"), Summary{}, true},
		{"no UTF-8", encode("\x0a\x01\xff"), Summary{}, true},
		{"field 0", encode("\x02\x00"), Summary{}, true},
		{"a group", encode("\x0b\x0c"), Summary{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Helm2Summary(test.packed, NewBudget())
			if diff := cmp.Diff(test.want, got); diff != "" || test.fails != (err != nil) {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}

func TestHelmChart(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"w","info":{"notes":"a \"chart\": {"},"chart":{"lock":null,"metadata":{"annotations":{"name":"no"},"name":"nginx","version":"1.2.3"},"templates":[{"name":"x"}]}}`: "nginx-1.2.3",
		` { "chart" : { "metadata" : { "version" : "1" , "name" : "\u006eginx" } } } `:                                                                                              "nginx-1",
		`{"chart":{"metadata":null}}`: "-",
		`{"chart":null}`:              "-",
		`{}`:                          "-",
		`{"chart":{"metadata":{"name":{"a":[1,"]"]},"version":"1"}}}`:                                                  "-1",
		`{"hooks":[{"name":"}"},[[]],1e9,true,null],"chart":{"metadata":{"name":"n","version":"1"}},"rest is not read`: "n-1",
		``:                                     "",
		`{`:                                    "",
		`[]`:                                   "",
		`{"chart"}`:                            "",
		`{"chart":[]}`:                         "",
		`{"a":]}`:                              "",
		`{"a":,"chart":{}}`:                    "",
		`{"chart":{"metadata":{`:               "",
		`{"chart":{"metadata":{"name":"\q"}}}`: "",
	} {
		if got, _, err := HelmChart(packed(t, text), NewBudget()); got != want || (want == "") != (err != nil) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// FuzzRecord: no text makes a reader take more memory than its bound, and the short
// reading agrees with the whole one.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("\x0a\x03web\x42\x01a\x38\x03"), false, uint16(1))
	f.Add([]byte("\x1a\x06\x0a\x04\x0a\x02we"), true, uint16(1))
	f.Add([]byte("\x1a\x00"), true, uint16(9999))
	f.Add([]byte(`{"info":{},"chart":{"metadata":{"name":"a","version":"1"}}}`), true, uint16(1))
	f.Add([]byte(`{"a":`), true, uint16(9999))
	f.Fuzz(func(t *testing.T, plain []byte, zip bool, times uint16) {
		text := base64.StdEncoding.AppendEncode(nil, plain)
		if zip {
			// No more than is read of a record.
			plain = bytes.Repeat(plain, min(1+int(times), maxUnpacked/max(1, len(plain))))
			var err error
			if text, err = pack(plain); err != nil {
				t.Fatal(err)
			}
		}
		for reader, r := range readers {
			if got := allocated(func() { _ = r.read(text, NewBudget()) }); got > r.most {
				t.Errorf("%s took %d bytes", reader, got)
			}
		}
		r, err := Helm2(text, NewBudget())
		if err != nil {
			return
		}
		s, err := Helm2Summary(text, NewBudget())
		if err != nil {
			return // it is stricter: groups, names that are longer than any can be
		}
		meta := r.GetChart().GetMetadata()
		s.ClusterObjects = nil // reading the whole record leaves manifests unchanged
		want := Summary{Name: r.GetName(), Namespace: r.GetNamespace(), Version: int(r.GetVersion()), Chart: meta.GetName() + "-" + meta.GetVersion(), AppVersion: meta.GetAppVersion()}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("the short reading differs: -want +got:\n%s", diff)
		}
	})
}

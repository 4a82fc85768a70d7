package release

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

func packed(t *testing.T, plain string) []byte {
	t.Helper()
	text, err := pack([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestUnpack(t *testing.T) {
	whole := packed(t, strings.Repeat("x", 100))
	zipped, err := base64.StdEncoding.DecodeString(string(whole))
	if err != nil {
		t.Fatal(err)
	}
	encode := func(text []byte) []byte { return base64.StdEncoding.AppendEncode(nil, text) }
	for _, test := range []struct {
		name   string
		packed []byte
		want   string
		fails  bool
	}{
		{"packed", whole, strings.Repeat("x", 100), false},
		{"not zipped", encode([]byte("plain")), "plain", false},
		{"nothing", nil, "", false},
		{"no base64", []byte("***"), "", true},
		{"cut", encode(zipped[:15]), "", true},
		{"cut in its head", encode(zipped[:5]), "", true},
		{"with less in it than it says", encode(sizedAs(zipped, 101)), "", true},
		{"with more in it than it says", encode(sizedAs(zipped, 99)), "", true},
		{"with more behind it", encode(slices.Concat(zipped, zipped)), "", true},
		{"with something behind it", encode(slices.Concat(zipped, []byte("x"), zipped[len(zipped)-4:])), "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			plain, err := unpack(test.packed, NewBudget())
			if test.fails != (err != nil) || err == nil && string(plain) != test.want {
				t.Errorf("%q, %v", plain, err)
			}
		})
	}
}

// sizedAs returns a zipped text that says that it is of another size.
func sizedAs(zipped []byte, size uint32) []byte {
	return binary.LittleEndian.AppendUint32(slices.Clone(zipped[:len(zipped)-4]), size)
}

// TestHelm2 reads what packed packs.
func TestHelm2(t *testing.T) {
	plain, err := proto.Marshal(protoadapt.MessageV2Of(&release2.Release{Name: "web", Namespace: "a", Version: 3}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Helm2(packed(t, string(plain)), NewBudget())
	if err != nil || r.GetName() != "web" || r.GetNamespace() != "a" || r.GetVersion() != 3 {
		t.Errorf("got %v, %v", r, err)
	}
}

// TestPackedTextIsFreed: a writer that waits to be used again does not keep the last text.
func TestPackedTextIsFreed(t *testing.T) {
	plain := make([]byte, 16<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(plain)
	inUse := func(text []byte) uint64 {
		if _, err := packAt(text, gzip.BestSpeed); err != nil {
			t.Fatal(err)
		}
		runtime.GC() // the pool keeps a writer over one collection
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return memory.HeapAlloc
	}
	before := inUse(plain[:1])
	if after := inUse(plain); after > before+uint64(len(plain))/2 {
		t.Errorf("%d bytes are in use after a text of %d, and %d before", after, len(plain), before)
	}
	runtime.KeepAlive(plain)
}

package release

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// DataKey is the one under which a record holds its release.
const DataKey = "release"

const (
	// maxUnpacked bounds what one record unpacks to. Anybody who may write ConfigMaps can
	// make a record of which the one MiB that an object may hold unpacks to a thousand;
	// of helm's own, with charts and values of text, the largest hold about ten.
	maxUnpacked = 32 << 20
	// usualRatio is how often a record may unpack to its own size before it is charged to
	// the run's budget. Charts and manifests unpack to about 3 to 8 times the base64.
	usualRatio = 16
	// smallUnpacked is not charged at all: a few repeated lines have any ratio.
	smallUnpacked = 64 << 10
	// maxExcess is what all records of a run together may unpack to beyond that.
	maxExcess = 256 << 20
)

var magicGzip = []byte{0x1f, 0x8b, 0x08}

// Budget bounds what all the records that a run reads unpack to. A record of the usual
// ratio does not use it up, however many there are. It may be used concurrently.
type Budget struct {
	mutex sync.Mutex
	left  int64
}

// NewBudget returns the budget of one run.
func NewBudget() *Budget { return &Budget{left: maxExcess} }

// take charges a record of that packed size that unpacks to size. It returns an error
// where the record or the run would exceed its limit; nothing was unpacked until then.
func (b *Budget) take(packed int, size int64) error {
	if size > maxUnpacked {
		return fmt.Errorf("it unpacks to more than %d bytes", maxUnpacked)
	}
	excess := size - usualRatio*int64(packed) - smallUnpacked
	if excess <= 0 {
		return nil
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if excess > b.left {
		return fmt.Errorf("it unpacks to %d times its size, and other records that do have used up what one run unpacks", size/int64(max(packed, 1)))
	}
	b.left -= excess
	return nil
}

// Packed is what a record, a Secret or a ConfigMap, holds of its release.
func Packed(record *unstructured.Unstructured) ([]byte, error) {
	text, _, err := unstructured.NestedString(record.Object, "data", DataKey)
	if err == nil && record.GetKind() == "Secret" {
		return base64.StdEncoding.DecodeString(text)
	}
	return []byte(text), err
}

// pack is base64 of gzip. Helm writes records with gzip's best compression, and reads those
// of any level. The fastest level makes a text that is about a sixth longer in a twentieth
// of the time, so the best one is used only where the text would not fit into a Secret
// otherwise.
func pack(plain []byte) ([]byte, error) {
	packed, err := packAt(plain, gzip.BestSpeed)
	if err == nil && len(packed) > corev1.MaxSecretSize {
		packed, err = packAt(plain, gzip.BestCompression)
	}
	return packed, err
}

func packAt(plain []byte, level int) ([]byte, error) {
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, level)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(plain); err == nil {
		err = w.Close()
	}
	return base64.StdEncoding.AppendEncode(nil, zipped.Bytes()), err
}

// unpack undoes it, within the budget.
func unpack(packed []byte, budget *Budget) ([]byte, error) {
	r, size, err := open(packed, budget)
	if err != nil {
		return nil, err
	}
	plain := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err = plain.ReadFrom(r)
	return plain.Bytes(), err
}

// open returns a reader of what a record holds, and at most how much that is. The
// oldest Tillers and the first Helm 3 did not zip. Of a zipped record the size is the
// one at its end, so that one over the limit is refused before any of it is unpacked;
// one that unpacks to more than it says fails there.
func open(packed []byte, budget *Budget) (io.Reader, int64, error) {
	text := bufio.NewReader(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(packed)))
	head, err := text.Peek(len(magicGzip))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	if !bytes.Equal(head, magicGzip) {
		return text, int64(base64.StdEncoding.DecodedLen(len(packed))), nil
	}
	size, err := zippedSize(packed)
	if err == nil {
		err = budget.take(len(packed), size)
	}
	if err != nil {
		return nil, 0, err
	}
	zipped, err := gzip.NewReader(text)
	if err != nil {
		return nil, 0, err
	}
	zipped.Multistream(false) // what follows would not be in the size
	return &sized{zipped: zipped, text: text, left: size}, size, nil
}

// zippedSize reads the size at the end of a zipped record (RFC 1952, ISIZE).
func zippedSize(packed []byte) (int64, error) {
	tail := bytes.TrimRight(packed, "\r\n")
	end, err := base64.StdEncoding.AppendDecode(nil, tail[max(0, len(tail)-12):])
	if err != nil || len(end) < 4 {
		return 0, io.ErrUnexpectedEOF
	}
	return int64(binary.LittleEndian.Uint32(end[len(end)-4:])), nil
}

// errNotItsSize refuses what no helm writes: the size at the end is not that of all.
var errNotItsSize = errors.New("it unpacks to more than it says")

// sized reads a zipped record as far as the size that it says.
type sized struct {
	zipped io.Reader
	text   *bufio.Reader
	left   int64
}

func (s *sized) Read(p []byte) (int, error) {
	if int64(len(p)) > s.left {
		p = p[:s.left]
	}
	if len(p) > 0 {
		n, err := s.zipped.Read(p)
		s.left -= int64(n)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		return n, s.end()
	}
	var more [1]byte
	switch n, err := io.ReadFull(s.zipped, more[:]); {
	case n > 0:
		return 0, errNotItsSize
	case !errors.Is(err, io.EOF):
		return 0, err
	}
	return 0, s.end()
}

// end is io.EOF where nothing follows.
func (s *sized) end() error {
	_, err := s.text.Peek(1)
	if err == nil {
		return errNotItsSize
	}
	return err
}

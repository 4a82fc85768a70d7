package release

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip" // packs in half the time of compress/gzip
	corev1 "k8s.io/api/core/v1"
)

// DataKey is the key of a record's content.
const DataKey = "release"

const (
	// maxUnpacked bounds the unpacked size of one record. Whoever may write ConfigMaps
	// can make a record whose 1 MiB, the most of an object, unpacks to a thousand; helm's
	// own largest records, with charts and values of text, unpack to about ten.
	maxUnpacked = 32 << 20
	// usualRatio is the ratio of unpacked to packed size above which a record is charged
	// to the run's budget. Charts and manifests unpack to about 3 to 8 times the base64.
	usualRatio = 16
	// smallUnpacked is a size that is never charged: a few repeated lines can have any
	// ratio.
	smallUnpacked = 64 << 10
	// maxExcess bounds the total that all records of a run may unpack to beyond that.
	maxExcess = 256 << 20
)

var magicGzip = []byte{0x1f, 0x8b, 0x08}

// Budget bounds the total unpacked size of the records that a run reads. Records with the
// usual ratio do not use it up, however many there are. It is safe for concurrent use.
type Budget struct {
	mutex sync.Mutex
	left  int64
}

// NewBudget returns the budget of one run.
func NewBudget() *Budget { return &Budget{left: maxExcess} }

// take charges a record of that packed size that unpacks to size. It returns an error if
// the record or the run would exceed its limit; nothing is unpacked before.
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

// pack returns base64 of gzip. Helm writes records with gzip's best compression, and
// reads those of any level. The fastest level makes a text that is about a sixth longer
// in a twentieth of the time, so the best one is used only if the text would not fit into
// a Secret otherwise.
func pack(plain []byte) ([]byte, error) {
	packed, err := packAt(plain, gzip.BestSpeed)
	if err == nil && len(packed) > corev1.MaxSecretSize {
		packed, err = packAt(plain, gzip.BestCompression)
	}
	return packed, err
}

// fastWriters are writers of the fastest level: each holds more memory than a usual record
// takes, packed.
var fastWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that there is
	return w
}}

func packAt(plain []byte, level int) ([]byte, error) {
	var zipped bytes.Buffer
	var w *gzip.Writer
	var err error
	if level == gzip.BestSpeed {
		w = fastWriters.Get().(*gzip.Writer)
		defer func() {
			w.Reset(io.Discard) // otherwise the pool would keep the output
			fastWriters.Put(w)
		}()
		w.Reset(&zipped)
	} else if w, err = gzip.NewWriterLevel(&zipped, level); err != nil {
		return nil, err
	}
	if _, err = w.Write(plain); err == nil {
		err = w.Close()
	}
	return base64.StdEncoding.AppendEncode(nil, zipped.Bytes()), err
}

// unpack reverses pack, within the budget.
func unpack(packed []byte, budget *Budget) ([]byte, error) {
	r, size, err := open(packed, budget)
	if err != nil {
		return nil, err
	}
	plain := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err = plain.ReadFrom(r)
	return plain.Bytes(), err
}

// open returns a reader of a record's content, and the most that it reads. The oldest
// Tillers and the first Helm 3 did not compress. The size of compressed content is read
// from its end, so that a record over the limit is refused before any of it is unpacked;
// one that unpacks to more fails there.
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
	zipped.Multistream(false) // further members would not be in the size
	return &sized{zipped: zipped, text: text, left: size}, size, nil
}

// zippedSize reads the size at the end of gzip's content (RFC 1952, ISIZE).
func zippedSize(packed []byte) (int64, error) {
	tail := bytes.TrimRight(packed, "\r\n")
	end, err := base64.StdEncoding.AppendDecode(nil, tail[max(0, len(tail)-12):])
	if err != nil || len(end) < 4 {
		return 0, io.ErrUnexpectedEOF
	}
	return int64(binary.LittleEndian.Uint32(end[len(end)-4:])), nil
}

// errNotItsSize refuses content that no helm writes: it is longer than the size at its
// end.
var errNotItsSize = errors.New("it unpacks to more than it says")

// sized reads gzip's content up to the size at its end.
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

// end returns io.EOF if nothing follows.
func (s *sized) end() error {
	_, err := s.text.Peek(1)
	if err == nil {
		return errNotItsSize
	}
	return err
}

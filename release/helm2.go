package release

import (
	"bufio"
	"errors"
	"io"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
	release2 "k8s.io/helm/pkg/proto/hapi/release"
)

var (
	// errNoProtobuf has a text of our own: protobuf-go varies its texts between builds on
	// purpose (google.golang.org/protobuf/internal/errors).
	errNoProtobuf = errors.New("what it holds is no protobuf of a release")
	// errManyParts refuses messages in which two bytes can become an object in memory.
	errManyParts = errors.New("it holds more parts than any release has")
)

const (
	// maxParts bounds the fields of a message, or the values of a JSON text. The largest
	// releases have some thousands: files of a chart, values, hooks.
	maxParts = 100_000
	// maxDepth bounds the nesting of charts in charts.
	maxDepth = 64
	// maxText bounds a name or version.
	maxText = 1 << 10
)

// Summary is a release as a list shows it.
type Summary struct {
	Name, Namespace string
	Version         int
	// Chart is NAME-VERSION; AppVersion is the chart's appVersion.
	Chart, AppVersion string
	// ClusterObjects are the first cluster-scoped objects in its manifest; see
	// ClusterScoped.
	ClusterObjects []string
}

// Helm2 reads the release in the packed content, a protobuf, of a Tiller record. Its
// memory is bounded by the size of the unpacked text and by maxParts objects.
func Helm2(packed []byte, budget *Budget) (*release2.Release, error) {
	plain, err := unpack(packed, budget)
	if err != nil {
		return nil, err
	}
	var r release2.Release
	message := protoadapt.MessageV2Of(&r)
	parts := 0
	if err := countParts(plain, message.ProtoReflect().Descriptor(), &parts, maxDepth); err != nil {
		return nil, err
	}
	if proto.Unmarshal(plain, message) != nil {
		return nil, errNoProtobuf
	}
	return &r, nil
}

// countParts adds the number of fields in a message and in the messages in it. It fails
// as soon as there are too many.
func countParts(plain []byte, message protoreflect.MessageDescriptor, parts *int, depth int) error {
	if depth == 0 {
		return errManyParts
	}
	for len(plain) > 0 {
		if *parts++; *parts > maxParts {
			return errManyParts
		}
		number, kind, n := protowire.ConsumeTag(plain)
		if n < 0 {
			return errNoProtobuf
		}
		plain = plain[n:]
		n = protowire.ConsumeFieldValue(number, kind, plain)
		if n < 0 {
			return errNoProtobuf
		}
		if field := message.Fields().ByNumber(number); field != nil && field.Message() != nil && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(plain) // ConsumeFieldValue has checked it
			if err := countParts(inner, field.Message(), parts, depth-1); err != nil {
				return err
			}
		}
		plain = plain[n:]
	}
	return nil
}

// These are the fields of a release that Helm2Summary reads
// (k8s.io/helm/_proto/hapi/release, release.proto, and hapi/chart, chart.proto and
// metadata.proto).
const (
	fieldName         = 1
	fieldChart        = 3
	fieldManifest     = 5
	fieldVersion      = 7
	fieldNamespace    = 8
	fieldMetadata     = 1 // of a chart
	fieldChartName    = 1 // of metadata
	fieldChartVersion = 4
	fieldAppVersion   = 13
)

// Helm2Summary reads the summary of the release in a Tiller record field by field, and
// skips the rest: no more than a few kilobytes are in memory.
func Helm2Summary(packed []byte, budget *Budget) (Summary, error) {
	r, _, err := open(packed, budget)
	if err != nil {
		return Summary{}, err
	}
	var s Summary
	var chart, version string
	w := &wire{r: bufio.NewReader(r)}
	err = w.message(-1, func(f field) (err error) {
		switch {
		case f.number == fieldName && f.kind == protowire.BytesType:
			return w.text(f, &s.Name)
		case f.number == fieldNamespace && f.kind == protowire.BytesType:
			return w.text(f, &s.Namespace)
		case f.number == fieldManifest && f.kind == protowire.BytesType:
			s.ClusterObjects, err = w.clusterObjects(f)
			return err
		case f.number == fieldVersion && f.kind == protowire.VarintType:
			s.Version = int(int32(f.value))
		case f.number == fieldChart && f.kind == protowire.BytesType:
			return w.message(f.size, func(f field) error {
				if f.number != fieldMetadata || f.kind != protowire.BytesType {
					return nil
				}
				return w.message(f.size, func(f field) error {
					switch {
					case f.number == fieldChartName && f.kind == protowire.BytesType:
						return w.text(f, &chart)
					case f.number == fieldChartVersion && f.kind == protowire.BytesType:
						return w.text(f, &version)
					case f.number == fieldAppVersion && f.kind == protowire.BytesType:
						return w.text(f, &s.AppVersion)
					}
					return nil
				})
			})
		}
		return nil
	})
	if err != nil {
		return Summary{}, err
	}
	s.Chart = chart + "-" + version
	return s, nil
}

// field is a field of a message. size is the length of a field of bytes, value that of a
// varint.
type field struct {
	number protowire.Number
	kind   protowire.Type
	size   int64
	value  uint64
}

type wire struct {
	// lines reads a manifest line by line; it is made for the first one.
	lines *bufio.Reader
	r     *bufio.Reader
	// offset is the number of bytes read, parts the number of fields.
	offset int64
	parts  int
}

// message calls do for each field of a message of that size, or up to the end of the
// stream if size is negative. What do does not read of a field is skipped.
func (w *wire) message(size int64, do func(field) error) error {
	end := int64(math.MaxInt64)
	if size >= 0 {
		end = w.offset + size
	}
	for w.offset < end {
		if size < 0 {
			switch _, err := w.r.Peek(1); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
		}
		if w.parts++; w.parts > maxParts {
			return errManyParts
		}
		f, err := w.field()
		if err != nil {
			return err
		}
		if f.size > end-w.offset {
			return errNoProtobuf
		}
		next := w.offset + f.size
		if err := do(f); err != nil {
			return err
		}
		if err := w.skip(next - w.offset); err != nil {
			return err
		}
	}
	if w.offset != end {
		return errNoProtobuf
	}
	return nil
}

// field reads the head of a field, and a varint's value.
func (w *wire) field() (field, error) {
	tag, err := w.varint()
	if err != nil {
		return field{}, err
	}
	number, kind := protowire.DecodeTag(tag)
	f := field{number: number, kind: kind}
	switch {
	case number < protowire.MinValidNumber:
		return f, errNoProtobuf
	case kind == protowire.VarintType:
		f.value, err = w.varint()
	case kind == protowire.Fixed32Type:
		f.size = 4
	case kind == protowire.Fixed64Type:
		f.size = 8
	case kind == protowire.BytesType:
		var size uint64
		if size, err = w.varint(); err == nil && size > math.MaxInt32 {
			err = errNoProtobuf
		}
		f.size = int64(size)
	default: // groups, which no helm writes
		return f, errNoProtobuf
	}
	return f, err
}

func (w *wire) varint() (uint64, error) {
	var value uint64
	for shift := 0; shift < 64; shift += 7 {
		b, err := w.r.ReadByte()
		if err != nil {
			return 0, cut(err)
		}
		w.offset++
		value |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return value, nil
		}
	}
	return 0, errNoProtobuf
}

func (w *wire) skip(size int64) error {
	n, err := w.r.Discard(int(size))
	w.offset += int64(n)
	return cut(err)
}

func (w *wire) text(f field, into *string) error {
	if f.size > maxText {
		return errors.New("a name in it is longer than any can be")
	}
	text := make([]byte, f.size)
	n, err := io.ReadFull(w.r, text)
	w.offset += int64(n)
	if err == nil && !utf8.Valid(text) {
		err = errNoProtobuf
	}
	*into = string(text)
	return cut(err)
}

// cut returns the error for a message that ends too early.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errNoProtobuf
	}
	return err
}

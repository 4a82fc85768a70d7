package release

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// errNoJSON is the error for a text that is cut, or is not JSON.
var errNoJSON = errors.New("what it holds is no JSON of a release")

// maxChartAt bounds the search for the chart's name in a record of Helm 3. Helm writes it
// after the release's own notes, and before everything that is long.
const maxChartAt = 4 << 20

// maxKeys bounds the keys of the objects that the search reads.
const maxKeys = 10_000

// HelmChart reads the chart's name and version, as NAME-VERSION, and its appVersion from
// the packed content of a record of Helm 3 or 4. It reads nothing else: every release of
// a tenant is listed with its chart, and a later helm may store the rest in another way.
// No more than a few kilobytes are in memory, and what follows the chart's name is not
// read.
func HelmChart(packed []byte, budget *Budget) (chart, appVersion string, err error) {
	r, _, err := open(packed, budget)
	if err != nil {
		return "", "", err
	}
	s := &scanner{r: bufio.NewReader(io.LimitReader(r, maxChartAt))}
	var name, version string
	err = s.object(func(key string) error {
		if key != "chart" {
			return s.skip()
		}
		return s.object(func(key string) error {
			if key != "metadata" {
				return s.skip()
			}
			err := s.object(func(key string) error {
				switch key {
				case "name":
					return s.value(&name)
				case "version":
					return s.value(&version)
				case "appVersion":
					return s.value(&appVersion)
				}
				return s.skip()
			})
			if err == nil {
				err = errFound
			}
			return err
		})
	})
	if err != nil && !errors.Is(err, errFound) {
		return "", "", err
	}
	return name + "-" + version, appVersion, nil
}

var errFound = errors.New("found")

// scanner reads a JSON text from a stream. It only finds the end of the parts that it skips.
type scanner struct {
	r *bufio.Reader
	// read counts bytes, keys the keys of the objects that are read.
	read, keys int
	// buffer has the last text.
	buffer []byte
}

func (s *scanner) next() (byte, error) {
	c, err := s.r.ReadByte()
	if errors.Is(err, io.EOF) {
		if s.read >= maxChartAt {
			return 0, fmt.Errorf("the name of its chart is not in the first %d bytes", maxChartAt)
		}
		return 0, errNoJSON
	}
	s.read++
	return c, err
}

// token returns the next byte that is not a space.
func (s *scanner) token() (byte, error) {
	for {
		c, err := s.next()
		if err != nil || c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c, err
		}
	}
}

func (s *scanner) back() {
	if s.r.UnreadByte() == nil {
		s.read--
	}
}

// object calls do for each key of an object; do reads the value. null counts as an object
// without keys.
func (s *scanner) object(do func(key string) error) error {
	c, err := s.token()
	if err != nil {
		return err
	}
	if c == 'n' {
		s.back()
		return s.skip()
	}
	if c != '{' {
		return errNoJSON
	}
	for {
		c, err := s.token()
		switch {
		case err != nil:
			return err
		case c == '}':
			return nil
		case c == ',':
			continue
		case c != '"':
			return errNoJSON
		}
		if s.keys++; s.keys > maxKeys {
			return errManyParts
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		if c, err = s.token(); err != nil {
			return err
		}
		if c != ':' {
			return errNoJSON
		}
		if err := do(key); err != nil {
			return err
		}
	}
}

// value reads a value that is a text; another kind of value gives an empty one.
func (s *scanner) value(into *string) error {
	c, err := s.token()
	if err != nil {
		return err
	}
	if c != '"' {
		s.back()
		return s.skip()
	}
	*into, err = s.text()
	return err
}

// text reads a string to its end. A string that is too long for a name is not kept.
func (s *scanner) text() (string, error) {
	if err := s.quoted(); err != nil || len(s.buffer) > maxText {
		return "", err
	}
	if !bytes.ContainsRune(s.buffer, '\\') {
		return string(s.buffer[1 : len(s.buffer)-1]), nil
	}
	var text string
	if json.Unmarshal(s.buffer, &text) != nil {
		return "", errNoJSON
	}
	return text, nil
}

// quoted reads the rest of a string into the buffer, with its quotes, unless it is too
// long.
func (s *scanner) quoted() error {
	s.buffer = append(s.buffer[:0], '"')
	escaped := false
	for {
		c, err := s.next()
		if err != nil {
			return err
		}
		if len(s.buffer) <= maxText {
			s.buffer = append(s.buffer, c)
		}
		if c == '"' && !escaped {
			return nil
		}
		escaped = c == '\\' && !escaped
	}
}

func (s *scanner) skip() error {
	depth := 0
	for {
		c, err := s.token()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			if err := s.quoted(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		case ',', ':':
			if depth == 0 {
				return errNoJSON
			}
			continue
		default: // a number, true, false or null
			if err := s.literal(); err != nil {
				return err
			}
		}
		if depth < 0 {
			return errNoJSON
		}
		if depth == 0 {
			return nil
		}
	}
}

// literal reads the rest of a number, true, false or null.
func (s *scanner) literal() error {
	for {
		c, err := s.next()
		if err != nil {
			return err
		}
		switch c {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			s.back()
			return nil
		}
	}
}

// countValues fails if a JSON text has more values than any release: three bytes of it
// can become an object in memory.
func countValues(plain []byte) error {
	parts, quoted := 0, false
	for i := 0; i < len(plain); i++ {
		switch c := plain[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == '{' || c == '['):
			if parts++; parts > maxParts {
				return errManyParts
			}
		}
	}
	return nil
}

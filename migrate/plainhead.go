package migrate

import "strings"

// plainHead reads the lines that headOf returned where they are as nearly all templates
// write them: each a key with a name, a quoted name or nothing behind it, in two levels
// below metadata at most. It takes a hundredth of the time of a YAML library, and a tenant
// with a thousand releases has a hundred thousand objects. ok is false where a line is
// written in another way, where a key stands twice, and where annotations set Helm's
// resource policy: then the YAML library has to read the lines.
func plainHead(head string) (object manifestObject, ok bool) {
	if strings.Contains(head, "resource-policy") {
		return object, false
	}
	h := plainReader{seen: map[string]bool{}}
	for line := range strings.Lines(head) {
		if !h.line(strings.TrimRight(line, " \n")) {
			return manifestObject{}, false
		}
	}
	return h.object, true
}

// plainReader is how far plainHead is.
type plainReader struct {
	object manifestObject
	// seen are the keys of the document and of metadata, the latter behind "metadata.".
	seen map[string]bool
	// open is how deep the last line allows the next to be indented: it has a key without a
	// value. inMetadata says that the last key of the document is metadata.
	open, inMetadata bool
	// last is the indent of the last line, fields that of metadata's keys, and below that of
	// the keys below the last of them; zero where there was none yet.
	last, fields, below int
}

// maxPlainKey bounds a key; a YAML library refuses those with more than 1,024 characters.
const maxPlainKey = 256

// line reads one line without its break, and reports whether it could.
func (h *plainReader) line(line string) bool {
	text := strings.TrimLeft(line, " ")
	if text == "" || line[0] == '#' {
		return true
	}
	key, value, found := strings.Cut(text, ":")
	if !found || len(key) > maxPlainKey || !isPlainText(key) {
		return false
	}
	value, isPlain := plainValue(value)
	if !isPlain {
		return false
	}
	indent := len(line) - len(text)
	if indent > h.last && !h.open {
		return false
	}
	h.last, h.open = indent, value == ""
	switch {
	case indent == 0:
		return h.documentKey(key, value)
	case !h.inMetadata:
		return false
	case h.fields == 0 || indent == h.fields:
		h.fields, h.below = indent, 0
		return h.metadataKey(key, value)
	case indent > h.fields && (h.below == 0 || indent == h.below) && value != "":
		h.below = indent // a label or an annotation
		return true
	}
	return false
}

func (h *plainReader) documentKey(key, value string) bool {
	h.inMetadata, h.fields, h.below = key == "metadata", 0, 0
	switch {
	case !h.first(key) || h.inMetadata != (value == ""):
		return false
	case key == "apiVersion":
		h.object.APIVersion = value
	case key == "kind":
		h.object.Kind = value
	case key != "metadata":
		return false
	}
	return true
}

func (h *plainReader) metadataKey(key, value string) bool {
	isText := value != ""
	switch {
	case !h.first("metadata." + key):
		return false
	case key == "name" && isText:
		h.object.Metadata.Name = value
	case key == "namespace" && isText:
		h.object.Metadata.Namespace = value
	case key == "labels", key == "annotations":
		return !isText
	default:
		return false
	}
	return true
}

func (h *plainReader) first(key string) bool {
	seen := h.seen[key]
	h.seen[key] = true
	return !seen
}

// plainValue returns what follows a key's colon as the text that YAML reads; empty where
// nothing follows. ok is false where it is not plainly a text.
func plainValue(value string) (text string, ok bool) {
	if value == "" {
		return "", true
	}
	value, spaced := strings.CutPrefix(value, " ")
	value = strings.TrimLeft(value, " ")
	if quoted, is := strings.CutPrefix(value, `"`); is {
		quoted, is = strings.CutSuffix(quoted, `"`)
		return quoted, spaced && is && isPlainText(quoted)
	}
	letter := value != "" && (value[0]|0x20 >= 'a' && value[0]|0x20 <= 'z')
	return value, spaced && letter && isPlainText(value) && !isYAMLWord(value)
}

// isPlainText reports whether a text has characters that mean nothing to YAML in any place.
func isPlainText(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '/', i > 0 && c == '-':
		default:
			return false
		}
	}
	return text != ""
}

// isYAMLWord reports whether YAML 1.1 reads the text as a boolean or as null
// (https://yaml.org/type/bool.html, null.html).
func isYAMLWord(text string) bool {
	switch strings.ToLower(text) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return true
	}
	return false
}

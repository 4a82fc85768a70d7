package migrate

import (
	"slices"
	"strings"
)

// plainHead reads a head (headOf) with only an API version, kind, name, namespace and labels,
// all of them plain scalars, as most objects of a release have: that takes a tenth of the time
// of a YAML library, and a manifest may have hundreds of objects. ok is false for any other
// head.
func plainHead(head string) (object manifestObject, ok bool) {
	seen := map[string]bool{}
	block := "" // the mapping that the line before belongs to
	for line := range strings.Lines(head) {
		text := strings.TrimRight(line, " \r\n")
		trimmed := strings.TrimLeft(text, " ")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(trimmed, ":")
		if !found || value != "" && value[0] != ' ' {
			return object, false
		}
		value = strings.TrimLeft(value, " ")
		var into *string
		switch indent := len(text) - len(trimmed); {
		case indent == 0:
			block = key
			into = map[string]*string{"apiVersion": &object.APIVersion, "kind": &object.Kind}[key]
		case indent == 2 && (block == "metadata" || block == "labels"):
			block = "metadata"
			if key == "labels" {
				block = key
			}
			into = map[string]*string{"name": &object.Metadata.Name, "namespace": &object.Metadata.Namespace}[key]
			key = "metadata." + key
		case indent == 4 && block == "labels" && isPlainLabel(key) && isPlainLabel(unquoted(value)):
			continue
		default:
			return object, false
		}
		opens := value == "" && (key == "metadata" || key == "metadata.labels")
		if seen[key] || !opens && (into == nil || !isPlainText(value)) {
			return object, false
		}
		seen[key] = true
		if into != nil {
			*into = value
		}
	}
	return object, true
}

// unquoted returns a value without the quotes around it.
func unquoted(value string) string {
	if len(value) > 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// notTexts are words that YAML reads as something else than a text.
var notTexts = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

func isPlainText(value string) bool {
	return isPlainLabel(value) && value[0] >= 'A' && !slices.Contains(notTexts, strings.ToLower(value))
}

// isPlainLabel reports whether a key or value is one of a label, unquoted.
func isPlainLabel(value string) bool {
	return value != "" && strings.IndexFunc(value, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && r != '/' && !('a' <= r && r <= 'z') && !('A' <= r && r <= 'Z') && !('0' <= r && r <= '9')
	}) < 0 && value[0] != '-' && value[0] != '.' && value[0] != '/'
}

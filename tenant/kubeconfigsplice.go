package tenant

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
)

// splice is a kubeconfig as lines. Its lists of named entries are edited line by line, so
// that everything else keeps its bytes, including blank lines and line ends. It handles
// lists in block style with one entry below the other; for other lists its methods return
// false, and the caller encodes the YAML tree. The result of a splice must be compared
// with the original.
type splice struct {
	tree *tree
	// lines are the text's lines with their ends.
	lines []string
	eol   string
}

func (t *tree) splice() *splice {
	s := &splice{tree: t, lines: strings.SplitAfter(string(t.text), "\n"), eol: "\n"}
	if last := len(s.lines) - 1; s.lines[last] == "" {
		s.lines = s.lines[:last]
	}
	if len(s.lines) > 0 && strings.HasSuffix(s.lines[0], "\r\n") {
		s.eol = "\r\n"
	}
	return s
}

// otherBreaks matches YAML's line breaks beside those of Unix and Windows
// (go.yaml.in/yaml/v3, yamlprivateh.go), with which YAML counts lines in another way.
var otherBreaks = regexp.MustCompile(`\r[^\n]|\r$|[\x{85}\x{2028}\x{2029}]`)

func (s *splice) text() []byte { return []byte(strings.Join(s.lines, "")) }

// was matches the end of a line that put wrote for a list's key. It has the list's former
// value, which remove writes again.
var was = regexp.MustCompile(`^( *[a-z-]+: +)# helm-tenant: was (absent|null|\[\]|~)\r?\n?$`)

// emptyValue matches the line of a list's key whose value has no entries.
var emptyValue = regexp.MustCompile(`^( *[a-z-]+: +)(null|\[\]|~)\r?\n?$`)

// indentOf returns the number of leading spaces, and false for a blank line or a comment.
func indentOf(line string) (int, bool) {
	content := strings.TrimLeft(line, " ")
	if strings.TrimSpace(content) == "" || content[0] == '#' {
		return 0, false
	}
	return len(line) - len(content), true
}

// block returns the key and the list with that name if the list is in block style. A list
// that is absent or empty is nil.
func (s *splice) block(name string) (key, list *yamlv3.Node, ok bool) {
	top := s.tree.top()
	if s.tree.isJSON || otherBreaks.Match(s.tree.text) || top.Kind != yamlv3.MappingNode || len(top.Content) == 0 || top.Style&yamlv3.FlowStyle != 0 {
		return nil, nil, false
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value != name {
			continue
		}
		key, list := top.Content[i], top.Content[i+1]
		switch {
		case list.Kind == yamlv3.ScalarNode && list.Tag == "!!null", list.Kind == yamlv3.SequenceNode && len(list.Content) == 0:
			return key, nil, true
		case list.Kind != yamlv3.SequenceNode || list.Style&yamlv3.FlowStyle != 0 || list.Anchor != "":
			return nil, nil, false
		}
		return key, list, true
	}
	return nil, nil, true
}

// span returns the range of lines of a list's entry, beginning with its dash. Blank lines
// and comments after it are left out.
func (s *splice) span(list *yamlv3.Node, item int) (from, to int, ok bool) {
	dash := list.Column - 1
	from = list.Content[item].Line - 1
	for ; from >= 0; from-- {
		if indent, content := indentOf(s.lines[from]); content && indent == dash && s.lines[from][indent] == '-' {
			break
		}
	}
	if from < 0 {
		return 0, 0, false
	}
	to = from + 1
	for i := to; i < len(s.lines); i++ {
		indent, content := indentOf(s.lines[i])
		if !content {
			continue
		}
		if indent <= dash {
			break
		}
		to = i + 1
	}
	return from, to, true
}

// entry returns the lines of a new entry whose dash has that indent.
func (s *splice) entry(item *yamlv3.Node, indent int) ([]string, error) {
	var out bytes.Buffer
	encoder := s.tree.encoder(&out)
	if err := encoder.Encode(&yamlv3.Node{Kind: yamlv3.SequenceNode, Content: []*yamlv3.Node{item}}); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	text := strings.TrimLeft(lines[0], " ")
	drop := len(lines[0]) - len(text) // for an encoder that indents lists
	for i, line := range lines {
		lines[i] = strings.Repeat(" ", indent) + line[min(drop, len(line)):] + s.eol
	}
	return lines, nil
}

// insert inserts lines at an index. If the last line had no end, the new last line has
// none.
func (s *splice) insert(index int, lines []string) {
	if index == len(s.lines) && index > 0 && !strings.HasSuffix(s.lines[index-1], "\n") {
		s.lines[index-1] += s.eol
		lines[len(lines)-1] = strings.TrimSuffix(lines[len(lines)-1], s.eol)
	}
	s.lines = slices.Insert(s.lines, index, lines...)
}

// cut removes lines. If the last line had no end, the new last line has none.
func (s *splice) cut(from, to int) {
	if to == len(s.lines) && from > 0 && !strings.HasSuffix(s.lines[to-1], "\n") {
		s.lines[from-1] = strings.TrimRight(s.lines[from-1], "\r\n")
	}
	s.lines = slices.Delete(s.lines, from, to)
}

// put writes an entry into a list, in the place of the entry with that name, or at the
// end. It does not change the tree, which must be parsed again before the next edit.
func (s *splice) put(name, entryName string, item *yamlv3.Node) (bool, error) {
	key, list, ok := s.block(name)
	if !ok {
		return false, nil
	}
	indent := s.tree.top().Column - 1
	if list != nil {
		indent = list.Column - 1
	}
	lines, err := s.entry(item, indent)
	if err != nil {
		return false, err
	}
	switch {
	case list != nil:
		last := len(list.Content) - 1
		existing := slices.IndexFunc(list.Content, func(item *yamlv3.Node) bool { return isNamed(item, entryName) })
		from, to, ok := s.span(list, max(existing, 0))
		if existing < 0 {
			_, from, ok = s.span(list, last)
			to = from
		}
		if !ok {
			return false, nil
		}
		if from < to { // an entry is replaced
			s.cut(from, to)
		}
		s.insert(from, lines)
	case key != nil:
		index := key.Line - 1
		if match := emptyValue.FindStringSubmatch(s.lines[index]); match != nil {
			end := s.lines[index][len(strings.TrimRight(s.lines[index], "\r\n")):]
			s.lines[index] = match[1] + "# helm-tenant: was " + match[2] + end
		} else if strings.TrimSpace(s.lines[index]) != name+":" {
			return false, nil
		}
		s.insert(index+1, lines)
	default:
		index := s.end()
		s.insert(index, append([]string{strings.Repeat(" ", indent) + name + ": # helm-tenant: was absent" + s.eol}, lines...))
	}
	return true, nil
}

// end returns the index of the line after the document's content.
func (s *splice) end() int {
	keys := s.tree.top().Content
	end := 0
	for i := keys[len(keys)-2].Line - 1; i < len(s.lines); i++ {
		if text := strings.TrimRight(s.lines[i], " \r\n"); text == "---" || text == "..." {
			break
		}
		if _, content := indentOf(s.lines[i]); content {
			end = i + 1
		}
	}
	return end
}

func (s *splice) remove(name string, entries []string) bool {
	key, list, ok := s.block(name)
	if !ok || list == nil {
		return ok
	}
	left := len(list.Content)
	for i, item := range slices.Backward(list.Content) {
		if !slices.ContainsFunc(entries, func(entry string) bool { return isNamed(item, entry) }) {
			continue
		}
		from, to, ok := s.span(list, i)
		if !ok {
			return false
		}
		s.cut(from, to)
		left--
	}
	index := key.Line - 1
	if left > 0 {
		return true
	}
	match := was.FindStringSubmatch(s.lines[index])
	switch {
	case match == nil: // "users:" alone is an empty list
	case match[2] == "absent":
		s.cut(index, index+1)
	default:
		end := s.lines[index][len(strings.TrimRight(s.lines[index], "\r\n")):]
		s.lines[index] = match[1] + match[2] + end
	}
	return true
}

func isNamed(item *yamlv3.Node, name string) bool {
	n := mapValue(item, "name")
	return n != nil && n.Value == name
}

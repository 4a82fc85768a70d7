package visible

import "strings"

// OneLine returns a text with one space in place of each run of white space, line breaks among
// it. Libraries and other programs report in several lines what is printed on one.
func OneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// excerptLength is the length of an excerpt, in bytes.
const excerptLength = 600

// Excerpt returns the beginning of a text on one line, "..." after it if something was cut off:
// an answer of the API server or of helm may hold a whole chart.
func Excerpt(text string) string {
	text = OneLine(text)
	if len(text) > excerptLength {
		text = strings.ToValidUTF8(text[:excerptLength], "") + "..."
	}
	return text
}

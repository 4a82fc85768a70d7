package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const glossary = "docs/words.md"

// TestWords: every word of helm-tenant's own in docs/words.md is used in the code or the
// documents that its table is about.
func TestWords(t *testing.T) {
	text, err := os.ReadFile(glossary)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		title, table, _ := strings.Cut(section, "\n")
		if title == "Kubernetes'" || title == "Helm's" {
			continue
		}
		used := usedWords(t, sectionFiles(t, title))
		for _, word := range glossaryWords(table) {
			count++
			if !strings.Contains(used, " "+strings.ToLower(word)) {
				t.Errorf("%s explains %q under %q, which is not used there", glossary, word, title)
			}
		}
	}
	if count < 60 {
		t.Errorf("only %d words were found", count)
	}
}

// glossaryWords returns the words in the first column of a table.
func glossaryWords(table string) (words []string) {
	for row := range strings.Lines(table) {
		cell, _, found := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		if !found || !strings.HasPrefix(row, "| ") || cell == "word" {
			continue
		}
		words = append(words, strings.Split(regexp.MustCompile(`\s*\([^)]*\)`).ReplaceAllString(cell, ""), ", ")...)
	}
	return words
}

var quotedPackage = regexp.MustCompile("`(\\w+)`")

// sectionFiles returns the files that a section of the glossary is about: those of the
// packages in its title, or all code and documents.
func sectionFiles(t *testing.T, title string) (files []string) {
	var packages []string
	for _, match := range quotedPackage.FindAllStringSubmatch(title, -1) {
		packages = append(packages, match[1])
	}
	if len(packages) == 0 {
		packages = []string{"."}
	}
	for _, folder := range packages {
		err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && file != "." && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"testdata", "test"}, entry.Name())):
				return fs.SkipDir
			case strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, ".md") && file != glossary:
				files = append(files, file)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

var (
	camelCase = regexp.MustCompile(`([a-z])([A-Z])`)
	notWord   = regexp.MustCompile(`[^a-z-]+`)
)

// usedWords returns the words of the files in lower case, separated by single spaces; the
// parts of names in Go count as words.
func usedWords(t *testing.T, files []string) string {
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lower := strings.ToLower(camelCase.ReplaceAllString(string(text), "$1 $2"))
		all.WriteString(" " + notWord.ReplaceAllString(lower, " "))
	}
	return all.String()
}

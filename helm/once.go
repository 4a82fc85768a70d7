package helm

import (
	"bytes"
	"encoding/csv"
	"os"
	"strings"
)

// ReadOnce returns the deployment with another path in place of each file of values that
// can be read only once: standard input ("-"), a pipe, a shell's process substitution. keep
// is called for each of them in the order of the command line, and returns the path of a
// copy. Helm renders the chart more than once, and reads its files each time. A deployment
// that names no such file is returned as it is.
//
// The error is that of keep.
func (d *Deployment) ReadOnce(keep func(path string) (string, error)) (*Deployment, error) {
	var flags []string
	copied := false
	kept := func(path string) (string, error) {
		if !readsOnce(path) {
			return path, nil
		}
		copied = true
		return keep(path)
	}
	for _, use := range d.uses {
		switch use.name {
		case "values":
			for _, path := range d.splitPaths(use.value) {
				path, err := kept(path)
				if err != nil {
					return nil, err
				}
				flags = append(flags, "--values="+d.joinable(path))
			}
		case "set-file":
			assignments := splitUnescaped(use.value)
			for i, assignment := range assignments {
				key, path, assigned := cutUnescaped(assignment)
				if !assigned || !readsOnce(path) {
					continue
				}
				path, err := kept(path)
				if err != nil {
					return nil, err
				}
				assignments[i] = key + "=" + escaped.Replace(path)
			}
			flags = append(flags, "--set-file="+strings.Join(assignments, ","))
		}
	}
	if !copied {
		return d, nil
	}
	flags = append(flags, d.flags(func(name string) bool { return name != "values" && name != "set-file" })...)
	once := *d
	once.args = append(flags, d.words()...)
	once.uses, _ = deployTable(d.Major, d.Command, d.own).scan(once.args)
	return &once, nil
}

// readsOnce reports whether a file can't be read a second time, or not by another process.
// Helm reads its standard input for a path of "-" (helm.sh/helm/v3/pkg/cli/values, readFile).
func readsOnce(path string) bool {
	if strings.TrimSpace(path) == "-" || strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/") {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// splitPaths returns the files that one flag --values names: a list with commas, which Helm 3
// and 4 read as a line of CSV (github.com/spf13/pflag, readAsCSV).
func (d *Deployment) splitPaths(list string) []string {
	if d.Major == 2 {
		return strings.Split(list, ",")
	}
	paths, err := csv.NewReader(strings.NewReader(list)).Read()
	if err != nil {
		return []string{list} // helm reports what is wrong with it
	}
	return paths
}

// joinable returns a path as one flag --values names it alone.
func (d *Deployment) joinable(path string) string {
	if d.Major == 2 || !strings.ContainsAny(path, ",\"\n\r") {
		return path
	}
	var line bytes.Buffer
	w := csv.NewWriter(&line)
	if w.Write([]string{path}) != nil {
		return path
	}
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n")
}

// escaped writes a path as the value of an assignment of --set-file
// (helm.sh/helm/v3/pkg/strvals).
var escaped = strings.NewReplacer(`\`, `\\`, ",", `\,`)

// splitUnescaped splits at commas before which there is no backslash.
func splitUnescaped(list string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '\\':
			i++
		case ',':
			parts = append(parts, list[start:i])
			start = i + 1
		}
	}
	return append(parts, list[start:])
}

// cutUnescaped cuts at the first equals sign before which there is no backslash.
func cutUnescaped(assignment string) (key, value string, found bool) {
	for i := 0; i < len(assignment); i++ {
		switch assignment[i] {
		case '\\':
			i++
		case '=':
			return assignment[:i], assignment[i+1:], true
		}
	}
	return assignment, "", false
}

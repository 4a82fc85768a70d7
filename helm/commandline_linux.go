package helm

import (
	"fmt"
	"os"
	"strings"
)

// CommandLine is the argv of the process with that id (proc(5)). It is read
// here and not by the library that serves the other systems, whose start would
// cost every call of the wrapper.
func CommandLine(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), nil
}

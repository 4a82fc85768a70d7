package helm

import (
	"fmt"
	"os"
	"strings"
)

// CommandLine is the argv of the process with that id (proc(5)). It is read
// here and not by the library that serves the other systems, whose start would
// cost every call of the wrapper.
func CommandLine(pid int) ([]string, error) { return procList(pid, "cmdline") }

// EnvironOf is the environment that the process with that id was started with.
func EnvironOf(pid int) ([]string, error) { return procList(pid, "environ") }

func procList(pid int, name string) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), nil
}

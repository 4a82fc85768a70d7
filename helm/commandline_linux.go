package helm

import (
	"fmt"
	"os"
	"strings"
)

// CommandLine returns the argv of a process (proc(5)). The library for the other systems
// is not used here, since its initialization would slow down every call of the wrapper.
func CommandLine(pid int) ([]string, error) { return procList(pid, "cmdline") }

// EnvironOf returns the environment with which a process was started.
func EnvironOf(pid int) ([]string, error) { return procList(pid, "environ") }

func procList(pid int, name string) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), nil
}

//go:build !linux

package helm

import (
	"errors"

	"github.com/shirou/gopsutil/v4/process"
)

// CommandLine is the argv of the process with that id.
func CommandLine(pid int) ([]string, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil, err
	}
	return p.CmdlineSlice()
}

// EnvironOf is not known on these systems.
func EnvironOf(int) ([]string, error) {
	return nil, errors.New("the environment of another process can't be read")
}

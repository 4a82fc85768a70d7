//go:build !linux

package helm

import (
	"errors"

	"github.com/shirou/gopsutil/v4/process"
)

// CommandLine returns the argv of a process.
func CommandLine(pid int) ([]string, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil, err
	}
	return p.CmdlineSlice()
}

// EnvironOf returns an error: the environment is not known on these systems.
func EnvironOf(int) ([]string, error) {
	return nil, errors.New("the environment of another process can't be read")
}

//go:build !linux

package engine

import (
	"context"
	"errors"
	"syscall"
)

// Only Linux has this: elsewhere a cluster whose keeper is killed with SIGKILL
// leaves its three processes.
func diesWithParent(*syscall.SysProcAttr) {}

func removeStaleCgroups() {}

// InsideCommand is for Linux.
const InsideCommand = "inside"

var errNotLinux = errors.New("a full cluster needs Linux")

func (k *Keeper) upFull(context.Context, *plan, Config) error { return errNotLinux }

func (k *Keeper) downFull() error { return nil }

// Inside is for Linux.
func Inside(string) error { return errNotLinux }

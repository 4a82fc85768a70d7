//go:build unix

package cli

import "syscall"

func makePipe(file string) error { return syscall.Mkfifo(file, 0o600) }

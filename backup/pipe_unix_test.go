//go:build unix

package backup

import "syscall"

func makePipe(file string) error { return syscall.Mkfifo(file, 0o600) }

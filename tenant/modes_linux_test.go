package tenant

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// heldByModes runs do so that file modes bind it. They don't bind root; for root
// it runs on a thread whose file system user is nobody (setfsuid(2)), and the
// thread ends with it.
func heldByModes(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	const nobody = 65534
	done := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: no other goroutine gets this thread
		_ = syscall.Setfsuid(nobody)
		// The call reports no error; a second one returns the value that the first has set.
		set, _, _ := syscall.RawSyscall(syscall.SYS_SETFSUID, ^uintptr(0), 0, 0)
		if set == nobody {
			do()
		}
		done <- set == nobody
	}()
	if !<-done {
		missing(t, "the right to change the file system user (CAP_SETUID), without which file modes don't bind root")
	}
}

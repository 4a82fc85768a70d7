package engine

import "syscall"

// diesWithParent has the kernel kill the process when the thread that starts it
// ends.
func diesWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

package subject

import "syscall"

// endWithParent has the kernel end a process with this one, however that ends.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

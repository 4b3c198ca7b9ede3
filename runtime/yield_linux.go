package runtime

import "syscall"

// yieldProcessor lets another thread that waits for this processor go first. Go's scheduler shares goroutines among
// threads; which thread runs is the kernel's to say, and it would leave a guest that computes its whole time slice
// of milliseconds.
func yieldProcessor() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }

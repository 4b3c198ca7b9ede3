//go:build unix

package node

import (
	"os"
	"syscall"
)

// flock takes the file's exclusive lock or fails at once. The kernel drops it with the process.
func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

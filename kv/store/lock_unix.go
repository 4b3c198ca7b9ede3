//go:build linux || darwin || freebsd

package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile makes the file and locks it until it is closed or the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("in use by another process: %w", err)
	}
	return f, nil
}

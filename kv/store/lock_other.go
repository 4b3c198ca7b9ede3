//go:build !(linux || darwin || freebsd)

package store

import "os"

// lockFile makes the file. What keeps other processes out on this system is the engine's own lock alone.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}

//go:build unix && (!linux || sett_portable)

package memory

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reserve answers address space that reads as zero and takes memory once written.
func reserve(size uint64) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	return b, nil
}

func unreserve(b []byte) { _ = unix.Munmap(b) }

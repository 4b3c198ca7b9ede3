//go:build unix && !aix && !solaris && !illumos

package runtime

import "syscall"

// reserve answers n bytes of zeros that take no memory until they are touched.
func reserve(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	return syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
}

func release(b []byte) { _ = syscall.Munmap(b) } // fails only for what was never mapped

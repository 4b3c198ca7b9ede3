//go:build linux && !sett_portable

package memory

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scanRegions is how many runs of pages one scan can list; with more it goes on where it stopped.
const scanRegions = 256

// Source: Linux, Documentation/admin-guide/mm/pagemap.rst and include/uapi/linux/fs.h.
const (
	pagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)

	pageIsWritten = 1 << 1
	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
	pageIsPFNZero = 1 << 5
)

// sought says by what the kernel knows the pages that are looked for: all of mask, after some are inverted, and one
// of anyOf unless that is 0. Of what is returned nothing differs between them, so that neighbours are one run.
type sought struct{ inverted, mask, anyOf, returned uint64 }

// soughtPrivate are a slot's own pages anywhere: in memory or swapped out, and neither the image's nor the kernel's
// page of zeros. The kernel must look up each page that is there to tell the image's, at 10 to 40 ns.
func soughtPrivate() sought {
	return sought{pageIsFile | pageIsPFNZero, pageIsFile | pageIsPFNZero, pageIsPresent | pageIsSwapped, pageIsFile}
}

// soughtAnonymous are a slot's own pages where no image is mapped.
func soughtAnonymous() sought {
	return sought{pageIsPFNZero, pageIsPFNZero, pageIsPresent | pageIsSwapped, pageIsPFNZero}
}

// soughtWritten are the pages of a tracked image that are not write-protected. The kernel has a short way of just
// this, at 2 ns for each page.
func soughtWritten() sought {
	return sought{0, pageIsWritten, 0, pageIsWritten}
}

// scan is the argument of one ioctl and what the kernel fills in. It is allocated on the heap, where nothing moves.
type scan struct {
	arg struct {
		size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
		inverted, mask, anyOf, returned                         uint64
	}
	runs []pageRun
}

// pageRun is struct page_region: addresses, the end exclusive.
type pageRun struct{ start, end, categories uint64 }

func newScan(runs int) *scan { return &scan{runs: make([]pageRun, runs)} }

// each calls found with the runs of pages in b that are as sought, as offsets into b, until it answers false.
func (s *scan) each(pagemap int, b []byte, what sought, found func(from, to uint64) bool) error {
	base := addressOf(b)
	s.arg.size = uint64(unsafe.Sizeof(s.arg))
	s.arg.vec = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(s.runs))))
	s.arg.vecLen = uint64(len(s.runs))
	s.arg.inverted, s.arg.mask, s.arg.anyOf, s.arg.returned = what.inverted, what.mask, what.anyOf, what.returned
	s.arg.end = base + uint64(len(b))
	for s.arg.start = base; s.arg.start < s.arg.end; s.arg.start = s.arg.walkEnd {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(pagemap), pagemapScan, uintptr(unsafe.Pointer(&s.arg)))
		if errno == unix.EINTR {
			s.arg.walkEnd = s.arg.start
			continue
		}
		if errno != 0 {
			return fmt.Errorf("scan pages: %w", errno)
		}
		if s.arg.walkEnd <= s.arg.start || n > uintptr(len(s.runs)) {
			return fmt.Errorf("scan pages: %d runs up to %#x from %#x", n, s.arg.walkEnd, s.arg.start)
		}
		for _, run := range s.runs[:n] {
			if !found(run.start-base, run.end-base) {
				return nil
			}
		}
	}
	return nil
}

func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

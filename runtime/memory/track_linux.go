//go:build linux && !sett_portable

package memory

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trackFrom is how many bytes an image stores at least for its slots to be tracked: below, looking up each page
// costs less than a second scan.
const trackFrom = 256 << 10

// Source: Linux, Documentation/admin-guide/mm/userfaultfd.rst and include/uapi/linux/userfaultfd.h.
const (
	uffdAPI          = 0xc018aa3f // _IOWR(0xaa, 0x3f, struct uffdio_api)
	uffdRegister     = 0xc020aa00 // _IOWR(0xaa, 0x00, struct uffdio_register)
	uffdWriteProtect = 0xc018aa06 // _IOWR(0xaa, 0x06, struct uffdio_writeprotect)

	uffdVersion      = 0xaa
	uffdUserModeOnly = 1
	uffdWPAsync      = 1 << 15
	uffdModeWP       = 1 << 1 // of a registration
	uffdProtect      = 1 << 0 // of a write protection
)

// openTracker answers a userfaultfd whose write protections the kernel lifts by itself at the first write, or an
// error where the kernel is older than 6.7 or the process may not have one: containers forbid it by default.
func openTracker() (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return -1, fmt.Errorf("open userfaultfd: %w", errno)
	}
	api := [3]uint64{uffdVersion, uffdWPAsync, 0}
	if err := ioctl(int(fd), uffdAPI, unsafe.Pointer(&api)); err != nil {
		unix.Close(int(fd))
		return -1, fmt.Errorf("open userfaultfd: %w", err)
	}
	return int(fd), nil
}

// track lets protect protect pages of the image's mapping.
func (r *region) track(tracker int) error {
	arg := [4]uint64{addressOf(r.base), r.image.stored, uffdModeWP, 0}
	return ioctl(tracker, uffdRegister, unsafe.Pointer(&arg))
}

// protect makes a run of the image's mapping count as not written.
func (r *region) protect(tracker int, from, to uint64) error {
	if from >= to {
		return nil
	}
	arg := [3]uint64{addressOf(r.base) + from, to - from, uffdProtect}
	return ioctl(tracker, uffdWriteProtect, unsafe.Pointer(&arg))
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return fmt.Errorf("ioctl %#x: %w", request, errno)
	}
	return nil
}

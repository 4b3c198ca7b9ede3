//go:build linux && !sett_portable

package memory

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// region is reserved address space that slots use one after the other.
type region struct {
	base    []byte // all of it
	image   *Image // what is mapped over the start; nil for zeros
	tracked bool   // of the image's mapping what was not written is write-protected
}

func newRegion(size uint64) (*region, error) {
	base, err := mapAt(-1, 0, nil, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	if err := smallPages(base); err != nil {
		unmap(base)
		return nil, err
	}
	return &region{base: base}, nil
}

// arm maps img over the start of a clean region. After an error the region is good for nothing but drop.
func (r *region) arm(img *Image) error {
	if r.image == img {
		return nil
	}
	if err := r.disarm(); err != nil {
		return err
	}
	r.image = img
	return r.mapImage()
}

// mapImage maps the image, freshly.
func (r *region) mapImage() error {
	r.tracked = false
	img := r.image
	if img == nil || img.stored == 0 {
		return nil
	}
	_, err := mapAt(img.backing.fd, img.backing.offset, r.base, img.stored, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("map image: %w", err)
	}
	return nil
}

// disarm makes a clean region all zeros again.
func (r *region) disarm() error {
	if r.image == nil || r.image.stored == 0 {
		r.image = nil
		return nil
	}
	n := r.image.stored
	r.image, r.tracked = nil, false
	_, err := mapAt(-1, 0, r.base, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("unmap image: %w", err)
	}
	return smallPages(r.base[:n])
}

// discard drops the private pages between two offsets: what is there is the image again.
func (r *region) discard(from, to uint64) error {
	if from >= to {
		return nil
	}
	if err := unix.Madvise(r.base[from:to], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("discard pages: %w", err)
	}
	return nil
}

// refresh drops all private pages below high. A tracked image is mapped anew, since the kernel brings its pages in
// one by one.
func (r *region) refresh(high uint64) error {
	if !r.tracked {
		return r.discard(0, high)
	}
	if err := r.mapImage(); err != nil {
		return err
	}
	return r.discard(r.image.stored, high)
}

// retire makes a region that was used up to high clean, so that another slot can have it.
func (r *region) retire(high uint64) error { return r.refresh(high) }

func (r *region) drop() { unmap(r.base) }

// smallPages keeps huge pages away: one written byte would make 2 MiB resident.
func smallPages(b []byte) error {
	err := unix.Madvise(b, unix.MADV_NOHUGEPAGE)
	if err != nil && !errors.Is(err, unix.EINVAL) { // a kernel without huge pages does not know it
		return fmt.Errorf("refuse huge pages: %w", err)
	}
	return nil
}

// mapAt maps so many bytes of fd from offset (-1: of no file), at the start of where with MAP_FIXED.
func mapAt(fd int, offset int64, where []byte, size uint64, prot, flags int) ([]byte, error) {
	if flags&unix.MAP_FIXED != 0 && uint64(len(where)) < size {
		panic("memory: a fixed mapping larger than its place")
	}
	p, err := unix.MmapPtr(fd, offset, unsafe.Pointer(unsafe.SliceData(where)), uintptr(size), prot, flags)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), size), nil
}

// unmap undoes mapAt. The kernel refuses where that would split a mapping and the process has too many of them; then
// the address space stays taken and its memory does not.
func unmap(b []byte) {
	if unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))) != nil {
		_ = unix.Madvise(b, unix.MADV_DONTNEED)
	}
}

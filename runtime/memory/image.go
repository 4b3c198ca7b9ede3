package memory

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
)

const (
	// WasmPage is the unit in bytes by which a linear memory grows.
	WasmPage = 64 << 10
	// MaxLimitBytes is the largest memory limit a function may have: one page below 4 GiB, because the shrink of
	// a grown memory needs the page above its limit (see Slot.Reset).
	MaxLimitBytes = 65535 * WasmPage

	block = 4096 // bytes that are stored or left out together; divides every host's page size

	// mergeBlocks is how many zero blocks between others are stored all the same: a run more costs two system
	// calls at each opening of the image file, a block more 4 KiB.
	mergeBlocks = 2
)

// Errors that say why there is no image or no slot; test for them with errors.Is.
var (
	ErrClosed  = errors.New("closed")
	ErrLimit   = errors.New("over the memory limit")
	ErrBudget  = errors.New("memory budget exhausted")
	ErrBusy    = errors.New("slot is not quiescent")
	ErrSpoiled = errors.New("slot could not be restored")
)

// Image is a linear memory as it was when the image was taken. It never changes. All methods may be called
// concurrently.
type Image struct {
	size    uint64   // bytes of linear memory
	extents []extent // what of it is not zero, ascending
	stored  uint64   // bytes from the start to the last extent's end, in whole host pages
	backing backing  // where the stored bytes are
	// refs counts the owner and the slots armed with the image; at zero the backing is dropped.
	refs   atomic.Int64
	closed atomic.Bool
	// private is how many bytes a slot of this image had of its own after the latest reset, or its whole size
	// before the first: the estimate a new slot is charged with.
	private atomic.Int64
	home    atomic.Pointer[Slots] // who may keep free slots armed with it
}

// extent is a run of blocks that are not all zero.
type extent struct{ first, blocks uint32 }

func (e extent) offset() uint64 { return uint64(e.first) * block }
func (e extent) bytes() uint64  { return uint64(e.blocks) * block }
func (e extent) end() uint64    { return e.offset() + e.bytes() }

// NewImage copies a linear memory into an image. The length of mem is a multiple of WasmPage, MaxLimitBytes at
// most. Runs of zeros are not stored. The caller closes the image.
func NewImage(mem []byte) (*Image, error) {
	if err := checkSize(uint64(len(mem))); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	img := newImage(uint64(len(mem)), findExtents(mem))
	w, err := newBacking(img.stored)
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	for _, e := range img.extents {
		if err := w.write(e.offset(), mem[e.offset():e.end()]); err != nil {
			w.drop()
			return nil, fmt.Errorf("make image: %w", err)
		}
	}
	if img.backing, err = w.seal(); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	return img, nil
}

// newImage makes an image without a backing.
func newImage(size uint64, extents []extent) *Image {
	img := &Image{size: size, extents: extents}
	img.stored = roundUp(img.end(), uint64(pageSize()))
	img.refs.Store(1)
	img.private.Store(int64(size))
	return img
}

// end is where the last extent ends.
func (img *Image) end() uint64 {
	if len(img.extents) == 0 {
		return 0
	}
	return img.extents[len(img.extents)-1].end()
}

// bytesOf is an extent's content.
func (img *Image) bytesOf(e extent) []byte { return img.backing.view[e.offset():e.end()] }

// Size is the length in bytes of the memory: what a slot hands out at least.
func (img *Image) Size() uint64 { return img.size }

// StoredBytes is how much memory the image's own content takes, whoever uses it. It is zero blocks less than Size.
func (img *Image) StoredBytes() uint64 {
	n := uint64(0)
	for _, e := range img.extents {
		n += e.bytes()
	}
	return n
}

// Close drops the image. Slots armed with it stay whole: the memory goes when the last of them is freed. A second
// Close does nothing.
func (img *Image) Close() {
	if img.closed.Swap(true) {
		return
	}
	if home := img.home.Load(); home != nil {
		home.forget(img)
	}
	img.release()
}

// retain counts one more user, unless the image is closed.
func (img *Image) retain() bool {
	for {
		n := img.refs.Load()
		if n == 0 || img.closed.Load() {
			return false
		}
		if img.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (img *Image) release() {
	if img.refs.Add(-1) == 0 {
		img.backing.drop()
	}
}

// restore gives dst, which stands at offset in a memory, the image's content.
func (img *Image) restore(dst []byte, offset uint64) {
	if img != nil && offset < img.stored {
		dst = dst[copy(dst, img.backing.view[offset:]):]
	}
	clear(dst)
}

// equal says whether b, which stands at offset in a memory, is as in the image.
func (img *Image) equal(b []byte, offset uint64) bool {
	if img != nil && offset < img.stored {
		n := min(uint64(len(b)), img.stored-offset)
		if !bytes.Equal(b[:n], img.backing.view[offset:offset+n]) {
			return false
		}
		b = b[n:]
	}
	return zero(b)
}

// byteAt is the image's byte at offset.
func (img *Image) byteAt(offset uint64) byte {
	if img == nil || offset >= img.stored {
		return 0
	}
	return img.backing.view[offset]
}

// findExtents lists what of mem is not zero. Runs that lie mergeBlocks apart are one.
func findExtents(mem []byte) []extent {
	var found []extent
	for i := 0; i < len(mem); i += block {
		if zero(mem[i : i+block]) {
			continue
		}
		at := uint32(i / block)
		if n := len(found); n > 0 && at-(found[n-1].first+found[n-1].blocks) <= mergeBlocks {
			found[n-1].blocks = at + 1 - found[n-1].first
			continue
		}
		found = append(found, extent{first: at, blocks: 1})
	}
	return found
}

func checkSize(size uint64) error {
	if size%WasmPage != 0 {
		return fmt.Errorf("a memory of %d bytes: not a multiple of %d", size, WasmPage)
	}
	if size > MaxLimitBytes {
		return fmt.Errorf("a memory of %d bytes: %w: %d is the most", size, ErrLimit, uint64(MaxLimitBytes))
	}
	return nil
}

// zero says whether all of b is zero: its first byte is, and every byte equals the one before it.
func zero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[:len(b)-1], b[1:])
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }

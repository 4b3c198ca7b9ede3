//go:build !linux || sett_portable

package memory

import "os"

// methodCopy restores a memory by copying the whole image.
const methodCopy = "copy"

// backing holds an image's bytes.
type backing struct{ view []byte }

func newBacking(size uint64) (*backing, error) { return &backing{view: make([]byte, size)}, nil }

func (b *backing) write(offset uint64, data []byte) error {
	copy(b.view[offset:], data)
	return nil
}

func (b *backing) seal() (backing, error) { return *b, nil }

func (b *backing) drop() { b.view = nil }

// load reads an image file into the backing.
func (img *Image) load(f *file, content int64) error {
	w, err := newBacking(img.stored)
	if err != nil {
		return err
	}
	for _, e := range img.extents {
		if err := readAt(f, w.view[e.offset():e.end()], content+int64(e.offset())); err != nil {
			return err
		}
	}
	img.backing, err = w.seal()
	return err
}

// file is an open image file.
type file struct{ *os.File }

func openFile(path string) (*file, error) {
	f, err := os.Open(path)
	return &file{f}, err
}

// data is where there may be something at or after offset.
func (f *file) data(offset int64) int64 { return offset }

// identity tells the size alone: every file is checked whole.
func (f *file) identity() (identity, error) {
	info, err := f.Stat()
	if err != nil {
		return identity{}, err
	}
	return identity{size: info.Size()}, nil
}

func (f *file) close() { f.Close() }

func pageSize() int { return os.Getpagesize() }

// region is reserved address space that slots use one after the other.
type region struct {
	base  []byte // all of it
	image *Image // what stands at the start; nil for zeros
}

func newRegion(size uint64) (*region, error) {
	base, err := reserve(size)
	if err != nil {
		return nil, err
	}
	return &region{base: base}, nil
}

// arm copies img over the start of a clean region.
func (r *region) arm(img *Image) error {
	if r.image = img; img != nil {
		copy(r.base, img.backing.view)
	}
	return nil
}

// disarm makes a region all zeros; retire has done so.
func (r *region) disarm() error {
	r.image = nil
	return nil
}

// refresh makes the first high bytes the image again.
func (r *region) refresh(high uint64) error {
	r.image.restore(r.base[:high], 0)
	return nil
}

// retire makes a region that was used up to high clean, so that another slot can have it.
func (r *region) retire(high uint64) error {
	if r.image != nil {
		high = max(high, r.image.stored)
	}
	r.image = nil
	clear(r.base[:high])
	return nil
}

func (r *region) drop() { unreserve(r.base) }

// restorer gives regions their image back.
type restorer struct{ method string }

func newRestorer() *restorer { return &restorer{method: methodCopy} }

func (r *restorer) close() {}

// restore makes the first high bytes of a region the image's again.
func (r *restorer) restore(reg *region, high uint64, _ pass, _ int) (Restored, error) {
	pages := int(roundUp(high, uint64(pageSize())) / uint64(pageSize()))
	return Restored{Pages: pages, Kept: pages}, reg.refresh(high)
}

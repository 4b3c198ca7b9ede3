package memory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// An image file is, all numbers little-endian and all sums CRC-32C:
//
//	 0  magic, 8 bytes
//	 8  format version, u32
//	12  number of extents, u32
//	16  size of the memory in bytes, u64
//	24  length of the extra bytes, u32
//	28  zero, u32
//	32  SHA-256 of the caller's key
//	64  for each extent: first block u32, blocks u32, sum of its bytes u32
//	    extra bytes
//	    sum of everything before, u32
//	    zeros up to a multiple of 64 KiB
//	    the memory up to its last extent's end, as it is: what lies between extents is a hole
//
// The memory stands in it as in a slot and on a boundary of every host's pages, so that Linux maps the file itself.
const (
	fileMagic   = "settimg\n"
	fileVersion = 1
	headerBytes = 64
	entryBytes  = 12
	sumBytes    = 4
	fileAlign   = 64 << 10

	// MaxExtraBytes is the most a caller may keep beside the memory in an image file. More only costs time at
	// each opening.
	MaxExtraBytes = 1 << 20
)

// Errors of OpenImage; test for them with errors.Is.
var (
	ErrCorrupt = errors.New("image file is corrupt")
	ErrForeign = errors.New("image file was not made with this key and format")
)

// fileHeader is what stands before the table.
type fileHeader struct {
	size    uint64
	extents uint32
	extra   uint32
	key     [sha256.Size]byte
}

// headEnd is the length of header, table, extra bytes and their sum.
func (h *fileHeader) headEnd() int64 {
	return headerBytes + int64(h.extents)*entryBytes + int64(h.extra) + sumBytes
}

// content is where the memory starts.
func (h *fileHeader) content() int64 { return int64(roundUp(uint64(h.headEnd()), fileAlign)) }

// Save writes the image to path, whole or not at all: to a temporary file beside it (mode 0600), synced and
// renamed. Key names all that the image was made from; OpenImage accepts the file with the same key only. Extra is
// kept with it, MaxExtraBytes at most: what belongs to the image besides its memory, such as globals.
func (img *Image) Save(path string, key, extra []byte) error {
	if !img.retain() {
		return fmt.Errorf("save image: %w", ErrClosed)
	}
	defer img.release()
	if err := img.save(path, key, extra); err != nil {
		return fmt.Errorf("save image: %w", err)
	}
	return nil
}

func (img *Image) save(path string, key, extra []byte) error {
	if len(extra) > MaxExtraBytes {
		return fmt.Errorf("%d extra bytes: %w: %d is the most", len(extra), ErrLimit, MaxExtraBytes)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // not there once renamed
	defer f.Close()
	head, content := img.head(key, extra)
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	if err := f.Truncate(content + int64(img.end())); err != nil {
		return err
	}
	for _, e := range img.extents {
		if _, err := f.WriteAt(img.bytesOf(e), content+int64(e.offset())); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// head is all that stands before the memory, and where the memory starts.
func (img *Image) head(key, extra []byte) ([]byte, int64) {
	h := fileHeader{size: img.size, extents: uint32(len(img.extents)), extra: uint32(len(extra)), key: sha256.Sum256(key)}
	b := make([]byte, 0, h.headEnd())
	b = append(b, fileMagic...)
	b = binary.LittleEndian.AppendUint32(b, fileVersion)
	b = binary.LittleEndian.AppendUint32(b, h.extents)
	b = binary.LittleEndian.AppendUint64(b, h.size)
	b = binary.LittleEndian.AppendUint32(b, h.extra)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, h.key[:]...)
	for _, e := range img.extents {
		b = binary.LittleEndian.AppendUint32(b, e.first)
		b = binary.LittleEndian.AppendUint32(b, e.blocks)
		b = binary.LittleEndian.AppendUint32(b, sum(0, img.bytesOf(e)))
	}
	b = append(b, extra...)
	return binary.LittleEndian.AppendUint32(b, sum(0, b)), h.content()
}

// OpenImage reads what Save wrote, with the extra bytes that were kept with it. Every byte is checked before the
// image exists, unless checked (which may be nil) knows that it was: ErrForeign says that the file was written with
// another key or format, ErrCorrupt that it is damaged; a file that is not there is fs.ErrNotExist. The caller
// closes the image.
//
// On Linux the image is then the file itself, mapped, and must not be written to: Save replaces a file and never
// changes one. Its memory is the page cache's, which the kernel takes back when it needs to.
func OpenImage(path string, key []byte, checked *Checked) (*Image, []byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open image %s: %w", path, err)
	}
	defer f.close()
	img, extra, err := readImage(f, path, key, checked)
	if err != nil {
		return nil, nil, fmt.Errorf("open image %s: %w", path, err)
	}
	return img, extra, nil
}

func readImage(f *file, path string, key []byte, checked *Checked) (*Image, []byte, error) {
	id, err := f.identity()
	if err != nil {
		return nil, nil, err
	}
	h, head, err := readHead(f, key)
	if err != nil {
		return nil, nil, err
	}
	extents, sums, extra, err := parseTable(h, head)
	if err != nil {
		return nil, nil, err
	}
	img := newImage(h.size, extents)
	if id.size != h.content()+int64(img.end()) {
		return nil, nil, fmt.Errorf("%w: its length is %d", ErrCorrupt, id.size)
	}
	if !checked.has(path, id) {
		if err := img.check(f, h.content(), sums); err != nil {
			return nil, nil, err
		}
		checked.add(path, id)
	}
	if err := img.load(f, h.content()); err != nil {
		return nil, nil, err
	}
	return img, extra, nil
}

// readHead answers all that stands before the memory: its fixed part, and the whole.
func readHead(f *file, key []byte) (h fileHeader, head []byte, err error) {
	head = make([]byte, block) // as long as almost every head
	n, err := f.ReadAt(head, 0)
	if n < headerBytes {
		return h, nil, cutShort(int64(n), err)
	}
	if h, err = parseHeader(head); err != nil {
		return h, nil, err
	}
	if h.key != sha256.Sum256(key) {
		return h, nil, ErrForeign
	}
	if h.headEnd() > int64(n) {
		head = make([]byte, h.headEnd())
		if err := readAt(f, head, 0); err != nil {
			return h, nil, err
		}
	}
	return h, head[:h.headEnd()], nil
}

// check reads the whole memory.
func (img *Image) check(f *file, content int64, sums []uint32) error {
	if err := img.checkHoles(f, content); err != nil {
		return err
	}
	buffer := make([]byte, 64<<10)
	for i, e := range img.extents {
		got := uint32(0)
		for at := e.offset(); at < e.end(); {
			b := buffer[:min(e.end()-at, uint64(len(buffer)))]
			if err := readAt(f, b, content+int64(at)); err != nil {
				return err
			}
			got = sum(got, b)
			at += uint64(len(b))
		}
		if got != sums[i] {
			return fmt.Errorf("%w: the bytes from %#x do not match their checksum", ErrCorrupt, e.offset())
		}
	}
	return nil
}

// checkHoles sees that nothing but zeros stands between the extents. It reads what the file system keeps there,
// which is nothing where it knows holes.
func (img *Image) checkHoles(f *file, content int64) error {
	at, buffer := uint64(0), make([]byte, block)
	for _, e := range img.extents {
		for at < e.offset() {
			at = max(at, uint64(f.data(content+int64(at))-content)/block*block)
			if at >= e.offset() {
				break
			}
			if err := readAt(f, buffer, content+int64(at)); err != nil {
				return err
			}
			if !zero(buffer) {
				return fmt.Errorf("%w: the bytes at %#x are not zero", ErrCorrupt, at)
			}
			at += block
		}
		at = e.end()
	}
	return nil
}

// parseHeader reads the fixed part, and refuses numbers that no image has before anything is allocated for them.
func parseHeader(b []byte) (fileHeader, error) {
	var h fileHeader
	if string(b[:8]) != fileMagic || binary.LittleEndian.Uint32(b[8:]) != fileVersion {
		return h, ErrForeign
	}
	h.extents = binary.LittleEndian.Uint32(b[12:])
	h.size = binary.LittleEndian.Uint64(b[16:])
	h.extra = binary.LittleEndian.Uint32(b[24:])
	copy(h.key[:], b[32:])
	if err := checkSize(h.size); err != nil {
		return h, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if uint64(h.extents) > h.size/block || h.extra > MaxExtraBytes || binary.LittleEndian.Uint32(b[28:]) != 0 {
		return h, fmt.Errorf("%w: its header names impossible lengths", ErrCorrupt)
	}
	return h, nil
}

// parseTable reads what stands before the memory: the extents, which are ascending, apart and inside the memory,
// their sums, and the extra bytes.
func parseTable(h fileHeader, head []byte) ([]extent, []uint32, []byte, error) {
	end := len(head) - sumBytes
	if int64(len(head)) != h.headEnd() || sum(0, head[:end]) != binary.LittleEndian.Uint32(head[end:]) {
		return nil, nil, nil, fmt.Errorf("%w: its header does not match its checksum", ErrCorrupt)
	}
	extents, sums := make([]extent, h.extents), make([]uint32, h.extents)
	next, b := uint64(0), head[headerBytes:end]
	for i := range extents {
		e := extent{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}
		if e.blocks == 0 || e.offset() < next || e.end() > h.size {
			return nil, nil, nil, fmt.Errorf("%w: extent %d lies wrong", ErrCorrupt, i)
		}
		extents[i], sums[i], next = e, binary.LittleEndian.Uint32(b[8:]), e.end()
		b = b[entryBytes:]
	}
	return extents, sums, bytes.Clone(b), nil
}

// readAt fills b from offset; a file that ends before is corrupt.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	if n, err := r.ReadAt(b, offset); n < len(b) {
		return cutShort(offset+int64(n), err)
	}
	return nil
}

// cutShort is the error of a file that could be read up to end only.
func cutShort(end int64, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends after %d bytes", ErrCorrupt, end)
	}
	return err
}

// sum continues a CRC-32C.
func sum(crc uint32, b []byte) uint32 { return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b) }

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

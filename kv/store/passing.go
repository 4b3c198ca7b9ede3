package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Sizes of what passes. A value of less than passingValueBytes stands in the engine, where it takes hardly more than
// where it lies would. What is written to one file goes with it, all at once: smaller ones go sooner and are more. Both
// are part of the format: see passing.
const (
	passingValueBytes = 1 << 10
	passingFileBytes  = 32 << 20
	passingHeadBytes  = 16 // before each value: its index, its size in 4 bytes, their checksum; big endian

	passingExtension = ".passing"
	passingMeta      = 0xff // in an entry's meta byte, instead of a number of parts: the value is a pointer
)

// passing keeps values that are written once and deleted in the order of their indices (fsm.Write.Passing) in files
// beside the engine's. There a value is written once; the engine writes it to a log, to a table, and to other tables
// at each compaction, through mapped files, and holds in memory what it does that with.
//
// A file is named after the first index in it, holds values one behind the other, those of an index all, and is removed
// when they have been deleted for whoever reads. It is made durable with the engine, so that up to the watermark every
// pointer leads to its value.
//
// What is above the watermark is written again after a stop, to the same places: the engine has the pointers of before
// the stop, too, at the same versions, and which of two it answers is not defined.
type passing struct {
	dir     string
	limit   int64  // bytes with which a file is full
	durable uint64 // watermark at which the engine was opened

	index uint64   // that was begun last; this and the next two are of who holds Store.writing
	open  *os.File // the last of files, once something was written
	size  int64    // of open

	mu    sync.Mutex // guards files
	files []*passingFile
}

type passingFile struct {
	first uint64 // index
	dirty bool   // something of it may not be on disk
}

// pointer says where a value is.
type pointer struct {
	first  uint64 // index of the file
	offset uint64 // of the value, behind its head
	size   uint64
	sum    uint32
}

func (p pointer) append(b []byte) []byte {
	b = binary.AppendUvarint(b, p.first)
	b = binary.AppendUvarint(b, p.offset)
	b = binary.AppendUvarint(b, p.size)
	return binary.BigEndian.AppendUint32(b, p.sum)
}

func decodePointer(b []byte) (p pointer, err error) {
	for _, to := range []*uint64{&p.first, &p.offset, &p.size} {
		n := 0
		if *to, n = binary.Uvarint(b); n <= 0 {
			return pointer{}, errPointer
		}
		b = b[n:]
	}
	if len(b) != 4 || p.size > MaxValueBytes {
		return pointer{}, errPointer
	}
	p.sum = binary.BigEndian.Uint32(b)
	return p, nil
}

var errPointer = errors.New("where it lies is not readable")

// openPassing finds the files in dir. Those that were begun above the watermark hold nothing that is read again.
func openPassing(dir string, durable uint64) (*passing, error) {
	p := &passing{dir: dir, limit: passingFileBytes, durable: durable}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), passingExtension)
		if !ok {
			continue
		}
		first, err := strconv.ParseUint(name, 10, 64)
		if err != nil || p.path(first) != filepath.Join(dir, e.Name()) {
			return nil, fmt.Errorf("%s is not the name of a file of values", e.Name())
		}
		if first > durable {
			if err := os.Remove(p.path(first)); err != nil {
				return nil, err
			}
			continue
		}
		p.files = append(p.files, &passingFile{first: first})
	}
	return p, nil
}

func (p *passing) path(first uint64) string {
	return filepath.Join(p.dir, fmt.Sprintf("%020d%s", first, passingExtension))
}

// begin sees that an index has a file to write to, the same whenever it is applied.
func (p *passing) begin(index uint64) error {
	if index == p.index {
		return nil
	}
	if p.open == nil {
		if err := p.resume(); err != nil {
			return err
		}
	}
	if p.open == nil || p.size >= p.limit {
		if err := p.create(index); err != nil {
			return err
		}
	}
	p.index = index
	return nil
}

// create begins another file.
func (p *passing) create(index uint64) (err error) {
	if p.open != nil {
		err = p.open.Close()
	}
	if err != nil {
		return err
	}
	if p.open, err = os.OpenFile(p.path(index), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return err
	}
	p.size = 0
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = append(p.files, &passingFile{first: index, dirty: true})
	return nil
}

// resume opens the last file that was there, if one was, and cuts away what is above the watermark.
func (p *passing) resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.files) == 0 {
		return nil
	}
	last := p.files[len(p.files)-1]
	f, err := os.OpenFile(p.path(last.first), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	var end int64
	if err == nil {
		end, err = passingEnd(f, info.Size(), p.durable)
	}
	if err == nil {
		err = f.Truncate(end)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	p.open, p.size, last.dirty = f, end, true
	return nil
}

// passingEnd answers where in a file of a size the values end that are not above an index. Behind them anything may be.
func passingEnd(f io.ReaderAt, fileSize int64, durable uint64) (end int64, err error) {
	var head [passingHeadBytes]byte
	for end+passingHeadBytes <= fileSize {
		if _, err := f.ReadAt(head[:], end); err != nil {
			return 0, err
		}
		index, size := binary.BigEndian.Uint64(head[:]), int64(binary.BigEndian.Uint32(head[8:]))
		whole := checksum(head[:12]) == binary.BigEndian.Uint32(head[12:]) && end+passingHeadBytes+size <= fileSize
		if !whole || index > durable {
			break
		}
		end += passingHeadBytes + size
	}
	return end, nil
}

// put writes a value of the index that was begun behind the others, and answers where it is.
func (p *passing) put(value []byte) (pointer, error) {
	head := binary.BigEndian.AppendUint64(make([]byte, 0, passingHeadBytes), p.index)
	head = binary.BigEndian.AppendUint32(head, uint32(len(value)))
	head = binary.BigEndian.AppendUint32(head, checksum(head))
	if _, err := p.open.WriteAt(head, p.size); err != nil {
		return pointer{}, err
	}
	offset := p.size + passingHeadBytes
	if _, err := p.open.WriteAt(value, offset); err != nil {
		return pointer{}, err
	}
	p.size = offset + int64(len(value))
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.files[len(p.files)-1]
	last.dirty = true // now, and not before: a sync in between would have taken it for done
	return pointer{first: last.first, offset: uint64(offset), size: uint64(len(value)), sum: checksum(value)}, nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// get answers the value at a pointer, in buf's memory where it fits.
func (p *passing) get(encoded, buf []byte) ([]byte, error) {
	at, err := decodePointer(encoded)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(p.path(at.first))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf = slices.Grow(buf[:0], int(at.size))[:at.size]
	if _, err := f.ReadAt(buf, int64(at.offset)); err != nil {
		return nil, err
	}
	if checksum(buf) != at.sum {
		return nil, fmt.Errorf("%s: the checksum of %d bytes at %d is wrong", f.Name(), at.size, at.offset)
	}
	return buf, nil
}

// sync makes durable what was put before, with the function that does so for one file.
func (p *passing) sync(syncFile func(path string) error) error {
	p.mu.Lock()
	var dirty []*passingFile
	for _, f := range p.files {
		if f.dirty {
			f.dirty = false // what is put from now on makes it dirty again
			dirty = append(dirty, f)
		}
	}
	p.mu.Unlock()
	for _, f := range dirty {
		if err := syncFile(p.path(f.first)); err != nil {
			return err
		}
	}
	return nil
}

// drop removes the files whose indices are all below one.
func (p *passing) drop(below uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.files) > 1 && p.files[1].first <= below {
		if err := os.Remove(p.path(p.files[0].first)); err != nil {
			return fmt.Errorf("remove values that have passed: %w", err)
		}
		p.files = p.files[1:]
	}
	return nil
}

// close makes durable what was put.
func (p *passing) close() error {
	if p == nil || p.open == nil {
		return nil
	}
	return errors.Join(p.sync(syncFile), syncDir(p.dir), p.open.Close())
}

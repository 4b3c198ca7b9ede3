package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Sizes of what passes. A value of less than passingValueBytes stands in the engine, where it takes hardly more than
// where it lies would. What is written to one file goes with it, all at once: smaller ones go sooner and are more.
const (
	passingValueBytes = 1 << 10
	passingFileBytes  = 32 << 20

	passingExtension = ".passing"
	passingMeta      = 0xff // in an entry's meta byte, instead of a number of parts: the value is a pointer
)

// passing keeps values that are written once and deleted in the order of their indices (fsm.Write.Passing) in files
// beside the engine's. There a value is written once; the engine writes it to a log, to a table, and to other tables
// at each compaction, through mapped files, and holds in memory what it does that with.
//
// A file is named after the first index in it, holds values one behind the other, and is removed when all of them have
// been deleted for whoever reads. It is made durable with the engine, so that up to the watermark every pointer leads to
// its value. What is above the watermark is written again after a stop, to another file.
type passing struct {
	dir   string
	limit int64 // bytes with which a file is full

	mu    sync.Mutex // guards the rest; a file is written to by who holds Store.writing
	files []*passingFile
	open  *os.File // the last of files, when it was made since the engine was opened
	size  int64    // of open
}

type passingFile struct {
	first uint64 // index
	dirty bool   // something of it may not be on disk
}

// pointer says where a value is.
type pointer struct {
	first  uint64 // index of the file
	offset uint64
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
	p := &passing{dir: dir, limit: passingFileBytes}
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

// begin sees that an index has a file to write to. All that an index writes is in one.
func (p *passing) begin(index uint64) error {
	if p.open != nil && p.size < p.limit {
		return nil
	}
	f, err := os.OpenFile(p.path(index), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != nil {
		err = p.open.Close()
	}
	p.open, p.size = f, 0
	p.files = append(p.files, &passingFile{first: index, dirty: true})
	return err
}

// put writes a value behind the others, after begin, and answers where it is.
func (p *passing) put(value []byte) (pointer, error) {
	if _, err := p.open.WriteAt(value, p.size); err != nil {
		return pointer{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	newest := p.files[len(p.files)-1]
	newest.dirty = true // now, and not before: a sync in between would have taken it for done
	at := pointer{first: newest.first, offset: uint64(p.size), size: uint64(len(value)), sum: checksum(value)}
	p.size += int64(len(value))
	return at, nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// get appends the value at a pointer to buf.
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
	n := len(buf)
	buf = slices.Grow(buf, int(at.size))[:n+int(at.size)]
	if _, err := f.ReadAt(buf[n:], int64(at.offset)); err != nil {
		return nil, err
	}
	if checksum(buf[n:]) != at.sum {
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

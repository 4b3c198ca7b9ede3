package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrSnapshot is why Restore refuses a stream: it is cut off, damaged, or not what it should be.
var ErrSnapshot = errors.New("snapshot is damaged")

// entry is a record of a snapshot.
type entry struct {
	key     []byte
	value   []byte
	version uint64
}

// snapshotReader reads a snapshot. What it answers it does not use again.
type snapshotReader struct {
	r       *bufio.Reader
	sum     hash.Hash
	index   uint64
	last    []byte // key
	records uint64
	done    bool
	one     [1]byte
}

// newSnapshotReader reads the header.
func newSnapshotReader(r io.Reader) (*snapshotReader, error) {
	s := &snapshotReader{r: bufio.NewReaderSize(r, streamBufferBytes), sum: sha256.New()}
	magic, err := s.bytes(uint64(len(snapshotMagic)))
	if err != nil {
		return nil, s.damaged("header", err)
	}
	format, err := s.number()
	if err != nil || string(magic) != snapshotMagic {
		return nil, s.damaged("header", errors.Join(err, errors.New("it is not a snapshot of Sett")))
	}
	if format != snapshotFormat {
		return nil, s.damaged("header", fmt.Errorf("it has format %d and this version of Sett reads format %d",
			format, snapshotFormat))
	}
	var zero uint64
	if s.index, err = s.number(); err == nil {
		zero, err = s.number()
	}
	if err == nil && zero != 0 {
		err = fmt.Errorf("%d instead of 0", zero)
	}
	if err != nil {
		return nil, s.damaged("header", err)
	}
	return s, nil
}

// next answers the next record, or false behind the last one, when the checksum was right.
func (s *snapshotReader) next() (e entry, more bool, err error) {
	if s.done {
		return entry{}, false, nil
	}
	tag, err := s.ReadByte()
	switch {
	case err != nil:
	case tag == tagEnd:
		s.done = true
		err = s.end()
	case tag == tagValue:
		s.records++
		e, err = s.entry()
		more = true
	default:
		err = fmt.Errorf("unknown tag %d", tag)
	}
	if err != nil {
		return entry{}, false, s.damaged(fmt.Sprint("record ", s.records), err)
	}
	return e, more, nil
}

func (s *snapshotReader) entry() (e entry, err error) {
	if e.key, err = s.sized(MaxKeyBytes); err != nil {
		return entry{}, err
	}
	if s.records > 1 && bytes.Compare(e.key, s.last) <= 0 {
		return entry{}, fmt.Errorf("key %.80q is not above %.80q", e.key, s.last)
	}
	s.last = e.key
	if e.version, err = s.number(); err != nil {
		return entry{}, err
	}
	if e.version == 0 || e.version > s.index {
		return entry{}, fmt.Errorf("key %.80q was written at index %d, in a snapshot of %d", e.key, e.version, s.index)
	}
	e.value, err = s.sized(MaxValueBytes)
	return e, err
}

func (s *snapshotReader) end() error {
	n, err := s.number()
	if err != nil {
		return err
	}
	if n != s.records {
		return fmt.Errorf("%d records of %d", s.records, n)
	}
	want := s.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s.r, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("the checksum is wrong")
	}
	return nil
}

func (s *snapshotReader) damaged(what string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %s: %w", ErrSnapshot, what, err)
}

func (s *snapshotReader) number() (uint64, error) { return binary.ReadUvarint(s) }

// sized reads a length and as many bytes.
func (s *snapshotReader) sized(limit uint64) ([]byte, error) {
	n, err := s.number()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", n, limit)
	}
	return s.bytes(n)
}

// bytes takes memory as bytes come in, not as a damaged length promises.
func (s *snapshotReader) bytes(n uint64) ([]byte, error) {
	if n <= streamBufferBytes {
		b := make([]byte, n)
		_, err := io.ReadFull(s.r, b)
		s.sum.Write(b)
		return b, err
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, s.r, int64(n))
	s.sum.Write(b.Bytes())
	return b.Bytes(), err
}

// ReadByte is for reading numbers.
func (s *snapshotReader) ReadByte() (byte, error) {
	c, err := s.r.ReadByte()
	if err == nil {
		s.one[0] = c
		s.sum.Write(s.one[:])
	}
	return c, err
}

// ended sees that nothing follows the snapshot.
func (s *snapshotReader) ended() error {
	if _, err := s.r.Peek(1); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", ErrSnapshot)
	}
	return nil
}

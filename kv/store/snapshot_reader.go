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
	kept    bool // the value is in the snapshot before
}

// snapshotReader reads a snapshot. What it answers it does not use again.
type snapshotReader struct {
	r            *bufio.Reader
	sum          hash.Hash
	index, since uint64
	last         []byte // key
	records      uint64
	done         bool
	one          [1]byte
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
	if s.index, err = s.number(); err == nil {
		s.since, err = s.number()
	}
	if err == nil && s.since > s.index {
		err = fmt.Errorf("index %d is before %d", s.index, s.since)
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
	case tag == tagValue || tag == tagKept && s.since > 0:
		s.records++
		e, err = s.entry(tag)
		more = true
	default:
		err = fmt.Errorf("unknown tag %d", tag)
	}
	if err != nil {
		return entry{}, false, s.damaged(fmt.Sprint("record ", s.records), err)
	}
	return e, more, nil
}

func (s *snapshotReader) entry(tag byte) (e entry, err error) {
	e.kept = tag == tagKept
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
	if e.version == 0 || e.version > s.index || e.kept != (e.version <= s.since) {
		return entry{}, fmt.Errorf("key %.80q was written at index %d, in a snapshot of %d since %d",
			e.key, e.version, s.index, s.since)
	}
	if !e.kept {
		e.value, err = s.sized(MaxValueBytes)
	}
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

// layers is a snapshot with increments on it, the newest last. It is read as the state that they are together.
type layers []*layer

type layer struct {
	*snapshotReader
	begun bool
	at    entry // the record it stands at, when there is one
	more  bool
}

// openLayers reads the headers. An increment must begin where what is below it ends, or before.
func openLayers(readers []io.Reader) (layers, error) {
	var ls layers
	for i, r := range readers {
		s, err := newSnapshotReader(r)
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0 && s.since > 0:
			return nil, fmt.Errorf("%w: it is an increment since index %d, and nothing is before it", ErrSnapshot, s.since)
		case i > 0 && s.since == 0:
			return nil, fmt.Errorf("%w: it is whole and cannot be an increment", ErrSnapshot)
		case i > 0 && (s.since > ls[i-1].index || s.index < ls[i-1].index):
			return nil, fmt.Errorf("%w: the increment from index %d to %d does not go on at %d",
				ErrSnapshot, s.since, s.index, ls[i-1].index)
		}
		ls = append(ls, &layer{snapshotReader: s})
	}
	return ls, nil
}

func (ls layers) index() uint64 { return ls[len(ls)-1].index }

// next answers the next key with its value.
func (ls layers) next() (e entry, more bool, err error) {
	top := len(ls) - 1
	e, more, err = ls[top].next()
	if err != nil || !more || !e.kept {
		return e, more, err
	}
	e, err = ls[:top].find(e)
	return e, true, err
}

// find answers the value of a kept record.
func (ls layers) find(kept entry) (entry, error) {
	for i := len(ls) - 1; i >= 0; i-- {
		l := ls[i]
		if err := l.seek(kept.key); err != nil {
			return entry{}, err
		}
		if !l.more || !bytes.Equal(l.at.key, kept.key) || l.at.version != kept.version {
			break
		}
		if !l.at.kept {
			return l.at, nil
		}
	}
	return entry{}, fmt.Errorf("%w: the value of %.80q, of index %d, is not in what is before the increment",
		ErrSnapshot, kept.key, kept.version)
}

// seek goes on to the first record that is not below key.
func (l *layer) seek(key []byte) (err error) {
	for !l.begun || l.more && bytes.Compare(l.at.key, key) < 0 {
		l.begun = true
		if l.at, l.more, err = l.next(); err != nil {
			return err
		}
	}
	return nil
}

// ended sees that nothing follows the layers.
func (ls layers) ended() error {
	for _, l := range ls {
		if _, err := l.r.Peek(1); !errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: something follows its end", ErrSnapshot)
		}
	}
	return nil
}

// finish reads what is left, for its checksums.
func (ls layers) finish() error {
	for _, l := range ls {
		for !l.done {
			if _, _, err := l.next(); err != nil {
				return err
			}
		}
	}
	return nil
}

package store

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// A snapshot is the state of one index as a stream of bytes; numbers are unsigned varints:
//
//	header   snapshotMagic, format, index, since
//	records  of every key, ascending: tag, key length, key, index that wrote it, and unless kept: value length, value
//	end      tagEnd, number of records, SHA-256 of all that is before it
//
// In an increment, whose since is not 0, a record is kept when it was written at since or before: its value is in
// the snapshot that the increment is for. That every key is listed is how deletions are told, which the engine
// itself forgets.
const (
	snapshotMagic  = "settkv\r\n"
	snapshotFormat = 1

	tagEnd   = 0
	tagValue = 1
	tagKept  = 2
)

const streamBufferBytes = 64 << 10

// WriteSnapshot writes the state of a view as Restore reads it. It takes little memory, however large the state is.
func (s *Store) WriteSnapshot(w io.Writer, v *View) error {
	if err := s.writeSnapshot(w, v, 0); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// Backup writes the newest state and answers its index, or, when since is not 0, what makes it of any state
// between since and it: the increment. That holds all keys, but values only of those written after since.
func (s *Store) Backup(w io.Writer, since uint64) (index uint64, err error) {
	v, err := s.View()
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	defer v.Close()
	if since > v.index {
		return 0, coded(abi.InvalidInput, fmt.Sprintf("backup since index %d of %d", since, v.index), op.ErrInvalid)
	}
	if err := s.writeSnapshot(w, v, since); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	return v.index, nil
}

func (s *Store) writeSnapshot(w io.Writer, v *View, since uint64) error {
	start := time.Now()
	out := newSnapshotWriter(w)
	if err := out.begin(v.index, since); err != nil {
		return err
	}
	var value []byte
	err := v.walk(nil, nil, func(item *badger.Item) (more bool, err error) {
		key := item.Key()[1:]
		if item.Version() <= since {
			return true, out.kept(key, item.Version())
		}
		if value, err = v.engine.join(v.txn, item, value[:0]); err != nil {
			return false, fmt.Errorf("read %.80q: %w", key, err)
		}
		return true, out.value(key, item.Version(), value)
	})
	if err == nil {
		err = out.end()
	}
	s.metrics.snapshotted(start, out.bytes, err)
	return err
}

// Hash answers the SHA-256 of all keys and values of a view: equal on every replica at an index.
func (s *Store) Hash(v *View) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	var length []byte
	err = v.Scan(nil, nil, func(key, value []byte) bool {
		for _, b := range [][]byte{key, value} {
			length = binary.AppendUvarint(length[:0], uint64(len(b)))
			h.Write(length)
			h.Write(b)
		}
		return true
	})
	if err != nil {
		return sum, fmt.Errorf("hash state: %w", err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// snapshotWriter writes a snapshot.
type snapshotWriter struct {
	w       *bufio.Writer
	sum     hash.Hash
	scratch []byte
	records uint64
	bytes   int64
}

func newSnapshotWriter(w io.Writer) *snapshotWriter {
	return &snapshotWriter{w: bufio.NewWriterSize(w, streamBufferBytes), sum: sha256.New()}
}

func (o *snapshotWriter) begin(index, since uint64) error {
	b := append(o.scratch[:0], snapshotMagic...)
	b = binary.AppendUvarint(b, snapshotFormat)
	b = binary.AppendUvarint(b, index)
	o.scratch = binary.AppendUvarint(b, since)
	return o.write(o.scratch)
}

func (o *snapshotWriter) kept(key []byte, version uint64) error {
	o.head(tagKept, key, version)
	return o.write(o.scratch)
}

func (o *snapshotWriter) value(key []byte, version uint64, value []byte) error {
	o.head(tagValue, key, version)
	o.scratch = binary.AppendUvarint(o.scratch, uint64(len(value)))
	if err := o.write(o.scratch); err != nil {
		return err
	}
	return o.write(value)
}

func (o *snapshotWriter) head(tag byte, key []byte, version uint64) {
	o.records++
	b := append(o.scratch[:0], tag)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	o.scratch = binary.AppendUvarint(b, version)
}

func (o *snapshotWriter) end() error {
	o.scratch = binary.AppendUvarint(append(o.scratch[:0], tagEnd), o.records)
	if err := o.write(o.scratch); err != nil {
		return err
	}
	if err := o.write(o.sum.Sum(nil)); err != nil {
		return err
	}
	return o.w.Flush()
}

func (o *snapshotWriter) write(b []byte) error {
	o.sum.Write(b)
	n, err := o.w.Write(b)
	o.bytes += int64(n)
	return err
}

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
)

// A snapshot is the state of one index as a stream of bytes; numbers are unsigned varints:
//
//	header   snapshotMagic, format, index, 0
//	records  of every key, ascending: tagValue, key length, key, index that wrote it, value length, value
//	end      tagEnd, number of records, SHA-256 of all that is before it
const (
	snapshotMagic  = "settkv\r\n"
	snapshotFormat = 1

	tagEnd   = 0
	tagValue = 1
)

const streamBufferBytes = 64 << 10

// WriteSnapshot writes the state of a view as Restore reads it. It takes little memory, however large the state is.
func (s *Store) WriteSnapshot(w io.Writer, v *View) error {
	if err := s.writeSnapshot(w, v); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

func (s *Store) writeSnapshot(w io.Writer, v *View) error {
	start := time.Now()
	out := newSnapshotWriter(w)
	if err := out.begin(v.index); err != nil {
		return err
	}
	var value []byte
	err := v.walk(nil, nil, func(item *badger.Item) (more bool, err error) {
		key := item.Key()[1:]
		if value, err = join(v.txn, item, value[:0]); err != nil {
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

func (o *snapshotWriter) begin(index uint64) error {
	b := append(o.scratch[:0], snapshotMagic...)
	b = binary.AppendUvarint(b, snapshotFormat)
	b = binary.AppendUvarint(b, index)
	o.scratch = binary.AppendUvarint(b, 0)
	return o.write(o.scratch)
}

func (o *snapshotWriter) value(key []byte, version uint64, value []byte) error {
	o.records++
	b := append(o.scratch[:0], tagValue)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.AppendUvarint(b, version)
	o.scratch = binary.AppendUvarint(b, uint64(len(value)))
	if err := o.write(o.scratch); err != nil {
		return err
	}
	return o.write(value)
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

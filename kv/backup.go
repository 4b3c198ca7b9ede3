package kv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// ErrBackup is why Restore refuses a stream: it is cut off, damaged, or no backup.
var ErrBackup = errors.New("backup is damaged")

// A backup is a header, numbers big endian, and a snapshot of package store, which has a checksum of its own:
//
//	8 bytes  backupMagic
//	1        backupFormat
//	1        feature level of the state
//	8        index of the state
//	8        time at which it was made, nanoseconds since 1970
//	4        CRC-32 (Castagnoli) of all that is before it
const (
	backupMagic      = "settbk\r\n"
	backupFormat     = 1
	backupHeaderSize = 30
)

// BackupInfo says what a backup is.
type BackupInfo struct {
	Index uint64    // of the newest entry in it
	Time  time.Time // when it was made
	Bytes int64     // of the stream
}

// backupHeader is what stands before the snapshot.
type backupHeader struct {
	level uint8
	index uint64
	time  time.Time
}

func (h backupHeader) append(b []byte) []byte {
	start := len(b)
	b = append(append(b, backupMagic...), backupFormat, h.level)
	b = binary.BigEndian.AppendUint64(b, h.index)
	b = binary.BigEndian.AppendUint64(b, uint64(h.time.UnixNano()))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], crc32.MakeTable(crc32.Castagnoli)))
}

// parseBackupHeader reads what append wrote. Its errors are ErrBackup, or fsm.ErrTooNew when this build is too old.
func parseBackupHeader(b []byte) (backupHeader, error) {
	if len(b) != backupHeaderSize || string(b[:8]) != backupMagic {
		return backupHeader{}, fmt.Errorf("%w: it is not a backup of Sett", ErrBackup)
	}
	if b[8] != backupFormat {
		return backupHeader{}, fmt.Errorf("%w: it has format %d, this version of Sett reads format %d", ErrBackup, b[8], backupFormat)
	}
	content := b[:backupHeaderSize-4]
	if crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[len(content):]) {
		return backupHeader{}, fmt.Errorf("%w: the checksum of its header is wrong", ErrBackup)
	}
	h := backupHeader{level: b[9], index: binary.BigEndian.Uint64(b[10:]),
		time: time.Unix(0, int64(binary.BigEndian.Uint64(b[18:]))).UTC()}
	if h.level > fsm.Level {
		return backupHeader{}, fmt.Errorf("level %d: %w", h.level, fsm.ErrTooNew)
	}
	return h, nil
}

// Backup writes the state of one index, as this node has it, in a form that Restore reads. It needs no leader. Whoever
// wants everything that was acknowledged before, on whichever node, calls CaughtUp first. The store goes on meanwhile,
// and keeps what it overwrites until Backup returns. After an error what was written is of no use.
func (s *Store) Backup(ctx context.Context, w io.Writer) (BackupInfo, error) {
	return s.BackupAnd(ctx, w, func(Moment) error { return nil })
}

// BackupAnd is Backup, and then has look read the state that was written, whatever is committed meanwhile. Its error is
// the backup's.
func (s *Store) BackupAnd(ctx context.Context, w io.Writer, look func(Moment) error) (BackupInfo, error) {
	info, err := s.backup(ctx, w, look)
	if err != nil {
		return BackupInfo{}, withCode("backup", err)
	}
	return info, nil
}

func (s *Store) backup(ctx context.Context, w io.Writer, look func(Moment) error) (BackupInfo, error) {
	m, err := s.moment(ctx, op.Read{Consistency: op.Local})
	if err != nil {
		return BackupInfo{}, err
	}
	defer m.Close()
	p, err := fsm.ReadProgress(m)
	if err != nil {
		return BackupInfo{}, err
	}
	out := &counted{ctx: ctx, w: w}
	h := backupHeader{level: p.Level, index: m.Index(), time: time.Now().UTC()}
	if _, err := out.Write(h.append(nil)); err != nil {
		return BackupInfo{}, err
	}
	if err := s.state.WriteSnapshot(out, m.View); err != nil {
		return BackupInfo{}, err
	}
	return BackupInfo{Index: h.index, Time: h.time, Bytes: out.n}, look(Moment{m})
}

// Moment reads the store as it was at one moment, whatever a read asks for, and takes no changes. It is good within the
// call that it is given to.
type Moment struct{ at moment }

// Get answers a key's value, or op.ErrNotFound.
func (m Moment) Get(_ context.Context, namespace, key string, _ op.Read) (op.Item, error) {
	item, err := fsm.Get(m.at, namespace, key, m.at.now)
	return item, withCode("get", err)
}

// List answers a page. Its cursor is the first key of the next one.
func (m Moment) List(ctx context.Context, namespace string, q op.Query) (page op.Page, err error) {
	if err = ctx.Err(); err == nil {
		page, err = fsm.List(m.at, namespace, q, m.at.now)
	}
	return page, withCode("list", err)
}

// Commit refuses.
func (m Moment) Commit(context.Context, op.Txn) (op.Result, error) {
	return op.Result{}, withCode("commit", fmt.Errorf("what was cannot be changed: %w", op.ErrInvalid))
}

// counted counts what is read or written through it, until a context ends. It lives as long as one call.
type counted struct {
	ctx context.Context
	r   io.Reader
	w   io.Writer
	n   int64
}

func (c *counted) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

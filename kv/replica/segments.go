package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

const (
	segmentHeaderSize  = 8 // of each part of a log file: a kind, then its size in the last four bytes
	segmentOffsetBytes = 4 // of each entry in the index that seals a log file
)

// segments is raft-wal's record of its files, made right after a crash. raft-wal v0.4.2 writes the index that seals a
// full file together with the last entries in it, and records that it is sealed in the background. When the process
// ends in between, or the last write is torn, it takes the file for one that is both open and sealed, and accepts no
// entry ever again.
type segments struct {
	metadb.BoltMetaDB
	limit int // bytes of a file
}

// Load answers the record, after finishing or undoing a seal that a crash has interrupted.
func (s *segments) Load(dir string) (types.PersistentState, error) {
	state, err := s.BoltMetaDB.Load(dir)
	if err != nil || len(state.Segments) == 0 {
		return state, err
	}
	tail := &state.Segments[len(state.Segments)-1]
	if !tail.SealTime.IsZero() {
		return state, nil
	}
	last, indexStart, err := tailOf(dir, *tail)
	if err != nil || indexStart == 0 {
		return state, err
	}
	complete, err := undoSeal(dir, *tail, last, indexStart)
	if err != nil || !complete {
		return state, err
	}
	tail.SealTime, tail.MaxIndex, tail.IndexStart = time.Now(), last, indexStart
	state.Segments = append(state.Segments, types.SegmentInfo{ID: state.NextSegmentID, BaseIndex: last + 1,
		MinIndex: last + 1, SizeLimit: uint32(s.limit), Codec: wal.CodecBinaryV1, CreateTime: time.Now()})
	state.NextSegmentID++
	return state, s.CommitState(state)
}

// tailOf answers the last entry of an open file, and where its index is; 0: it has none.
func tailOf(dir string, tail types.SegmentInfo) (last, indexStart uint64, err error) {
	w, err := segment.NewFiler(dir, fs.New()).RecoverTail(tail)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer w.Close()
	_, indexStart, err = w.Sealed()
	return w.LastIndex(), indexStart, err
}

// undoSeal says whether a file's index is complete, which it is when it counts as many entries as have been written
// whole. An index of a torn write, whose entries do not count, is made to be the end of the file.
func undoSeal(dir string, tail types.SegmentInfo, last, indexStart uint64) (complete bool, err error) {
	f, err := os.OpenFile(filepath.Join(dir, segment.FileName(tail)), os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var header [segmentHeaderSize]byte
	at := int64(indexStart) - segmentHeaderSize
	if _, err := f.ReadAt(header[:], at); err != nil {
		return false, fmt.Errorf("read index of %s: %w", f.Name(), err)
	}
	entries := uint64(binary.LittleEndian.Uint32(header[4:])) / segmentOffsetBytes
	if entries > 0 && last+1 == tail.BaseIndex+entries {
		return true, nil
	}
	if _, err := f.WriteAt(make([]byte, segmentHeaderSize), at); err != nil {
		return false, fmt.Errorf("remove index of %s: %w", f.Name(), err)
	}
	return false, f.Sync()
}

package fsm

import (
	"encoding/binary"
	"fmt"
	"time"
)

// progress is how far the state is. Every entry writes it.
type progress struct {
	index     uint64 // of the newest entry; 0: none
	time      int64  // leader time of it: it grows with every entry
	level     uint8  // feature level
	expired   int64  // no key in the state expires before
	compacted uint64 // the newest revision whose changes are forgotten
	history   mark   // of the oldest record of historyKind
	requests  mark   // of the oldest record of requestsKind
}

// mark says which record of what entries did is the oldest. Where to begin must be known: there are as many deleted
// ones before it as the storage has not compacted away, and a scan would go through all of them.
type mark struct {
	index uint64 // of the entry
	time  int64  // leader time of it; 0: there is no record
}

func readProgress(v View) (progress, error) {
	b, found, err := v.Get([]byte(progressKey))
	if err != nil {
		return progress{}, fmt.Errorf("read progress: %w", err)
	}
	if !found {
		return progress{level: 1}, nil
	}
	return decodeProgress(b)
}

func decodeProgress(b []byte) (progress, error) {
	f := fields{rest: b}
	p := progress{index: f.uvarint(), time: f.natural(), level: f.byte(), expired: f.natural(), compacted: f.uvarint()}
	p.history = mark{index: f.uvarint(), time: f.natural()}
	p.requests = mark{index: f.uvarint(), time: f.natural()}
	if !f.whole() {
		return progress{}, fmt.Errorf("progress: %w", errDamaged)
	}
	return p, nil
}

func (p progress) append(b []byte) []byte {
	b = appendTime(binary.AppendUvarint(b, p.index), p.time)
	b = appendTime(append(b, p.level), p.expired)
	b = binary.AppendUvarint(b, p.compacted)
	b = appendTime(binary.AppendUvarint(b, p.history.index), p.history.time)
	return appendTime(binary.AppendUvarint(b, p.requests.index), p.requests.time)
}

// Passed answers the index below which nothing that was written as Write.Passing is in v.
func Passed(v View) (index uint64, err error) {
	p, err := readProgress(v)
	if err == nil && p.history.time == 0 {
		return p.index + 1, nil
	}
	return p.history.index, err
}

// Progress is how far a view is.
type Progress struct {
	Index uint64    // of the newest entry applied; 0: none
	Time  time.Time // leader time of that entry: what has expired by then is gone
	Level uint8     // feature level of the group

	Compacted uint64 // the newest revision whose changes are forgotten
}

// ReadProgress answers how far v is.
func ReadProgress(v View) (Progress, error) {
	p, err := readProgress(v)
	return Progress{Index: p.index, Time: timeOf(p.time), Level: p.level, Compacted: p.compacted}, err
}

package fsm

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Retention of the changes that watches read.
const (
	// HistoryRetention is how long changes can be read, at least. Longer takes disk for every write, a value's size
	// each; shorter makes watches that were away for as long begin anew.
	HistoryRetention = time.Hour

	sampleEvery = 5 * time.Minute // changes can be read for up to this much longer
	slack       = time.Hour       // from where the machine looks no more to Write.Garbage: what clocks may differ
)

// progress is how far the state is. Every entry writes it.
type progress struct {
	index   uint64 // of the newest entry; 0: none
	time    int64  // leader time of it: it grows with every entry
	level   uint8  // feature level
	changed uint64 // the newest revision that changed a key

	// samples say how old revisions are, oldest first: what came after samples[i].revision is not older than
	// samples[i].time, and what came before samples[i+1].revision is less than sampleEvery younger than that.
	samples []sample
}

type sample struct {
	time     int64
	revision uint64
}

func readProgress(v View) (progress, error) {
	b, found, err := v.Get([]byte(progressKey))
	if err != nil {
		return progress{}, err
	}
	if !found {
		return progress{level: 1}, nil
	}
	f := fields{rest: b}
	p := progress{index: f.uvarint(), time: f.natural(), level: f.byte(), changed: f.uvarint()}
	for range f.count(len(b)) {
		p.samples = append(p.samples, sample{time: f.natural(), revision: f.uvarint()})
	}
	if !f.whole() {
		return progress{}, fmt.Errorf("progress: %w", errDamaged)
	}
	return p, nil
}

func (p progress) append(b []byte) []byte {
	b = binary.AppendUvarint(b, p.index)
	b = binary.AppendUvarint(b, uint64(p.time))
	b = binary.AppendUvarint(append(b, p.level), p.changed)
	b = binary.AppendUvarint(b, uint64(len(p.samples)))
	for _, s := range p.samples {
		b = binary.AppendUvarint(b, uint64(s.time))
		b = binary.AppendUvarint(b, s.revision)
	}
	return b
}

// begin moves p to the entry at index, proposed at now, before any of its commands. Leader time never stands still
// nor goes back, whatever the leaders' clocks do.
func (p *progress) begin(index uint64, now int64) {
	p.index = index
	p.time = max(now, p.time+1)
	n := len(p.samples)
	if n > 0 && p.time < p.samples[n-1].time+int64(sampleEvery) {
		return
	}
	p.samples = append(p.samples, sample{p.time, p.changed})
	for len(p.samples) > 1 && p.samples[0].old(p.time) {
		p.samples = p.samples[1:]
	}
}

// old says whether what came before the next sample is past retention at now.
func (s sample) old(now int64) bool {
	return s.time+int64(sampleEvery) <= now-int64(HistoryRetention)
}

// compacted answers the revision up to which changes may be gone at now.
func (p progress) compacted(now int64) (revision uint64) {
	for i, s := range p.samples {
		if i == 0 || p.samples[i-1].old(now) {
			revision = s.revision
		}
	}
	if n := len(p.samples); n > 0 && p.samples[n-1].old(now) {
		revision = p.changed
	}
	return revision
}

// Progress is how far a view is.
type Progress struct {
	Index uint64    // of the newest entry applied; 0: none
	Time  time.Time // leader time of that entry: what has expired by then is gone
	Level uint8     // feature level of the group
}

// ReadProgress answers how far v is.
func ReadProgress(v View) (Progress, error) {
	p, err := readProgress(v)
	if err != nil {
		return Progress{}, fmt.Errorf("read progress: %w", err)
	}
	return Progress{Index: p.index, Time: timeOf(p.time), Level: p.level}, nil
}

package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// saver writes lines to segments, in the background and in batches. What the disk does not take is counted and
// forgotten; the lines stay in memory.
type saver struct {
	config   Config
	metrics  *metrics
	segments []segment // ascending; the last one is written to
	file     segmentFile
	create   func(path string) (segmentFile, error)
	failing  bool // the last batch could not be saved; told once
	wake     chan struct{}

	mu      sync.Mutex // guards what follows
	waiting []abi.Line
	bytes   int
}

type segment struct {
	number int
	size   int64
}

type segmentFile interface {
	io.WriteCloser
	Truncate(size int64) error
}

// openSaver reads the segments there are and opens the last one to go on writing.
func openSaver(c Config, m *metrics, keep func(abi.Line)) (*saver, error) {
	s := &saver{config: c, metrics: m, create: createSegment, wake: make(chan struct{}, 1)}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "%08d.jsonl", &n); err == nil && e.Name() == segmentName(n) {
			s.segments = append(s.segments, segment{number: n})
		}
	}
	slices.SortFunc(s.segments, func(a, b segment) int { return a.number - b.number })
	next := segment{number: 1}
	whole := false // the last segment was read, and can be written to
	for i := range s.segments {
		whole = s.load(&s.segments[i], keep)
		next.number = s.segments[i].number + 1
	}
	if !whole {
		s.segments = append(s.segments, next)
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	s.prune()
	return s, nil
}

func segmentName(n int) string { return fmt.Sprintf("%08d.jsonl", n) }

func (s *saver) path(g segment) string { return filepath.Join(s.config.Dir, segmentName(g.number)) }

func createSegment(path string) (segmentFile, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// load keeps the lines of a segment and reports whether it could be read to its end. One that could not loses its
// lines and nothing else.
func (s *saver) load(g *segment, keep func(abi.Line)) (whole bool) {
	f, err := os.Open(s.path(*g))
	if err != nil {
		s.config.Log.Warn("open log segment", "file", s.path(*g), "err", err)
		return false
	}
	defer f.Close()
	end, damaged, err := readSegment(f, func(line abi.Line) { keep(s.config.limit(line)) })
	if g.size = end; err != nil || damaged > 0 {
		s.config.Log.Warn("read log segment", "file", s.path(*g), "damaged_lines", damaged, "err", err)
	}
	return err == nil
}

// open opens the last segment and cuts off half a line at its end.
func (s *saver) open() error {
	g := s.segments[len(s.segments)-1]
	f, err := s.create(s.path(g))
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	if err := f.Truncate(g.size); err != nil {
		return errors.Join(fmt.Errorf("cut segment: %w", err), f.Close())
	}
	s.file = f
	return nil
}

// offer hands a line over without waiting.
func (s *saver) offer(line abi.Line) {
	s.mu.Lock()
	fits := s.bytes < maxPendingBytes
	if fits {
		s.waiting = append(s.waiting, line)
		s.bytes += entry{line: line}.size()
	}
	s.mu.Unlock()
	if !fits {
		s.metrics.unsaved.Inc()
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run saves what is offered, until stop is closed.
func (s *saver) run(stop <-chan struct{}) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.wake:
			s.flush()
		case <-tick.C:
			s.prune()
		case <-stop:
			return
		}
	}
}

// close saves the rest and closes the file.
func (s *saver) close() error {
	s.flush()
	if s.failing {
		return errors.Join(errors.New("close logs: the last lines could not be saved"), s.file.Close())
	}
	return s.file.Close()
}

// flush saves what waits.
func (s *saver) flush() {
	s.mu.Lock()
	lines := s.waiting
	s.waiting, s.bytes = nil, 0
	s.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	err := s.save(lines)
	if err != nil {
		s.metrics.unsaved.Add(float64(len(lines)))
	}
	switch {
	case err != nil && !s.failing:
		s.config.Log.Error("save log lines", "lines", len(lines), "err", err)
	case err == nil && s.failing:
		s.config.Log.Info("saving log lines again")
	}
	s.failing = err != nil
}

// save writes lines as one batch; after an error none of them is in the file.
func (s *saver) save(lines []abi.Line) error {
	var b bytes.Buffer
	for _, line := range lines {
		whole := b.Len()
		if err := encodeLine(&b, line); err != nil { // a year beyond 9999
			b.Truncate(whole)
			s.metrics.unsaved.Inc()
		}
	}
	if err := s.rotate(); err != nil {
		return err
	}
	g := &s.segments[len(s.segments)-1]
	n, err := s.file.Write(b.Bytes())
	if err != nil {
		return errors.Join(fmt.Errorf("write segment: %w", err), s.file.Truncate(g.size))
	}
	g.size += int64(n)
	return nil
}

// rotate begins a new segment when the last one is full.
func (s *saver) rotate() error {
	last := s.segments[len(s.segments)-1]
	if last.size < s.config.SegmentBytes {
		return nil
	}
	next := segment{number: last.number + 1}
	file, err := s.create(s.path(next))
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	old := s.file
	s.file, s.segments = file, append(s.segments, next)
	s.prune()
	if err := old.Close(); err != nil {
		return fmt.Errorf("close segment: %w", err)
	}
	return nil
}

// prune removes the oldest segments that are too many or too old, so that with the one being written there is
// room for DiskBytes.
func (s *saver) prune() {
	var sum int64
	for _, g := range s.segments {
		sum += g.size
	}
	for len(s.segments) > 1 {
		first := s.segments[0]
		info, err := os.Stat(s.path(first))
		old := err == nil && time.Since(info.ModTime()) > s.config.MaxAge
		if !old && sum+s.config.SegmentBytes <= s.config.DiskBytes {
			return
		}
		if err := os.Remove(s.path(first)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.config.Log.Warn("remove log segment", "file", s.path(first), "err", err)
		}
		sum -= first.size
		s.segments = s.segments[1:]
	}
}

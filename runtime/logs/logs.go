// Package logs keeps what guests and the platform wrote, for a while, on the node that ran them. Its main type is
// Logs.
//
// When Write returns, Read and every Follow see the line; Write waits neither for a disk nor for a reader. Lines
// are saved to files in the background and are there again after a restart, except those of the last moment before
// a crash. Everything is bounded by size and age; when something must go, the oldest lines of the functions that
// wrote most go first, so that a noisy function does not take a quiet one's lines.
package logs

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/sdk/abi"
)

// Config says where lines are kept and how many. The zero value keeps them in memory only, within the defaults.
type Config struct {
	Dir     string                // directory of the files, made with mode 0700; empty: none
	Log     *slog.Logger          // nil: no log
	Metrics prometheus.Registerer // nil: no metrics; what is registered goes again on Close

	FunctionBytes int           // memory a function's lines may take; 0: 1 MiB
	TotalBytes    int           // memory all lines may take; 0: 32 MiB
	DiskBytes     int64         // files together; 0: 64 MiB. More is read at start, and kept in memory as far as it fits
	SegmentBytes  int64         // size at which a file is closed and the next begun; 0: 4 MiB
	LineBytes     int           // a line's text, and its attributes; longer ones are cut; 0: 16 KiB, at most 16 KiB
	MaxAge        time.Duration // older lines are not shown and go; 0: seven days
}

// Limits that are not configured. More pending bytes survive a slower disk, more buffered lines a slower reader.
const (
	maxLineBytes    = 16 << 10
	maxPendingBytes = 4 << 20 // lines waiting for the disk; beyond, they are not saved
	maxBuffered     = 1024    // lines waiting for one follower; beyond, they are dropped and told
	maxBufferBytes  = 1 << 20 // memory of the same
	maxFollowers    = 128
	sweepEvery      = time.Minute
)

func (c Config) complete() Config {
	c.FunctionBytes = cmp.Or(c.FunctionBytes, 1<<20)
	c.TotalBytes = cmp.Or(c.TotalBytes, 32<<20)
	c.DiskBytes = cmp.Or(c.DiskBytes, 64<<20)
	c.SegmentBytes = cmp.Or(c.SegmentBytes, 4<<20)
	c.LineBytes = min(cmp.Or(c.LineBytes, maxLineBytes), maxLineBytes)
	c.MaxAge = cmp.Or(c.MaxAge, 7*24*time.Hour)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Logs keeps lines. All methods may be called concurrently.
type Logs struct {
	config  Config
	metrics *metrics
	saver   *saver // nil: no files

	mu    sync.RWMutex // guards rings, the map; each ring guards itself
	rings map[source]*ring

	order     atomic.Uint64 // of the last line
	bytes     atomic.Int64  // of all rings
	reclaims  sync.Mutex    // held by who reclaims memory
	followMu  sync.Mutex    // serialises changes of followers
	followers atomic.Pointer[[]*follower]

	closeOnce sync.Once
	stop      chan struct{} // closed by Close
	running   sync.WaitGroup
}

// source is who wrote a line.
type source struct{ app, function string }

// Open reads the lines that were saved and begins to keep more. A file that is damaged costs the lines that are, no
// more.
func Open(cfg Config) (*Logs, error) {
	l := &Logs{config: cfg.complete(), rings: map[source]*ring{}, stop: make(chan struct{})}
	l.followers.Store(new([]*follower))
	var err error
	if l.metrics, err = newMetrics(cfg.Metrics, l); err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	if cfg.Dir != "" {
		if l.saver, err = openSaver(l.config, l.metrics, func(line abi.Line) { l.keep(line) }); err != nil {
			l.metrics.unregister()
			return nil, fmt.Errorf("open logs: %w", err)
		}
		l.running.Go(func() { l.saver.run(l.stop) })
	}
	l.running.Go(l.sweep)
	return l, nil
}

// Close ends every Follow, saves what is not yet saved and closes the files. Lines written later are lost.
func (l *Logs) Close() error {
	var err error
	l.closeOnce.Do(func() {
		close(l.stop)
		l.running.Wait()
		l.metrics.unregister()
		if l.saver != nil {
			err = l.saver.close()
		}
	})
	return err
}

// Write keeps a line; when it returns, Read and Follow see it. It does not wait for disk or readers. What it keeps
// it copies. Text over Config.LineBytes is cut and says so; text that is not UTF-8 is made so; a line without a time
// gets one.
func (l *Logs) Write(line abi.Line) {
	l.metrics.lines.Inc()
	kept := l.keep(l.config.limit(line))
	for _, f := range *l.followers.Load() {
		f.offer(kept)
	}
	if l.saver != nil {
		l.saver.offer(kept.line)
	}
}

// limit answers a line within c's limits.
func (c Config) limit(line abi.Line) abi.Line {
	if line.Time.IsZero() {
		line.Time = time.Now()
	}
	line.Time = line.Time.UTC().Round(0) // as it is read back from a file
	line.Message = cut(line.Message, c.LineBytes)
	if len(line.Attrs) > c.LineBytes || !utf8.ValidString(line.Attrs) {
		line.Attrs = fmt.Sprintf(`{"cut_bytes":%d}`, len(line.Attrs)) // half an object would be none
	}
	for _, name := range []*string{&line.App, &line.Function, &line.Invocation, &line.Stream, &line.Level} {
		*name = cut(*name, nameBytes)
	}
	return line
}

const nameBytes = 128 // of app, function, invocation, stream and level

// cut answers s as UTF-8 and not longer than limit, but for a note of how much was cut.
func cut(s string, limit int) string {
	if len(s) <= limit && utf8.ValidString(s) {
		return s
	}
	kept := strings.ToValidUTF8(s[:min(len(s), limit)], "\uFFFD")
	for len(kept) > limit { // replacing made it longer
		_, last := utf8.DecodeLastRuneInString(kept)
		kept = kept[:len(kept)-last]
	}
	if n := len(s) - limit; n > 0 {
		kept = fmt.Sprintf("%s... (%d bytes cut)", kept, n)
	}
	return kept
}

// keep puts a line into its ring and frees memory when there is too much.
func (l *Logs) keep(line abi.Line) entry {
	at := source{line.App, line.Function}
	for {
		e, change, ok := l.ring(at).add(line, &l.order, l.config.FunctionBytes)
		if !ok {
			continue // the ring was removed since; the next one is new
		}
		if l.bytes.Add(int64(change)) > int64(l.config.TotalBytes) {
			l.reclaim()
		}
		return e
	}
}

func (l *Logs) ring(at source) *ring {
	l.mu.RLock()
	r := l.rings[at]
	l.mu.RUnlock()
	if r != nil {
		return r
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r = l.rings[at]; r == nil {
		at = source{strings.Clone(at.app), strings.Clone(at.function)}
		r = &ring{at: at}
		l.rings[at] = r
	}
	return r
}

// all answers the rings there are, those of at when it names any.
func (l *Logs) all(app, function string) []*ring {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if app != "" && function != "" {
		if r := l.rings[source{app, function}]; r != nil {
			return []*ring{r}
		}
		return nil
	}
	rings := make([]*ring, 0, len(l.rings))
	for at, r := range l.rings {
		if (app == "" || at.app == app) && (function == "" || at.function == function) {
			rings = append(rings, r)
		}
	}
	return rings
}

// sweep forgets lines that are too old, and rings without lines, until Close.
func (l *Logs) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.expire()
		}
	}
}

func (l *Logs) expire() {
	before := time.Now().Add(-l.config.MaxAge)
	for _, r := range l.all("", "") {
		freed, empty := r.expire(before)
		l.bytes.Add(-int64(freed))
		if empty {
			l.remove(r)
		}
	}
}

// remove takes a ring out of the map if it is still empty.
func (l *Logs) remove(r *ring) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.swept = len(r.entries) == 0; r.swept {
		delete(l.rings, r.at)
	}
}

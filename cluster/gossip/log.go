package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	logEvery    = time.Minute // one and the same line, or a stranger, is logged once in it
	maxLogKeys  = 256         // lines and strangers told apart in it; those beyond are not logged
	maxLogBytes = 400         // of one line
)

// logWriter takes memberlist's lines, each in one Write, and logs them with slog.
type logWriter struct {
	log     *slog.Logger
	metrics *metrics
	quiet   atomic.Bool // when closing: what fails then is no news

	mu   sync.Mutex // guards last
	last map[string]time.Time
}

func newLogWriter(log *slog.Logger, m *metrics) *logWriter {
	return &logWriter{log: log, metrics: m, last: map[string]time.Time{}}
}

// levels of memberlist's lines. Its errors are of single packets and streams, after which gossip goes on: warnings.
var levels = map[string]slog.Level{"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn,
	"ERR": slog.LevelWarn, "ERROR": slog.LevelWarn}

// refusals are what lines hold that tell of a stranger: a wrong key, another cluster, garbage.
var refusals = []string{"Decrypt packet failed", "no installed keys", "decrypt", "unsupported encryption version",
	"is not encrypted", "label", "larger than limit", errStreamTooLong.Error()}

func (w *logWriter) Write(p []byte) (int, error) {
	line := string(bytes.TrimRight(p, "\n"))
	level := slog.LevelDebug
	if name, rest, ok := strings.Cut(strings.TrimPrefix(line, "["), "] "); ok && strings.HasPrefix(line, "[") {
		level, line = levels[name], rest
	}
	line = strings.TrimPrefix(line, "memberlist: ")
	text, from, _ := strings.Cut(line, " from=")
	from = hostOf(from)
	if refused(text) {
		w.refuse(from, text)
		return len(p), nil
	}
	if strings.HasPrefix(text, "ignoring alive message") || strings.HasPrefix(text, "Got ping for unexpected node") {
		level = slog.LevelDebug // of a node that has started again; see bootName
	}
	if w.enabled(level) && w.allow(text+" "+from) {
		attrs := []slog.Attr{slog.String("text", cut(text))}
		if from != "" {
			attrs = append(attrs, slog.String("from", from))
		}
		w.log.LogAttrs(context.Background(), level, "gossip", attrs...)
	}
	return len(p), nil
}

func refused(text string) bool {
	for _, r := range refusals {
		if strings.Contains(text, r) {
			return true
		}
	}
	return false
}

// refuse counts a packet or stream of a stranger, and logs it once in a while for each host.
func (w *logWriter) refuse(from, why string) {
	w.metrics.refused.Inc()
	if w.enabled(slog.LevelWarn) && w.allow("refused "+from) {
		w.log.Warn("refuse gossip", "from", from, "err", cut(why))
	}
}

// twin logs that another node has this node's id.
func (w *logWriter) twin(s sighting) {
	if w.enabled(slog.LevelError) && w.allow("twin") {
		w.log.Error("see own id elsewhere", "node", s.id, "from", s.addr, "err", errTwin)
	}
}

func (w *logWriter) enabled(level slog.Level) bool {
	return !w.quiet.Load() && w.log.Enabled(context.Background(), level)
}

// allow says whether what has this key was not logged for a while.
func (w *logWriter) allow(key string) bool {
	key = cut(key)
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok := w.last[key]; ok && now.Sub(last) < logEvery {
		return false
	}
	if len(w.last) >= maxLogKeys {
		for k, last := range w.last {
			if now.Sub(last) >= logEvery {
				delete(w.last, k)
			}
		}
	}
	if len(w.last) >= maxLogKeys {
		return false
	}
	w.last[key] = now
	return true
}

func cut(text string) string {
	if len(text) > maxLogBytes {
		text = strings.ToValidUTF8(text[:maxLogBytes], "") + "..."
	}
	return text
}

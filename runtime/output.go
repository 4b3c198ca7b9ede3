package runtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Levels of lines.
const (
	levelDebug = "DEBUG"
	levelInfo  = "INFO"
	levelWarn  = "WARN"
	levelError = "ERROR"
)

// output takes what a guest writes and hands it to the sink as lines, up to a limit, of which one line tells.
type output struct {
	sink   Sink
	line   abi.Line // what all lines of the invocation have in common
	budget int      // bytes that may still be logged
	cut    bool     // the limit was told of
	stdout lines
	stderr lines
}

func (o *output) open(sink Sink, line abi.Line, budget int) {
	o.sink, o.line, o.budget = sink, line, budget
	o.stdout = lines{to: o, stream: abi.StreamStdout}
	o.stderr = lines{to: o, stream: abi.StreamStderr}
}

// flush hands over lines that have no end yet.
func (o *output) flush() {
	o.stdout.flush()
	o.stderr.flush()
}

// emit hands one line over, within the limit.
func (o *output) emit(stream, level, message, attrs string) {
	size := len(message) + len(attrs)
	if o.cut || size > o.budget {
		if !o.cut {
			o.cut = true
			o.platform(levelWarn, "truncated: the invocation logged more than its limit; the rest is lost")
		}
		return
	}
	o.budget -= size + 1 // an empty line counts too
	o.send(stream, level, message, attrs)
}

// platform writes a line of the platform's own, whatever the limit.
func (o *output) platform(level, message string) {
	if len(message) > MaxReasonBytes {
		message = message[:MaxReasonBytes] + " ... (truncated)"
	}
	o.send(abi.StreamPlatform, level, strings.ToValidUTF8(message, "\uFFFD"), "")
}

func (o *output) send(stream, level, message, attrs string) {
	line := o.line
	line.Time = time.Now()
	line.Stream, line.Level, line.Message, line.Attrs = stream, level, message, attrs
	o.sink.Write(line)
}

// record takes one structured record: {"msg": ..., "attrs": {...}}. Anything else is a message as it is.
func (o *output) record(level int32, b []byte) {
	var r struct {
		Msg   *string         `json:"msg"`
		Attrs json.RawMessage `json:"attrs"`
	}
	message, attrs := "", ""
	if err := json.Unmarshal(b, &r); err == nil && r.Msg != nil && (r.Attrs == nil || r.Attrs[0] == '{') {
		message, attrs = *r.Msg, strings.ToValidUTF8(string(r.Attrs), "\uFFFD")
	} else {
		message = strings.ToValidUTF8(string(b), "\uFFFD")
	}
	o.emit(abi.StreamLog, levelName(level), message, attrs)
}

// levelName reads a level as log/slog counts them.
func levelName(level int32) string {
	switch {
	case level < 0:
		return levelDebug
	case level < 4:
		return levelInfo
	case level < 8:
		return levelWarn
	}
	return levelError
}

// lines splits a stream into lines. It is an io.Writer that never fails.
type lines struct {
	to     *output
	stream string
	rest   []byte // the line that has no end yet
	said   string // the line that tells most of a failure: that of a panic, else the last
	panics bool   // said is a panic's
}

func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && !l.to.cut {
		end := bytes.IndexByte(b, '\n')
		switch room := MaxLineBytes - len(l.rest); {
		case end >= 0 && end <= room:
			l.rest = append(l.rest, b[:end]...)
			b = b[end+1:]
			l.hand()
		case len(b) < room:
			l.rest = append(l.rest, b...)
			return n, nil
		default:
			l.rest = append(l.rest, b[:room]...)
			b = b[room:]
			l.hand()
		}
	}
	return n, nil
}

func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.hand()
	}
}

func (l *lines) hand() {
	line := strings.ToValidUTF8(string(bytes.TrimSuffix(l.rest, []byte{'\r'})), "\uFFFD")
	l.rest = l.rest[:0]
	if !l.panics {
		l.said, l.panics = line, isPanic(line)
	}
	l.to.emit(l.stream, "", line, "")
}

// isPanic says whether a line is how Go or Rust begin to tell of the end. Stack traces come after it.
func isPanic(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.Contains(line, "panicked at")
}

// errOutputLimit is the trap of a command whose standard output passed the limit.
var errOutputLimit = errors.New("the reply is over the limit")

// limited is a buffer with a limit.
type limited struct {
	b     []byte
	limit int
}

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > l.limit-len(l.b) {
		return 0, errOutputLimit
	}
	l.b = append(l.b, b...)
	return len(b), nil
}

// Package log is a slog.Handler whose records go to the function's log on the node, where each carries the
// invocation it was written in:
//
//	slog.SetDefault(slog.New(log.NewHandler(slog.LevelInfo)))
//	slog.Info("order placed", "id", 42)
//
// Time, app, function, version and invocation are added by the node. Outside WebAssembly records go to standard
// error, and under package settest to the test.
package log

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sett-run/sett/sdk/go/internal/host"
)

// NewHandler answers a handler of records at least as severe as level; nil means slog.LevelInfo. It may be used
// by several goroutines at once. The node keeps the first 64 KiB of a record.
func NewHandler(level slog.Leveler) slog.Handler {
	if level == nil {
		level = slog.LevelInfo
	}
	out := &record{}
	options := slog.HandlerOptions{Level: level, ReplaceAttr: dropLevel}
	// The group makes {"msg":"...","attrs":{...}} of slog's own JSON: built-in keys stay outside of groups.
	return &handler{slog.NewJSONHandler(out, &options).WithGroup("attrs"), out}
}

// dropLevel leaves out the level, which travels beside the record.
func dropLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		return slog.Attr{}
	}
	return a
}

// handler gives slog's JSON handler a record without time, and its output to the host.
type handler struct {
	slog.Handler
	out *record // shared with the handlers made from this one
}

// record is where the JSON of one record is written.
type record struct {
	mu   sync.Mutex // guards text, from before the record is written until the host has it
	text []byte
}

func (r *record) Write(b []byte) (int, error) {
	r.text = append(r.text, b...)
	return len(b), nil
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Time{}
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.text = h.out.text[:0]
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	host.LogWrite(int(r.Level), bytes.TrimSuffix(h.out.text, []byte{'\n'}))
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.out}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.out}
}

package replica

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLog has raft and its log write to log. Raft calls errors what is daily life to a group, such as a member that
// does not answer, so that each level goes one down.
func raftLog(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	l.RegisterSink(sinkOf{log})
	return l
}

// untilClosed is the replica's log until Close begins: what is cut off by that is nobody's concern.
func (r *Replica) untilClosed() *slog.Logger {
	return slog.New(untilClosed{r.log.Handler(), r.draining})
}

type untilClosed struct {
	slog.Handler
	closing <-chan struct{}
}

// Enabled answers false once the replica closes.
func (h untilClosed) Enabled(ctx context.Context, level slog.Level) bool {
	select {
	case <-h.closing:
		return false
	default:
		return h.Handler.Enabled(ctx, level)
	}
}

type sinkOf struct{ log *slog.Logger }

// Accept takes one line.
func (s sinkOf) Accept(_ string, level hclog.Level, text string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case hclog.Error:
		to = slog.LevelWarn
	case hclog.Warn:
		to = slog.LevelInfo
	case hclog.Trace, hclog.Debug:
		return
	}
	if !s.log.Enabled(context.Background(), to) {
		return
	}
	attrs := []any{"text", text}
	for i := 0; i+1 < len(args); i += 2 {
		value := args[i+1]
		if f, ok := value.(hclog.Format); ok {
			value = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		attrs = append(attrs, fmt.Sprint(args[i]), value)
	}
	s.log.Log(context.Background(), to, "raft", attrs...)
}

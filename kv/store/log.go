package store

import (
	"fmt"
	"log/slog"
	"strings"
)

// engineLog hands Badger's log lines to slog. What Badger calls information is detail to us.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Errorf(format string, args ...any) {
	l.log.Error("store engine", line(format, args))
}
func (l engineLog) Warningf(format string, args ...any) {
	l.log.Warn("store engine", line(format, args))
}
func (l engineLog) Infof(format string, args ...any)  { l.log.Debug("store engine", line(format, args)) }
func (l engineLog) Debugf(format string, args ...any) {}

func line(format string, args []any) slog.Attr {
	return slog.String("text", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

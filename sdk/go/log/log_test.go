package log_test

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"testing"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/internal/host"
	"github.com/sett-run/sett/sdk/go/log"
	"github.com/sett-run/sett/sdk/go/settest"
)

// written is what f logs through a handler of level.
func written(level slog.Leveler, f func(*slog.Logger)) (lines []string) {
	defer host.Capture(func(level int, record []byte) {
		lines = append(lines, slog.Level(level).String()+" "+string(record))
	})()
	f(slog.New(log.NewHandler(level)))
	return lines
}

func TestRecords(t *testing.T) {
	tests := map[string]struct {
		level slog.Leveler
		log   func(*slog.Logger)
		want  []string
	}{
		"plain":      {nil, func(l *slog.Logger) { l.Info("hello") }, []string{`INFO {"msg":"hello"}`}},
		"attrs":      {nil, func(l *slog.Logger) { l.Warn("a", "n", 1, "s", "x\"\n") }, []string{`WARN {"msg":"a","attrs":{"n":1,"s":"x\"\n"}}`}},
		"same names": {nil, func(l *slog.Logger) { l.Error("a", "level", 1, "msg", "m", "time", 0) }, []string{`ERROR {"msg":"a","attrs":{"level":1,"msg":"m","time":0}}`}},
		"groups": {nil, func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("b", 2).Info("m", "c", 3) },
			[]string{`INFO {"msg":"m","attrs":{"a":1,"g":{"b":2,"c":3}}}`}},
		"below level": {nil, func(l *slog.Logger) { l.Debug("no") }, nil},
		"own level":   {slog.LevelDebug, func(l *slog.Logger) { l.Debug("yes") }, []string{`DEBUG {"msg":"yes"}`}},
		"odd level":   {nil, func(l *slog.Logger) { l.Log(context.Background(), slog.LevelError+2, "x") }, []string{`ERROR+2 {"msg":"x"}`}},
		"bad utf-8":   {nil, func(l *slog.Logger) { l.Info("\xff") }, []string{`INFO {"msg":"\ufffd"}`}},
	}
	for name, tt := range tests {
		if got := written(tt.level, tt.log); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestConcurrentRecordsStayWhole(t *testing.T) {
	lines := written(nil, func(l *slog.Logger) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					l.With("a", 1).Info("hello", "b", 2)
				}
			})
		}
		wg.Wait()
	})
	for _, line := range lines {
		if line != `INFO {"msg":"hello","attrs":{"a":1,"b":2}}` {
			t.Fatalf("a torn record: %q", line)
		}
	}
	if len(lines) != 400 {
		t.Errorf("%d records, want 400", len(lines))
	}
}

func TestHandlerLogsToTheTest(t *testing.T) {
	logger := slog.New(log.NewHandler(nil))
	sett.HTTP("/log", func(w sett.ResponseWriter, r *sett.Request) { logger.Info("seen", "path", r.Path) })
	got := settest.Get(t, "/log").Logs
	want := []settest.Log{{Level: slog.LevelInfo, Message: "seen", Attrs: map[string]any{"path": "/log"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("logs = %+v, want %+v", got, want)
	}
}

package node

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// logKeys are the keys of log lines: the same thing has the same key in every room.
var logKeys = []string{
	"app", "function", "version", "invocation", "module", "node", "took", "err", // the glossary's
	"queue", "topic", "bus", "archive", "subscription", "schedule", "stream", "bucket", "chunk", "key", "source", "destination", "condition",
	"cluster", "member", "role", "term", "index", "step", "keyring", "root", "from", "to", "reason", "count", "tries",
	"method", "path", "route", "status", "token", "request", "panic", "stack",
	"dir", "file", "bytes", "lines", "removed", "until", "drain", "id", "name", "kind", "text", "what", "damaged_lines",
}

// TestLogKeys holds that what Sett logs has known keys.
func TestLogKeys(t *testing.T) {
	t.Parallel()
	found := 0
	for _, room := range []string{"cluster", "cmd", "kv", "router", "runtime"} {
		err := filepath.WalkDir(filepath.Join("..", "..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && isLogging(call) {
					found++
					checkKeys(t, path, call.Args[1:])
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 50 {
		t.Errorf("found %d lines that log, want all", found)
	}
}

// isLogging reports whether a call is one of a *slog.Logger, by the names that loggers have here.
func isLogging(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) {
		return false
	}
	name := ""
	switch on := method.X.(type) {
	case *ast.Ident:
		name = on.Name
	case *ast.SelectorExpr:
		name = on.Sel.Name
	}
	return slices.Contains([]string{"log", "Log", "logger"}, name)
}

func checkKeys(t *testing.T, path string, args []ast.Expr) {
	t.Helper()
	for i := 0; i < len(args); i += 2 {
		key, ok := args[i].(*ast.BasicLit)
		if !ok {
			continue // an attribute, which is made elsewhere
		}
		if k := strings.Trim(key.Value, `"`); !slices.Contains(logKeys, k) {
			t.Errorf("%s logs %q, which is none of the known keys", path, k)
		}
	}
}

// TestMetricNames holds that metrics are named as Prometheus asks: sett_ROOM_NOUN_UNIT, with _total for counters.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	name, label := regexp.MustCompile(`^sett_(runtime|router|kv|cluster)_[a-z0-9]+(_[a-z0-9]+)*$`), regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "go_") || strings.HasPrefix(f.GetName(), "process_") {
			continue
		}
		total, duration := strings.HasSuffix(f.GetName(), "_total"), strings.HasSuffix(f.GetName(), "_seconds")
		switch {
		case !name.MatchString(f.GetName()) || strings.Contains(f.GetName(), "_duration_"):
			t.Errorf("%s: not sett_ROOM_NOUN_UNIT", f.GetName())
		case total != (f.GetType() == dto.MetricType_COUNTER):
			t.Errorf("%s: a %v; _total is of counters, and all have it", f.GetName(), f.GetType())
		case f.GetType() == dto.MetricType_HISTOGRAM && !duration && f.GetName() != "sett_kv_raft_batch_commands":
			t.Errorf("%s: a histogram without its unit", f.GetName())
		case !strings.HasSuffix(f.GetHelp(), "."):
			t.Errorf("%s: help %q is no sentence", f.GetName(), f.GetHelp())
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !label.MatchString(l.GetName()) {
					t.Errorf("%s: label %q", f.GetName(), l.GetName())
				}
			}
		}
	}
}

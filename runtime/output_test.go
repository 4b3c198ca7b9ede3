package runtime

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

func testOutput(budget int) (*output, *sink) {
	s := new(sink)
	o := new(output)
	o.open(s, abi.Line{App: "default", Function: "f", Version: 3, Invocation: "id"}, budget)
	return o, s
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLineBytes)
	for _, test := range []struct {
		writes []string
		want   []string
	}{
		{[]string{"a\nb\n"}, []string{"a", "b"}},
		{[]string{"a", "b", "\n", "c"}, []string{"ab", "c"}},
		{[]string{"a\r\n\r\n\n"}, []string{"a", "", ""}},
		{[]string{long + "\n"}, []string{long}},
		{[]string{long + "y\n"}, []string{long, "y"}},
		{[]string{long, long, "\n"}, []string{long, long, ""}},
		{[]string{"\xff\n"}, []string{"\uFFFD"}},
		{[]string{""}, nil},
	} {
		o, s := testOutput(1 << 20)
		for _, w := range test.writes {
			if n, err := o.stderr.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
		}
		o.flush()
		var got []string
		for _, l := range s.lines {
			got = append(got, l.Message)
			if l.Stream != abi.StreamStderr || l.Level != "" || l.Invocation != "id" || l.Version != 3 || l.Time.IsZero() {
				t.Errorf("line = %+v", l)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("lines of %.40q = %.80q, want %.80q", test.writes, got, test.want)
		}
	}
}

func TestOutputLimit(t *testing.T) {
	o, s := testOutput(100)
	for range 1000 {
		if _, err := o.stdout.Write([]byte("12345678\n")); err != nil {
			t.Fatal(err)
		}
	}
	o.record(0, []byte(`{"msg":"lost"}`))
	o.platform(levelError, "exit code 1")
	o.flush()
	if n := len(s.lines); n != 11+2 {
		t.Errorf("%d lines with a limit of 100 bytes, want 11 and two of the platform", n)
	}
	if got := s.stream(abi.StreamPlatform); !strings.HasPrefix(got, "truncated: ") || !strings.HasSuffix(got, "|exit code 1") {
		t.Errorf("platform lines = %q", got)
	}
}

func TestPlatformLineHasLimit(t *testing.T) {
	o, s := testOutput(0)
	o.platform(levelError, strings.Repeat("x", MaxReasonBytes+1))
	if got := s.lines[0].Message; len(got) > MaxReasonBytes+20 || !strings.HasSuffix(got, "(truncated)") {
		t.Errorf("platform line of %d bytes", len(got))
	}
}

func TestRecord(t *testing.T) {
	for _, test := range []struct {
		level                int32
		record               string
		name, message, attrs string
	}{
		{0, `{"msg":"hi"}`, "INFO", "hi", ""},
		{4, `{"msg":"hi","attrs":{"a":{"b":1}}}`, "WARN", "hi", `{"a":{"b":1}}`},
		{-4, `{"msg":"","attrs":{}}`, "DEBUG", "", "{}"},
		{9, `{"msg":"hi","attrs":[1]}`, "ERROR", `{"msg":"hi","attrs":[1]}`, ""},
		{3, `{"attrs":{}}`, "INFO", `{"attrs":{}}`, ""},
		{7, `plain`, "WARN", "plain", ""},
		{8, "\xff", "ERROR", "\uFFFD", ""},
		{-1 << 31, ``, "DEBUG", "", ""},
		{0, `{"msg":"hi","attrs":null}`, "INFO", `{"msg":"hi","attrs":null}`, ""},
	} {
		o, s := testOutput(1 << 20)
		o.record(test.level, []byte(test.record))
		l := s.lines[0]
		if l.Level != test.name || l.Message != test.message || l.Attrs != test.attrs || l.Stream != abi.StreamLog {
			t.Errorf("record(%d, %q) = %s %q %q", test.level, test.record, l.Level, l.Message, l.Attrs)
		}
	}
}

// TestGuestLogs checks what reaches the log from both kinds of module, before Invoke returns.
func TestGuestLogs(t *testing.T) {
	r, s := open(t, Config{})
	const record = `{"msg":"placed","attrs":{"id":42}}`
	m := settModule{version: 1, text: record + "out\nerr", handle: [][]byte{
		wasmtest.I32(4), wasmtest.I32(64), wasmtest.I32(int32(len(record))), wasmtest.Call(logWrite),
		wasmtest.Write(fdWrite, 1, 64+int32(len(record)), 4), wasmtest.Write(fdWrite, 2, 68+int32(len(record)), 3),
		wasmtest.I32(0), wasmtest.I32(0), wasmtest.Call(replyWrite), wasmtest.I32(0)}}
	v := deploy(t, r, m.bytes())
	if _, err := r.Invoke(context.Background(), v, event()); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]string{abi.StreamLog: "placed", abi.StreamStdout: "out", abi.StreamStderr: "err", abi.StreamPlatform: ""} {
		if got := s.stream(stream); got != want {
			t.Errorf("%s = %q, want %q", stream, got, want)
		}
	}
	if l := s.lines[0]; l.Attrs != `{"id":42}` || l.Level != "WARN" || l.Function != "f" || l.Invocation != event().Invocation {
		t.Errorf("line = %+v", l)
	}
}

// FuzzRecord checks that a guest's record never breaks the log.
func FuzzRecord(f *testing.F) {
	f.Add(int32(0), []byte(`{"msg":"x","attrs":{"a":1}}`))
	f.Add(int32(-9), []byte("\x00{"))
	f.Fuzz(func(t *testing.T, level int32, b []byte) {
		o, s := testOutput(1 << 20)
		o.record(level, b)
		if l := s.lines[0]; l.Attrs != "" && l.Attrs[0] != '{' || l.Level == "" {
			t.Errorf("line = %+v", l)
		}
	})
}

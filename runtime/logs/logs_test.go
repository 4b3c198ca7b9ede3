package logs

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/sett-run/sett/sdk/abi"
)

func open(t testing.TB, c Config) *Logs {
	t.Helper()
	l, err := Open(c)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func line(function, invocation, message string) abi.Line {
	return abi.Line{Time: time.Now(), App: "app", Function: function, Version: 1, Invocation: invocation,
		Stream: abi.StreamStdout, Message: message}
}

// messages joins what lines say.
func messages(lines []abi.Line) string {
	var parts []string
	for _, l := range lines {
		parts = append(parts, l.Message)
	}
	return strings.Join(parts, " ")
}

func TestRead(t *testing.T) {
	l := open(t, Config{})
	start := time.Now()
	for i, w := range []abi.Line{
		{App: "a", Function: "f", Invocation: "1", Message: "m0"},
		{App: "a", Function: "g", Invocation: "2", Message: "m1"},
		{App: "b", Function: "f", Invocation: "3", Message: "m2"},
		{App: "a", Function: "f", Invocation: "4", Message: "m3"},
		{App: "a", Function: "f", Invocation: "1", Message: "m4"},
	} {
		w.Time = start.Add(time.Duration(i) * time.Second)
		l.Write(w)
		if got := l.Read(Query{Limit: 1}); messages(got) != w.Message {
			t.Errorf("Read right after Write(%s) = %v", w.Message, got)
		}
	}
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{}, "m0 m1 m2 m3 m4"},
		{Query{App: "a"}, "m0 m1 m3 m4"},
		{Query{Function: "f"}, "m0 m2 m3 m4"},
		{Query{App: "a", Function: "f"}, "m0 m3 m4"},
		{Query{App: "a", Function: "f", Invocation: "1"}, "m0 m4"},
		{Query{Invocation: "3"}, "m2"},
		{Query{Since: start.Add(2 * time.Second)}, "m2 m3 m4"},
		{Query{Limit: 2}, "m3 m4"},
		{Query{App: "a", Limit: 3}, "m1 m3 m4"},
		{Query{Limit: -1}, "m0 m1 m2 m3 m4"},
		{Query{App: "c"}, ""},
		{Query{App: "b", Function: "g"}, ""},
	} {
		if got := messages(l.Read(c.q)); got != c.want {
			t.Errorf("Read(%+v) = %q, want %q", c.q, got, c.want)
		}
	}
}

func TestReadLimits(t *testing.T) {
	l := open(t, Config{FunctionBytes: 64 << 20, TotalBytes: 64 << 20})
	for i := range MaxLimit + 10 {
		l.Write(line(fmt.Sprint("f", i%7), "1", fmt.Sprint(i)))
	}
	for limit, want := range map[int]int{0: DefaultLimit, 5: 5, MaxLimit: MaxLimit, MaxLimit + 1: MaxLimit} {
		got := l.Read(Query{Limit: limit})
		if len(got) != want || got[want-1].Message != fmt.Sprint(MaxLimit+9) || got[0].Message != fmt.Sprint(MaxLimit+10-want) {
			t.Errorf("Read with limit %d = %d lines from %s to %s, want %d", limit, len(got), got[0].Message, got[len(got)-1].Message, want)
		}
	}
}

func TestFunctionLimit(t *testing.T) {
	const fit = 10
	size := entry{line: line("f", "1", "000")}.size()
	l := open(t, Config{FunctionBytes: fit * size})
	l.Write(line("quiet", "1", "still here"))
	for i := range 1000 {
		l.Write(line("f", "1", fmt.Sprintf("%03d", i)))
	}
	got := l.Read(Query{Function: "f"})
	if len(got) != fit || got[0].Message != "990" || messages(l.Read(Query{Function: "quiet"})) != "still here" {
		t.Errorf("kept %d lines, %q, and of the quiet function %v", len(got), messages(got), l.Read(Query{Function: "quiet"}))
	}
	l.Write(line("f", "1", strings.Repeat("x", fit*size)))
	if got := l.Read(Query{Function: "f"}); len(got) != 1 {
		t.Errorf("a line larger than the limit: %d lines, want just it", len(got))
	}
}

// TestTotalLimit fills the memory: those who wrote most lose lines first, and every newest line stays.
func TestTotalLimit(t *testing.T) {
	const total = 64 << 10
	l := open(t, Config{TotalBytes: total, FunctionBytes: total})
	for i := range 20 {
		l.Write(line("quiet", "1", fmt.Sprint("q", i)))
	}
	for i := range 2000 {
		w := line(fmt.Sprint("noisy", i%3), "1", fmt.Sprint(i))
		l.Write(w)
		if got := l.Read(Query{Function: w.Function, Limit: 1}); messages(got) != w.Message {
			t.Fatalf("Read right after Write(%s) = %v", w.Message, got)
		}
		if n := l.bytes.Load(); n > total {
			t.Fatalf("%d bytes kept, at most %d are allowed", n, total)
		}
	}
	if got := l.Read(Query{Function: "quiet"}); len(got) != 20 {
		t.Errorf("the quiet function has %d lines, want 20", len(got))
	}
	if n := l.bytes.Load(); n < total/2 {
		t.Errorf("only %d of %d bytes are used", n, total)
	}
	checkBytes(t, l)
}

// checkBytes compares the counters with what is really kept.
func checkBytes(t *testing.T, l *Logs) {
	t.Helper()
	sum := 0
	for _, r := range l.all("", "") {
		n := 0
		for _, e := range r.entries {
			n += e.size()
		}
		if sum += n; n != r.bytes {
			t.Errorf("ring %v counts %d bytes and has %d", r.at, r.bytes, n)
		}
	}
	if int64(sum) != l.bytes.Load() {
		t.Errorf("%d bytes are counted, %d kept", l.bytes.Load(), sum)
	}
}

func TestCommonLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 100), 1, 8).Draw(t, "sizes")
		total := rapid.IntRange(0, 400).Draw(t, "total")
		cutTo := func(limit int) (sum int) {
			for _, s := range sizes {
				sum += min(s, limit)
			}
			return sum
		}
		limit := commonLimit(sizes, total)
		if cutTo(limit) > total || cutTo(limit+1) > cutTo(limit) && cutTo(limit+1) <= total {
			t.Fatalf("commonLimit(%v, %d) = %d, which keeps %d", sizes, total, limit, cutTo(limit))
		}
	})
}

func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, Config{MaxAge: time.Hour})
		l.Write(line("f", "1", "old"))
		time.Sleep(50 * time.Minute)
		l.Write(line("f", "1", "young"))
		time.Sleep(10*time.Minute + time.Second)
		if got := messages(l.Read(Query{})); got != "young" {
			t.Errorf("after an hour: %q, want young", got)
		}
		time.Sleep(2 * time.Hour)
		l.mu.RLock()
		rings := len(l.rings)
		l.mu.RUnlock()
		if rings != 0 || l.bytes.Load() != 0 {
			t.Errorf("after three hours: %d rings with %d bytes, want none", rings, l.bytes.Load())
		}
		l.Write(line("f", "1", "new"))
		if got := messages(l.Read(Query{})); got != "new" {
			t.Errorf("after its ring was removed: %q, want new", got)
		}
		l.Close()
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 4, ""}, {"abcd", 4, "abcd"}, {"abcde", 4, "abcd... (1 bytes cut)"}, {"ab\xffc", 16, "ab\uFFFDc"},
		{"\xff\xff\xff\xff", 4, "\uFFFD"}, {"aé", 2, "a... (1 bytes cut)"}, {"é", 2, "é"},
	} {
		if got := cut(c.in, c.limit); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in, limit := string(rapid.SliceOf(rapid.Byte()).Draw(t, "in")), rapid.IntRange(0, 20).Draw(t, "limit")
		if got := cut(in, limit); !utf8.ValidString(got) || len(got) > limit+len("... (NNNNN bytes cut)") {
			t.Fatalf("cut(%q, %d) = %q", in, limit, got)
		}
	})
}

func TestLineLimits(t *testing.T) {
	l := open(t, Config{LineBytes: 1 << 30})
	l.Write(abi.Line{App: strings.Repeat("a", 1000), Function: "f", Message: strings.Repeat("m", maxLineBytes+1),
		Attrs: `{"k":"` + strings.Repeat("v", maxLineBytes) + `"}`})
	got := l.Read(Query{})[0]
	if len(got.Message) > maxLineBytes+32 || got.Attrs != `{"cut_bytes":16392}` || len(got.App) > nameBytes+32 || got.Time.IsZero() {
		t.Errorf("a line beyond all limits: app %d, message %d, attributes %.40s", len(got.App), len(got.Message), got.Attrs)
	}
}

// TestWriteCopies changes the memory of a line after Write.
func TestWriteCopies(t *testing.T) {
	memory := []byte("app/fun/inv/stdout/INFO/message")
	text := func(from, to int) string { return unsafe.String(&memory[from], to-from) }
	l := open(t, Config{})
	for range 2 {
		copy(memory, "app/fun/inv/stdout/INFO/message")
		l.Write(abi.Line{App: text(0, 3), Function: text(4, 7), Invocation: text(8, 11), Stream: text(12, 18),
			Level: text(19, 23), Message: text(24, 31), Attrs: text(24, 31)})
		clear(memory)
		for _, got := range l.Read(Query{App: "app", Function: "fun"}) {
			all := strings.Join([]string{got.App, got.Function, got.Invocation, got.Stream, got.Level, got.Message, got.Attrs}, "/")
			if all != "app/fun/inv/stdout/INFO/message/message" {
				t.Errorf("Read = %q: memory is shared with the writer", all)
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	l := open(t, Config{Metrics: r})
	l.Write(line("f", "1", "m"))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		got[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
	}
	if got["sett_runtime_log_lines_total"] != 1 || got["sett_runtime_log_bytes"] == 0 || len(got) != 4 {
		t.Errorf("metrics = %v", got)
	}
	if _, err := Open(Config{Metrics: r}); err == nil {
		t.Error("a second Logs registered the same metrics")
	}
	l.Close()
	open(t, Config{Metrics: r})
}

// TestHammer writes, reads and follows at once within tight limits.
func TestHammer(t *testing.T) {
	l := open(t, Config{Dir: t.TempDir(), TotalBytes: 32 << 10, FunctionBytes: 16 << 10, SegmentBytes: 32 << 10, DiskBytes: 128 << 10})
	var writers, others sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					l.Read(Query{App: "app", Limit: 50})
					l.expire()
				}
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for i := range 1000 {
				written := line(fmt.Sprint("f", (w+i)%5), fmt.Sprint(w, "-", i), "m")
				l.Write(written)
				if i%10 == 0 && len(l.Read(Query{Function: written.Function, Invocation: written.Invocation})) == 0 && !crowded(l) {
					t.Errorf("line %s is not there right after Write", written.Invocation)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	others.Wait()
	checkBytes(t, l)
	if err := l.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// crowded reports whether a line may be gone already because others wrote so much meanwhile.
func crowded(l *Logs) bool { return l.bytes.Load() > int64(l.config.TotalBytes)/4 }

func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name string
		dir  string
	}{{"memory", ""}, {"disk", b.TempDir()}} {
		b.Run(c.name, func(b *testing.B) {
			l := open(b, Config{Dir: c.dir})
			w := line("f", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET /users/42 took 3 ms")
			b.ReportAllocs()
			for b.Loop() {
				l.Write(w)
			}
		})
	}
}

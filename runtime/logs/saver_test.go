package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "logs")
	l := open(t, Config{Dir: dir})
	want := []abi.Line{line("f", "1", "multi\nline <&> \u2028"), line("g", "2", "")}
	want[0].Attrs, want[0].Level, want[0].Version = `{"k":1}`, "INFO", 7
	for i, w := range want {
		l.Write(w)
		want[i].Time = w.Time.UTC().Round(0)
	}
	if got := l.Read(Query{}); !slices.Equal(got, want) {
		t.Errorf("Read = %v, want %v", got, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Write(line("f", "3", "after Close"))
	l = open(t, Config{Dir: dir})
	if got := l.Read(Query{}); !slices.Equal(got, want) {
		t.Errorf("Read after reopening = %v, want %v", got, want)
	}
	l.Write(line("f", "3", "more"))
	l.Close()
	if got := messages(open(t, Config{Dir: dir}).Read(Query{})); !strings.HasSuffix(got, " more") {
		t.Errorf("Read after reopening twice = %q", got)
	}
	files, _ := os.ReadDir(dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 || len(files) != 1 {
		t.Errorf("directory %v, %v with %d files, want 0700 and one", info.Mode(), err, len(files))
	}
}

// TestTornTail cuts a segment at every byte, as a crash may: whole lines are there, and writing goes on.
func TestTornTail(t *testing.T) {
	var whole bytes.Buffer
	ends := []int{0}
	for i := range 3 {
		if err := encodeLine(&whole, line("f", "1", fmt.Sprint("line", i))); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, whole.Len())
	}
	for size := range whole.Len() + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), whole.Bytes()[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		complete := 0
		for complete+1 < len(ends) && ends[complete+1] <= size {
			complete++
		}
		l := open(t, Config{Dir: dir})
		if got := l.Read(Query{}); len(got) != complete {
			t.Fatalf("cut at %d: %d lines, want %d", size, len(got), complete)
		}
		l.Write(line("f", "1", "after"))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, Config{Dir: dir})
		if got := l.Read(Query{}); len(got) != complete+1 || got[complete].Message != "after" {
			t.Fatalf("cut at %d and written on: %q", size, messages(got))
		}
		l.Close()
	}
}

func TestDamagedSegments(t *testing.T) {
	dir := t.TempDir()
	record := func(message string) string {
		var b bytes.Buffer
		if err := encodeLine(&b, line("f", "1", message)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for name, content := range map[string]string{
		segmentName(2): record("a") + "{damaged\n" + "\n" + `"text"` + "\n" + strings.Repeat("x", 2*maxRecordBytes) + "\n" + record("b"),
		segmentName(3): record("c"),
		"1.jsonl":      record("foreign"),
		"notes.txt":    record("foreign"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, segmentName(4)), 0o700); err != nil { // cannot be read
		t.Fatal(err)
	}
	l := open(t, Config{Dir: dir})
	if got := messages(l.Read(Query{})); got != "a b c" {
		t.Errorf("Read = %q, want a b c", got)
	}
	l.Write(line("f", "1", "d"))
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, segmentName(5))); err != nil || !strings.Contains(string(got), `"d"`) {
		t.Errorf("after a segment that cannot be read: %q, %v", got, err)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	c := Config{Dir: dir, SegmentBytes: 2 << 10, DiskBytes: 10 << 10}
	l := open(t, c)
	for i := range 400 {
		l.Write(line("f", "1", fmt.Sprintf("%03d", i)))
		if i%3 == 0 {
			l.saver.offer(l.Read(Query{Limit: 1})[0]) // some twice, so that batches differ
		}
		waitSaved(l)
	}
	l.Close()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if sum > c.DiskBytes || sum < c.DiskBytes/2 || len(files) < 3 || files[0].Name() == segmentName(1) {
		t.Errorf("%d files with %d bytes from %s on, want at most %d bytes", len(files), sum, files[0].Name(), c.DiskBytes)
	}
	got := open(t, c).Read(Query{})
	if len(got) == 0 || got[len(got)-1].Message != "399" {
		t.Errorf("after rotation: %d lines, the last %q", len(got), got[len(got)-1].Message)
	}
}

// waitSaved waits until the disk has taken everything.
func waitSaved(l *Logs) {
	for {
		l.saver.mu.Lock()
		n := len(l.saver.waiting)
		l.saver.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(10 * time.Microsecond)
	}
}

func TestOldSegmentsGo(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-time.Hour)
	for n := 1; n <= 3; n++ {
		path := filepath.Join(dir, segmentName(n))
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, long, long)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, Config{Dir: dir, MaxAge: time.Minute})
	if files, _ := os.ReadDir(dir); len(files) != 1 || files[0].Name() != segmentName(3) {
		t.Errorf("left %v, want only %s", files, segmentName(3))
	}
}

// fullDisk takes only some bytes and then answers an error, half a batch written.
type fullDisk struct {
	segmentFile
	room *int
}

func (f fullDisk) Write(p []byte) (int, error) {
	n, err := f.segmentFile.Write(p[:min(len(p), *f.room)])
	if *f.room -= n; err == nil && n < len(p) {
		err = errors.New("no space left on device")
	}
	return n, err
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Config{Dir: dir})
	room := 300
	l.saver.file = fullDisk{l.saver.file, &room}
	for i := range 5 { // the second or third does not fit
		l.Write(line("f", "1", fmt.Sprint("m", i)))
		waitSaved(l)
	}
	if got := messages(l.Read(Query{})); got != "m0 m1 m2 m3 m4" {
		t.Errorf("with a full disk: %q", got)
	}
	err := l.Close()
	if err == nil || !strings.Contains(err.Error(), "could not be saved") {
		t.Errorf("Close with a full disk = %v", err)
	}
	file, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil || len(file) == 0 || file[len(file)-1] != '\n' {
		t.Errorf("the file ends in half a line: %q, %v", file, err)
	}
	if got := messages(open(t, Config{Dir: dir}).Read(Query{})); !strings.HasPrefix("m0 m1 m2 m3 m4", got) || got == "" {
		t.Errorf("after reopening: %q", got)
	}
}

func TestDiskRecovers(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Config{Dir: dir})
	l.Close() // ends the saver, so that the test is it
	s, err := openSaver(l.config, l.metrics, func(abi.Line) {})
	if err != nil {
		t.Fatal(err)
	}
	room := 10
	real := s.file
	s.file = fullDisk{real, &room}
	s.offer(line("f", "1", "lost"))
	s.flush()
	s.file = real
	s.offer(line("f", "1", "kept"))
	s.flush()
	if err := s.close(); err != nil {
		t.Errorf("close = %v", err)
	}
	if got := messages(open(t, Config{Dir: dir}).Read(Query{})); got != "kept" {
		t.Errorf("after the disk had room again: %q, want kept", got)
	}
}

// TestPendingLimit offers lines that nobody saves.
func TestPendingLimit(t *testing.T) {
	l := open(t, Config{Dir: t.TempDir()})
	l.Close()
	text := strings.Repeat("m", maxLineBytes)
	for range 2 * maxPendingBytes / maxLineBytes {
		l.saver.offer(line("f", "1", text))
	}
	if n := l.saver.bytes; n < maxPendingBytes || n > maxPendingBytes+2*maxLineBytes {
		t.Errorf("%d bytes wait, want about %d", n, maxPendingBytes)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: filepath.Join(file, "logs")}); err == nil || !strings.HasPrefix(err.Error(), "open logs: make directory") {
		t.Errorf("Open below a file = %v", err)
	}
}

func FuzzReadSegment(f *testing.F) {
	var b bytes.Buffer
	if err := encodeLine(&b, line("f", "1", "m")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(append(b.Bytes(), b.Bytes()[:10]...))
	f.Add([]byte("\n\n{}\n{"))
	f.Add([]byte(`{"message":"` + strings.Repeat("x", 100) + `","time":"2026-01-01T00:00:00+23:59"}` + "\n"))
	config := Config{}.complete()
	f.Fuzz(func(t *testing.T, data []byte) {
		var lines []abi.Line
		end, damaged, err := readSegment(bytes.NewReader(data), func(l abi.Line) { lines = append(lines, config.limit(l)) })
		if err != nil || int(end) != bytes.LastIndexByte(data, '\n')+1 || len(lines)+damaged != bytes.Count(data, []byte("\n")) {
			t.Fatalf("readSegment(%q) = end %d, %d lines, %d damaged, %v", data, end, len(lines), damaged, err)
		}
		var again bytes.Buffer
		for _, l := range lines {
			before := again.Len()
			if err := encodeLine(&again, l); err != nil || again.Len()-before > maxRecordBytes {
				t.Fatalf("line %+v: %d bytes, %v", l, again.Len()-before, err)
			}
		}
		var read []abi.Line
		if _, _, err := readSegment(&again, func(l abi.Line) { read = append(read, l) }); err != nil || !slices.Equal(read, lines) {
			t.Fatalf("lines %+v are read back as %+v, %v", lines, read, err)
		}
	})
}

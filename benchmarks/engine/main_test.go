package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const printed = `goos: linux
BenchmarkEngine/tiny/never-reset-2   479772   1000 ns/op   900 ns/answer
BenchmarkEngine/tiny/reset-2         479772   3000 ns/op   1000 ns/answer   0 pages/reset
BenchmarkEngine/c/never-reset-2      1   10000 ns/op   10000 ns/answer
BenchmarkEngine/c/never-reset-2      1   30000 ns/op   30000 ns/answer
BenchmarkEngine/c/never-reset-2      1   20000 ns/op   20000 ns/answer
BenchmarkEngine/c/reset-2            1   40000 ns/op   22000 ns/answer   8.5 pages/reset
BenchmarkEngine/c/stock-2            1   4000000 ns/op
BenchmarkEngine/rust/reset-2         1   40000 ns/op   22000 ns/answer   8 pages/reset
--- SKIP: BenchmarkEngine/rust/never-reset
PASS
`

func TestRead(t *testing.T) {
	guests, err := read(strings.NewReader(printed))
	if err != nil || len(guests) != 3 || guests[1].Name != "c" {
		t.Fatalf("read = %+v, %v, want three guests", guests, err)
	}
	if got, want := guests[1].Paths["never-reset"], (figures{20, 20, 0}); got != want {
		t.Errorf("median of never-reset = %+v, want %+v", got, want)
	}
	if got, want := guests[1].Paths["reset"], (figures{40, 22, 8.5}); got != want {
		t.Errorf("reset = %+v, want %+v", got, want)
	}
	r := summarise(guests)
	if math.Abs(r.CPURatio-2) > 1e-9 || math.Abs(r.AnswerRatio-1.1) > 1e-9 {
		t.Errorf("ratios = %v, %v, want those of c alone: 2, 1.1", r.CPURatio, r.AnswerRatio)
	}
	if _, err := read(strings.NewReader("PASS\n")); err == nil {
		t.Error("read of nothing measured = nil, want an error")
	}
}

func TestShow(t *testing.T) {
	guests, err := read(strings.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	asJSON, svg := filepath.Join(dir, "json"), filepath.Join(dir, "svg")
	var out bytes.Buffer
	if err := show(guests, asJSON, svg, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GUEST", "2.00", "100.00", "CPU 2.00, answer 1.10"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("table lacks %q:\n%s", want, out.String())
		}
	}
	b, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("picture is not XML: %v", err)
		}
	}
	if b, err = os.ReadFile(asJSON); err != nil || !bytes.Contains(b, []byte(`"guest": "rust"`)) {
		t.Errorf("JSON = %.200s, %v", b, err)
	}
}

func TestUsage(t *testing.T) {
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"-count", "0"}, io.Discard, &errs); code != 2 || errs.Len() == 0 {
		t.Errorf("run(-count 0) = %d %q, want 2 and why", code, errs.String())
	}
}

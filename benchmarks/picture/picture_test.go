package picture

import (
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/record"
)

func TestDraw(t *testing.T) {
	f := record.New()
	for _, v := range []float64{30, 31, 33} {
		for i, subject := range []string{"fasthttp", "sett go", "node"} {
			f.Add(record.Key{Bench: "http", Work: "hello", Subject: subject, Metric: record.CPU}, v*float64(i+1))
			f.Add(record.Key{Bench: "http", Work: "json", Subject: subject, Metric: record.CPU}, v)
			f.Add(record.Key{Bench: "http", Work: "hello at 1000/s", Subject: subject, Metric: record.P99}, v)
		}
	}
	f.Curves = []*record.Curve{
		{Bench: "http", Work: "hello at 1000/s", Subject: "sett go", X: "latency, us", Y: "replies, %", Points: [][2]float64{{100, 50}, {120, 99}, {9000, 100}}},
		{Bench: "http", Work: "hello at 1000/s", Subject: "node", X: "latency, us", Y: "replies, %", Points: [][2]float64{{90, 50}, {300, 99}, {700, 100}}},
		{Bench: "http", Work: "nothing", Subject: "node"},
	}
	dir := filepath.Join(t.TempDir(), "new")
	names, err := Draw(f, dir)
	if err != nil || !slices.Equal(names, []string{"http-cpu", "http-hello-at-1000-s"}) {
		t.Fatalf("Draw = %q, %v", names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s.svg: %v", name, err)
			}
		}
		for _, want := range []string{"sett go", "node"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s.svg does not say %q", name, want)
			}
		}
		file, err := os.Open(filepath.Join(dir, name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(file)
		if err != nil || picture.Bounds().Dx() < 300 {
			t.Errorf("%s.png: %v", name, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

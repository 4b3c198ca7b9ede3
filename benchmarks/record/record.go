// Package record holds what benchmarks measured: figures of rounds, kept as JSON, shown as tables and pictures, and
// compared with those of another run.
//
// A [File] is one run. Its [Series] have a figure for each round; rounds of different subjects alternate, so that figures
// of the same index were taken beside each other, and their ratio says more than either.
package record

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Format is the version of a file's form. Files of other versions are refused.
const Format = 1

// maxFileBytes is the longest file that is read.
const maxFileBytes = 64 << 20

// File is what one run measured.
type File struct {
	Format   int               `json:"format"`
	Time     time.Time         `json:"time"`
	Machine  Machine           `json:"machine"`
	Commands []string          `json:"commands"`
	Versions map[string]string `json:"versions"` // of what was measured, by program
	LeftOut  map[string]string `json:"left_out"` // programs that are not here, and how to get them
	Series   []*Series         `json:"series"`
	Curves   []*Curve          `json:"curves"`
}

// Key names a series.
type Key struct {
	Bench   string `json:"bench"`   // sub-command
	Work    string `json:"work"`    // what was to be done
	Subject string `json:"subject"` // who did it
	Metric  Metric `json:"metric"`
}

// String is BENCH/WORK/SUBJECT/METRIC.
func (k Key) String() string {
	return strings.Join([]string{k.Bench, k.Work, k.Subject, string(k.Metric)}, "/")
}

// Series is a figure of one subject, of each round.
type Series struct {
	Key
	Samples []float64 `json:"samples"`
}

// Metric is what a figure says. Its end is the unit: _us, _ms, _s, _kib, _mib, _per_s, or _count.
type Metric string

// Metrics that several benchmarks have.
const (
	CPU    Metric = "cpu_us"     // processor time of the servers, for a request
	Rate   Metric = "rate_per_s" // answered requests
	P50    Metric = "p50_us"
	P99    Metric = "p99_us"
	P999   Metric = "p999_us"
	Memory Metric = "memory_kib" // resident, of the servers

	Started Metric = "started_ms" // a process, until its first reply
)

// units are the ends of metrics, the longer ones first.
func units() []string { return []string{"_per_s", "_count", "_kib", "_mib", "_us", "_ms", "_s"} }

// Parts answers a metric's name and unit.
func (m Metric) Parts() (name, unit string) {
	for _, u := range units() {
		if name, ok := strings.CutSuffix(string(m), u); ok {
			unit = map[string]string{"_per_s": "1/s", "_count": "", "_kib": "KiB", "_mib": "MiB"}[u]
			if unit == "" && u != "_count" {
				unit = u[1:]
			}
			return name, unit
		}
	}
	return string(m), ""
}

// MoreIsBetter says whether a larger figure is the better one.
func (m Metric) MoreIsBetter() bool { return strings.HasSuffix(string(m), "_per_s") }

// Curve is a line of points: of latencies their distribution, of functions the memory they take.
type Curve struct {
	Bench   string       `json:"bench"`
	Work    string       `json:"work"`
	Subject string       `json:"subject"`
	X       string       `json:"x"` // what the axes say, with their units
	Y       string       `json:"y"`
	Points  [][2]float64 `json:"points"`
}

// New makes the file of a run on this machine that begins now.
func New() *File {
	return &File{
		Format: Format, Time: time.Now().UTC().Truncate(time.Second), Machine: thisMachine(),
		Versions: map[string]string{}, LeftOut: map[string]string{},
	}
}

// Add adds the figure of one round.
func (f *File) Add(k Key, figure float64) {
	if s := f.Find(k); s != nil {
		s.Samples = append(s.Samples, figure)
		return
	}
	f.Series = append(f.Series, &Series{Key: k, Samples: []float64{figure}})
}

// Find answers the series of this name, nil without one.
func (f *File) Find(k Key) *Series {
	i := slices.IndexFunc(f.Series, func(s *Series) bool { return s.Key == k })
	if i < 0 {
		return nil
	}
	return f.Series[i]
}

// Write writes the file as JSON.
func (f *File) Write(name string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

// ReadFile reads what Write wrote.
func ReadFile(name string) (*File, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	f, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return f, nil
}

// Read reads a file's JSON. What it answers has no empty series and no unknown form.
func Read(r io.Reader) (*File, error) {
	limited := &io.LimitedReader{R: r, N: maxFileBytes + 1}
	f := new(File)
	err := json.NewDecoder(limited).Decode(f)
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("more than %d MiB", maxFileBytes>>20)
	case err != nil:
		return nil, err
	case f.Format != Format:
		return nil, fmt.Errorf("format %d, want %d", f.Format, Format)
	}
	seen := map[Key]bool{}
	for i, s := range f.Series {
		switch {
		case s == nil || len(s.Samples) == 0:
			return nil, fmt.Errorf("series %d has no samples", i)
		case seen[s.Key]:
			return nil, fmt.Errorf("series %v is there twice", s.Key)
		}
		seen[s.Key] = true
	}
	if slices.Contains(f.Curves, nil) {
		return nil, fmt.Errorf("a curve is null")
	}
	return f, nil
}

// Merge adds what another file has, of the same machine.
func (f *File) Merge(other *File) {
	f.Series = append(f.Series, other.Series...)
	f.Curves = append(f.Curves, other.Curves...)
	maps.Copy(f.Versions, other.Versions)
	maps.Copy(f.LeftOut, other.LeftOut)
}

package record

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// run is a file in which a subject takes the ceiling's time times each of the factors.
func run(ceiling float64, factors ...float64) *File {
	f := New()
	for i, factor := range factors {
		noise := ceiling * (1 + float64(i%3)) // as much for both of a round
		f.Add(Key{"http", "hello", "fasthttp", CPU}, noise)
		f.Add(Key{"http", "hello", "sett", CPU}, noise*factor)
		f.Add(Key{"kv", "set", "sett", Rate}, 1000*factor)
	}
	return f
}

func verdict(t *testing.T, all []Verdict, subject string, m Metric) Verdict {
	t.Helper()
	for _, v := range all {
		if v.Subject == subject && v.Metric == m {
			return v
		}
	}
	t.Fatalf("of %+v none is of %s %s", all, subject, m)
	return Verdict{}
}

// TestCompare: the second machine is seven times as slow and as noisy; only the ratios say what has changed.
func TestCompare(t *testing.T) {
	old := run(10, 2, 2.02, 1.98, 2.01, 1.99, 2)
	for _, test := range []struct {
		factors      []float64
		cpu, rate    string
		worse, least float64
	}{
		{[]float64{2.01, 2, 1.99, 2.02, 1.98, 2}, "~", "~", 0, 0},
		{[]float64{3, 3.02, 2.98, 3.01, 2.99, 3}, "worse", "better", 0.5, 0},
		{[]float64{1, 1.02, 0.98, 1.01, 0.99, 1}, "better", "worse", 0, 1},
		{[]float64{3, 3.02}, "~", "~", 0, 0}, // too few to say
	} {
		all := Compare(old, run(70, test.factors...))
		cpu, rate := verdict(t, all, "sett", CPU), verdict(t, all, "sett", Rate)
		if cpu.word() != test.cpu || rate.word() != test.rate || !cpu.ByRatio || rate.ByRatio {
			t.Errorf("%v: cpu %s, rate %s, want %s and %s", test.factors, cpu.word(), rate.word(), test.cpu, test.rate)
		}
		if math.Abs(cpu.Worse()-test.worse) > 0.01 || math.Abs(rate.Worse()-test.least) > 0.01 {
			t.Errorf("%v: worse by %v and %v, want %v and %v", test.factors, cpu.Worse(), rate.Worse(), test.worse, test.least)
		}
		var out strings.Builder
		Print(&out, all)
		for _, want := range []string{"hello, sett, cpu of fasthttp", "set, sett, rate 1/s", test.cpu} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("output %q, want %q in it", &out, want)
			}
		}
	}
}

// TestCompareZero: counts that are 0 have no ratios, and do not spoil others.
func TestCompareZero(t *testing.T) {
	old, next := New(), New()
	k := Key{"http", "hello", "sett", "failed_count"}
	for range 6 {
		old.Add(k, 0)
		next.Add(k, 3)
		old.Add(Key{"http", "hello", "fasthttp", "failed_count"}, 0)
		next.Add(Key{"http", "hello", "fasthttp", "failed_count"}, 0)
	}
	all := Compare(old, next)
	if v := verdict(t, all, "sett", "failed_count"); v.ByRatio || v.word() != "worse" {
		t.Errorf("none failed, now three do: %s", v.word())
	}
	if v := verdict(t, all, "fasthttp", "failed_count"); v.Change != 0 || v.word() != "~" {
		t.Errorf("none failed before and now: %+v", v)
	}
	Print(new(strings.Builder), all)
}

func TestTable(t *testing.T) {
	f := run(10, 2, 2, 3)
	f.Add(Key{"http", "hello", "other", Rate}, 12.345)
	var out strings.Builder
	f.Table(&out)
	for _, want := range []string{"http: hello\n", "cpu us", "rate 1/s", "ratio", "(10..30)", "2.00", "12.3"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output\n%s, want %q in it", &out, want)
		}
	}
}

func TestFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f.json")
	f := run(10, 2, 3)
	f.Curves = []*Curve{{Bench: "http", Subject: "sett", Points: [][2]float64{{1, 2}}}}
	if err := f.Write(name); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(f)
	b, _ := json.Marshal(got)
	if !bytes.Equal(a, b) {
		t.Errorf("written %s, read %s", a, b)
	}
	for content, want := range map[string]string{
		"": "EOF", "{": "EOF", `{"format":2}`: "format 2, want 1", `{"format":1,"series":[null]}`: "no samples",
		`{"format":1,"series":[{"bench":"a"}]}`:                             "no samples",
		`{"format":1,"series":[{"samples":[1]},{"samples":[2]}]}`:           "twice",
		`{"format":1,"curves":[null]}`:                                      "null",
		`{"format":1,"series":[{"samples":[1]}],"machine":{"cores":"two"}}`: "cores",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("ReadFile of %s = %v, want %q and the file's name", content, err, want)
		}
	}
}

// FuzzRead checks that whatever is read can be shown, compared and drawn.
func FuzzRead(f *testing.F) {
	whole, err := json.Marshal(run(10, 2, 2.1, 1.9, 2, 2, 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"format":1,"series":[{"bench":"http","metric":"_us","samples":[0,-1,1e308]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var out strings.Builder
		file.Table(&out)
		Print(&out, Compare(file, file))
	})
}

func TestMetric(t *testing.T) {
	for m, want := range map[Metric][2]string{
		CPU: {"cpu", "us"}, Rate: {"rate", "1/s"}, Memory: {"memory", "KiB"}, "switch_ms": {"switch", "ms"}, "failed_count": {"failed", ""},
		"first_s": {"first", "s"}, "plain": {"plain", ""}, "heap_mib": {"heap", "MiB"},
	} {
		if name, unit := m.Parts(); name != want[0] || unit != want[1] {
			t.Errorf("%s is %q in %q, want %q", m, name, unit, want)
		}
	}
}

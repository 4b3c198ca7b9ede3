package record

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
)

// ceilings say of each benchmark which subject its figures are compared with.
func ceilings() map[string]string {
	return map[string]string{"http": "fasthttp", "latency": NeverReset, "kv": "redis", "queue": "redis", "neighbour": Alone, "component": "wasmtime"}
}

// Alone is a function with nothing beside it.
const Alone = "alone"

// NeverReset is the instance that is used again as it is: what others did is in it. Nothing can be cheaper.
const NeverReset = "never reset (leaks)"

// Table shows the medians of all series, with their least and largest figures, and their ratio to the ceiling's: the
// median of the ratios of rounds.
func (f *File) Table(out io.Writer) {
	var tables []table
	order := map[string][]string{} // of subjects, as they came first
	for _, s := range f.Series {
		i := slices.IndexFunc(tables, func(t table) bool { return t.bench == s.Bench && t.work == s.Work })
		if i < 0 {
			i = len(tables)
			tables = append(tables, table{bench: s.Bench, work: s.Work})
		}
		tables[i].add(s)
		if !slices.Contains(order[s.Bench], s.Subject) {
			order[s.Bench] = append(order[s.Bench], s.Subject)
		}
	}
	for _, t := range tables {
		slices.SortStableFunc(t.subjects, func(a, b string) int { return slices.Index(order[t.bench], a) - slices.Index(order[t.bench], b) })
		t.show(out, f)
	}
}

// table is what was measured of one work.
type table struct {
	bench, work string
	subjects    []string
	metrics     []Metric
}

func (t *table) add(s *Series) {
	if !slices.Contains(t.subjects, s.Subject) {
		t.subjects = append(t.subjects, s.Subject)
	}
	if !slices.Contains(t.metrics, s.Metric) {
		t.metrics = append(t.metrics, s.Metric)
	}
}

func (t table) show(out io.Writer, f *File) {
	fmt.Fprintf(out, "\n%s: %s\n", t.bench, t.work)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, m := range t.metrics {
		name, unit := m.Parts()
		if unit != "" {
			name += " " + unit
		}
		fmt.Fprintf(w, "\t%s\t(spread)", name)
		if _, has := ceilings()[t.bench]; has {
			fmt.Fprint(w, "\tratio")
		}
	}
	fmt.Fprintln(w, "\t")
	for _, subject := range t.subjects {
		fmt.Fprint(w, subject)
		for _, m := range t.metrics {
			t.cells(w, f, Key{t.bench, t.work, subject, m})
		}
		fmt.Fprintln(w, "\t")
	}
	_ = w.Flush() // what out does with it is its own
}

func (t table) cells(w io.Writer, f *File, k Key) {
	ceiling, compared := ceilings()[t.bench]
	s := f.Find(k)
	if s == nil {
		fmt.Fprint(w, "\t-\t")
		if compared {
			fmt.Fprint(w, "\t")
		}
		return
	}
	fmt.Fprintf(w, "\t%s\t", Digits(Median(s.Samples)))
	if len(s.Samples) > 1 {
		fmt.Fprintf(w, "(%s..%s)", Digits(slices.Min(s.Samples)), Digits(slices.Max(s.Samples)))
	}
	if !compared {
		return
	}
	k.Subject = ceiling
	if ratios := Ratios(s, f.Find(k)); len(ratios) > 0 {
		fmt.Fprintf(w, "\t%.2f", Median(ratios))
	} else {
		fmt.Fprint(w, "\t-")
	}
}

// Ratios are those of the figures of the same rounds; none if there is no ceiling or one of its figures is 0.
func Ratios(s, ceiling *Series) []float64 {
	if ceiling == nil || slices.Contains(ceiling.Samples, 0) {
		return nil
	}
	ratios := make([]float64, min(len(s.Samples), len(ceiling.Samples)))
	for i := range ratios {
		ratios[i] = s.Samples[i] / ceiling.Samples[i]
	}
	return ratios
}

// Median of figures, of which there is one at least.
func Median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Digits shows the three digits of a figure that matter.
func Digits(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 100 || a == math.Trunc(a):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

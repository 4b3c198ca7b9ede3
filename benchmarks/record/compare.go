package record

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"
)

// confidence of the intervals that Compare shows, and 1 less the chance that a difference it calls one is none.
const confidence = 0.95

// Verdict is what became of one series.
type Verdict struct {
	Key
	Old, New benchmath.Summary // of ratios to the ceiling if ByRatio
	ByRatio  bool
	P        float64 // the chance of such a difference if there is none
	Change   float64 // of the medians: 0.1 is a tenth more
	Differs  bool    // P is small enough
}

// Worse is by what part a series has become worse, for certain; 0 if it has not: 0.5 is half as much time again, or
// a third less of a rate.
func (v Verdict) Worse() float64 {
	switch {
	case !v.Differs:
		return 0
	case v.Metric.MoreIsBetter():
		return max(1/(1+v.Change)-1, 0)
	default:
		return max(v.Change, 0)
	}
}

func (v Verdict) word() string {
	switch {
	case !v.Differs:
		return "~"
	case v.Worse() > 0:
		return "worse"
	default:
		return "better"
	}
}

// Compare judges the series that both files have. Where a benchmark has a ceiling, what is compared is the ratios to the
// ceiling of the same run and round, which other machines and noise change less.
func Compare(old, next *File) []Verdict {
	var all []Verdict
	for _, s := range next.Series {
		before := old.Find(s.Key)
		if before == nil {
			continue
		}
		v := Verdict{Key: s.Key}
		a, b := before.Samples, s.Samples
		ceiling := Key{s.Bench, s.Work, ceilings()[s.Bench], s.Metric}
		if ceiling.Subject != s.Subject {
			ra, rb := Ratios(before, old.Find(ceiling)), Ratios(s, next.Find(ceiling))
			if v.ByRatio = len(ra) > 0 && len(rb) > 0; v.ByRatio {
				a, b = ra, rb
			}
		}
		v.judge(a, b)
		all = append(all, v)
	}
	slices.SortStableFunc(all, func(a, b Verdict) int { return cmp.Compare(a.Bench, b.Bench) })
	return all
}

func (v *Verdict) judge(a, b []float64) {
	sample := func(figures []float64) *benchmath.Sample { // it sorts what it is given
		return benchmath.NewSample(slices.Clone(figures), &benchmath.DefaultThresholds)
	}
	x, y := sample(a), sample(b)
	v.Old, v.New = benchmath.AssumeNothing.Summary(x, confidence), benchmath.AssumeNothing.Summary(y, confidence)
	c := benchmath.AssumeNothing.Compare(x, y)
	v.P, v.Differs = c.P, c.P < c.Alpha
	if v.Old.Center == 0 && v.New.Center == 0 {
		return
	}
	v.Change = v.New.Center/v.Old.Center - 1
}

// Print shows verdicts as a table.
func Print(out io.Writer, all []Verdict) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	bench := ""
	for _, v := range all {
		if v.Bench != bench {
			bench = v.Bench
			fmt.Fprintf(w, "%s\told\t\tnew\t\tchange\tp\t\t\n", bench)
		}
		name, unit := v.Metric.Parts()
		if v.ByRatio {
			unit = "of " + ceilings()[v.Bench]
		}
		change := "-"
		if !math.IsInf(v.Change, 0) {
			change = fmt.Sprintf("%+.1f%%", 100*v.Change)
		}
		fmt.Fprintf(w, "%s, %s, %s %s\t%s\t%s\t%s\t%s\t%s\t%.3f\t%s\t\n", v.Work, v.Subject, name, unit,
			Digits(v.Old.Center), "±"+v.Old.PctRangeString(), Digits(v.New.Center), "±"+v.New.PctRangeString(), change, v.P, v.word())
	}
	_ = w.Flush() // what out does with it is its own
}

package soak

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/sett-run/sett/benchmarks/record"
)

// judged is the shortest run that growth is looked for in: the first quarter is for warming up, 10 versions of every
// function among that.
const judged = 40 * time.Minute

// What the areas that keep for some time may take.
const (
	callBytes   = 1 << 10  // of state, for a request or call: the changes that it makes, with what was there before
	objectExtra = 8 << 10  // for an object, beside its bytes: whole blocks, and a folder's share
	othersBytes = 96 << 20 // logs, of which 64 MiB are kept, and what the store's engine has begun
)

// allowed is what those areas may take after all that was asked for, in MiB.
func (t *traffic) allowed() float64 {
	bytes := t.answered.Load()*callBytes + t.done["bytes"] + t.done["uploaded"]*objectExtra + othersBytes
	return float64(bytes) / mib
}

// limit is by what part the last quarter's median may be more than the second one's.
type limit struct {
	metric record.Metric
	part   float64
}

// limits are a tenth, in which noise and what the engine of the store has not written out yet find room. What is resident has
// more: with it count pages of the store's tables, which are mapped, and grow in the first hour with the changes kept in them.
func limits() []limit {
	return []limit{{resident, 0.25}, {own, 0.1}, {heap, 0.1}, {goroutines, 0.1}, {files, 0.1}, {disk, 0.1}}
}

// judge says whether something has grown, which is an error if it counts.
func (s series) judge(out io.Writer, allowed float64, counts bool) (err error) {
	if !counts {
		fmt.Fprintf(out, "growth is shown, and not judged in less than %v\n", judged)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "median of\tfirst quarter\tsecond quarter\tlast quarter\tgrowth\tat most\t\t")
	for _, l := range limits() {
		second, last := s.median(1, l.metric), s.median(3, l.metric)
		growth := last/second - 1
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%+.1f %%\t%+.0f %%\t%s\t\n", l.metric, record.Digits(s.median(0, l.metric)), record.Digits(second),
			record.Digits(last), 100*growth, 100*l.part, record.Want(growth <= l.part))
		if counts && growth > l.part {
			err = errors.Join(err, fmt.Errorf("%s has grown by %.1f %% from the second quarter to the last", l.metric, 100*growth))
		}
	}
	end := s[len(s)-1].taken[kept]
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\t%s\t%s\t\n", kept, record.Digits(s.median(0, kept)), record.Digits(s.median(1, kept)),
		record.Digits(s.median(3, kept)), record.Digits(allowed), record.Want(end <= allowed))
	if end > allowed {
		err = errors.Join(err, fmt.Errorf("%.0f MiB of disk are taken by changes, objects and logs, of which at most %.0f MiB were written", end, allowed))
	}
	return errors.Join(err, w.Flush())
}

// median is that of a quarter.
func (s series) median(quarter int, m record.Metric) float64 {
	var figures []float64
	for _, one := range s[quarter*len(s)/4 : (quarter+1)*len(s)/4] {
		figures = append(figures, one.taken[m])
	}
	return record.Median(figures)
}

package picture

import (
	"cmp"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/sett-run/sett/benchmarks/record"
)

// chart is bars of one metric of all works of a benchmark.
type chart struct {
	bench  string
	metric record.Metric
	works  []string
}

func (c chart) metricName() string { name, _ := c.metric.Parts(); return name }

// charts are those of a file: processor time, rates and starts are drawn.
func charts(f *record.File) (all []chart) {
	for _, s := range f.Series {
		if s.Metric != record.CPU && s.Metric != record.Rate && s.Metric != record.Started {
			continue
		}
		i := slices.IndexFunc(all, func(c chart) bool { return c.bench == s.Bench && c.metric == s.Metric })
		if i < 0 {
			all = append(all, chart{bench: s.Bench, metric: s.Metric})
			i = len(all) - 1
		}
		if !slices.Contains(all[i].works, s.Work) {
			all[i].works = append(all[i].works, s.Work)
		}
	}
	return all
}

// plots are one for each work, of the same height.
func (c chart) plots(f *record.File) (plots []*plot.Plot, height vg.Length, err error) {
	most := 0
	for _, work := range c.works {
		var series []*record.Series
		for _, s := range f.Series {
			if s.Bench == c.bench && s.Work == work && s.Metric == c.metric {
				series = append(series, s)
			}
		}
		slices.SortStableFunc(series, func(a, b *record.Series) int { // the best on top: bars begin below
			order := cmp.Compare(record.Median(b.Samples), record.Median(a.Samples))
			if c.metric.MoreIsBetter() {
				order = -order
			}
			return order
		})
		p, err := bars(work, c.metric, series)
		if err != nil {
			return nil, 0, err
		}
		plots, most = append(plots, p), max(most, len(series))
	}
	return plots, frameHeight + barHeight*vg.Length(most), nil
}

// spread is a series as bars' ends.
type spread []*record.Series

func (s spread) Len() int                { return len(s) }
func (s spread) Value(i int) float64     { return record.Median(s[i].Samples) }
func (s spread) XY(i int) (x, y float64) { return s.Value(i), float64(i) }
func (s spread) XError(i int) (lo, hi float64) {
	return s.Value(i) - slices.Min(s[i].Samples), slices.Max(s[i].Samples) - s.Value(i)
}

// far says whether a bar would be too short to be seen.
func (s spread) far() bool {
	least, most := math.Inf(1), 0.0
	for i := range s {
		least, most = min(least, slices.Min(s[i].Samples)), max(most, slices.Max(s[i].Samples))
	}
	return least > 0 && most/least > wide
}

// names are those of the subjects, with the median's figure.
func (s spread) names() (all []string) {
	for i := range s {
		all = append(all, s[i].Subject+"  "+figure(s.Value(i), s[i].Metric))
	}
	return all
}

// bars are horizontal, with the median's figure and the spread from the least to the largest; dots on a logarithmic
// axis if a bar would be too short to be seen.
func bars(title string, m record.Metric, series spread) (*plot.Plot, error) {
	p := newPlot(title)
	name, unit := m.Parts()
	p.X.Label.Text = name + ", " + unit + better(m)
	whiskers, err := plotter.NewXErrorBars(series)
	if err != nil {
		return nil, err
	}
	whiskers.Color = color.Gray{60}
	if series.far() {
		dots, err := plotter.NewScatter(series)
		if err != nil {
			return nil, err
		}
		dots.Color, dots.Shape, dots.Radius = ours(0), draw.CircleGlyph{}, vg.Points(3.5)
		p.Add(plotter.NewGrid(), whiskers, dots)
		p.X.Min, p.X.Max = p.X.Min/1.5, p.X.Max*1.5
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
	} else {
		chart, err := plotter.NewBarChart(series, barHeight*0.7)
		if err != nil {
			return nil, err
		}
		chart.Horizontal, chart.LineStyle.Width, chart.Color = true, 0, ours(0)
		p.Add(chart, whiskers)
		p.X.Min, p.X.Tick.Marker = 0, short{}
	}
	p.NominalY(series.names()...)
	return p, nil
}

// figure shows a figure with its unit.
func figure(v float64, m record.Metric) string {
	_, unit := m.Parts()
	if unit == "us" {
		for _, larger := range []string{"ms", "s"} {
			if v < 1000 {
				break
			}
			v, unit = v/1000, larger
		}
	}
	return record.Digits(v) + " " + unit
}

func better(m record.Metric) string {
	if m.MoreIsBetter() {
		return " (more is better)"
	}
	return " (less is better)"
}

// short are the usual ticks, with thousands as k, so that labels do not run into each other.
type short struct{}

// Ticks are those between the ends of an axis.
func (short) Ticks(least, most float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(least, most)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = thousands(ticks[i].Value)
		}
	}
	return ticks
}

// ours are colours that those who tell few apart can tell, too.
func ours(i int) color.Color {
	all := []color.RGBA{
		{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}, {90, 90, 90, 255},
	}
	return all[i%len(all)]
}

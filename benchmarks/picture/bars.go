package picture

import (
	"image/color"
	"slices"
	"strconv"

	"github.com/sett-run/sett/benchmarks/record"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// chart is bars of one metric of all works of a benchmark.
type chart struct {
	bench  string
	metric record.Metric
	works  []string
}

func (c chart) metricName() string { name, _ := c.metric.Parts(); return name }

// charts are those of a file: processor time and rates are drawn.
func charts(f *record.File) (all []chart) {
	for _, s := range f.Series {
		if s.Metric != record.CPU && s.Metric != record.Rate {
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
			less := record.Median(b.Samples) - record.Median(a.Samples)
			if c.metric.MoreIsBetter() {
				less = -less
			}
			return sign(less)
		})
		p, err := bars(work, c.metric, series)
		if err != nil {
			return nil, 0, err
		}
		plots, most = append(plots, p), max(most, len(series))
	}
	return plots, frameHeight + barHeight*vg.Length(most), nil
}

func sign(v float64) int {
	switch {
	case v < 0:
		return -1
	case v > 0:
		return 1
	}
	return 0
}

// spread is a series as bars' ends.
type spread []*record.Series

func (s spread) Len() int                { return len(s) }
func (s spread) Value(i int) float64     { return record.Median(s[i].Samples) }
func (s spread) XY(i int) (x, y float64) { return s.Value(i), float64(i) }
func (s spread) XError(i int) (lo, hi float64) {
	return s.Value(i) - slices.Min(s[i].Samples), slices.Max(s[i].Samples) - s.Value(i)
}

// Label says a bar's figure.
func (s spread) Label(i int) string { return "  " + strconv.FormatFloat(s.Value(i), 'g', 3, 64) }

// bars are horizontal, with the median's figure and the spread from the least to the largest.
func bars(title string, m record.Metric, series spread) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	name, unit := m.Parts()
	p.X.Label.Text = name + ", " + unit + better(m)
	p.X.Min = 0
	var names []string
	for _, s := range series {
		names = append(names, s.Subject)
	}
	chart, err := plotter.NewBarChart(series, barHeight*0.7)
	if err != nil {
		return nil, err
	}
	chart.Horizontal, chart.LineStyle.Width, chart.Color = true, 0, ours(0)
	whiskers, err := plotter.NewXErrorBars(series)
	if err != nil {
		return nil, err
	}
	whiskers.Color = color.Gray{60}
	p.Add(chart, whiskers)
	p.NominalY(names...)
	p.X.Tick.Marker = short{}
	return p, nil
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
		if v := ticks[i].Value; ticks[i].Label != "" && v >= 1e4 {
			ticks[i].Label = strconv.FormatFloat(v/1000, 'f', -1, 64) + "k"
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

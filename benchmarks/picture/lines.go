package picture

import (
	"strconv"

	"github.com/sett-run/sett/benchmarks/record"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// wide is the ratio of an axis's ends from which on it is logarithmic.
const wide = 30

// lines is a plot of curves, one line each.
func lines(group []*record.Curve) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = group[0].Bench + ": " + group[0].Work
	p.X.Label.Text, p.Y.Label.Text = group[0].X, group[0].Y
	p.Legend.Top, p.Legend.Left = false, false
	p.Legend.ThumbnailWidth = vg.Centimeter
	p.Add(plotter.NewGrid())
	for i, c := range group {
		points := make(plotter.XYs, len(c.Points))
		for k, at := range c.Points {
			points[k].X, points[k].Y = at[0], at[1]
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		line.Width, line.Color = vg.Points(1.6), ours(i)
		line.Dashes = dashes(i)
		p.Add(line)
		p.Legend.Add(c.Subject, line)
	}
	logarithmic(&p.X)
	logarithmic(&p.Y)
	return p, nil
}

// dashes are different for lines of the same colour.
func dashes(i int) []vg.Length {
	return [][]vg.Length{nil, {vg.Points(6), vg.Points(2)}, {vg.Points(2), vg.Points(2)}}[i/7%3]
}

// logarithmic makes an axis so if its ends are far apart.
func logarithmic(a *plot.Axis) {
	if a.Min > 0 && a.Max/a.Min >= wide {
		a.Scale, a.Tick.Marker = plot.LogScale{}, decades{}
	}
}

// decades are ticks at powers of ten.
type decades struct{}

// Ticks are at powers of ten, with a label, and between them.
func (decades) Ticks(least, most float64) (ticks []plot.Tick) {
	for _, t := range (plot.LogTicks{Prec: -1}).Ticks(least, most) {
		if t.Label != "" {
			t.Label = strconv.FormatFloat(t.Value, 'g', -1, 64)
		}
		ticks = append(ticks, t)
	}
	return ticks
}

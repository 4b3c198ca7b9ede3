package picture

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/sett-run/sett/benchmarks/record"
)

// wide is the ratio of an axis's ends from which on it is logarithmic.
const wide = 30

// lines is a plot of curves, one line each.
func lines(group []*record.Curve) (*plot.Plot, error) {
	p := newPlot(group[0].Bench + ": " + group[0].Work)
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
	above := 1.0            // how much longer the axis is than the lines
	if !logarithmic(&p.X) { // time: lines go all the way, and the legend stands above them
		p.Legend.Top = true
		above += 0.065 * float64(len(group))
	}
	if !strings.HasSuffix(group[0].Y, "%") && logarithmic(&p.Y) {
		p.Y.Max = p.Y.Min * math.Pow(p.Y.Max/p.Y.Min, above)
	} else {
		p.Y.Max *= above
	}
	return p, nil
}

// newPlot is an empty plot in a type that is read well when it is small.
func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	for _, t := range []*draw.TextStyle{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		t.Font.Variant, t.Font.Size = "Sans", vg.Points(9)
	}
	return p
}

// dashes are different for lines of the same colour.
func dashes(i int) []vg.Length {
	return [][]vg.Length{nil, {vg.Points(6), vg.Points(2)}, {vg.Points(2), vg.Points(2)}}[i/7%3]
}

// logarithmic makes an axis so if its ends are far apart, and says whether. Others begin at 0: what changes little is to
// look so.
func logarithmic(a *plot.Axis) bool {
	if a.Min > 0 && a.Max/a.Min >= wide {
		a.Scale, a.Tick.Marker = plot.LogScale{}, decades{}
		return true
	}
	a.Min = min(a.Min, 0)
	return false
}

// decades are ticks of a logarithmic axis.
type decades struct{}

// Ticks have a label at powers of ten, and at 2 and 5 of them if there are few.
func (decades) Ticks(least, most float64) (ticks []plot.Tick) {
	few := most/least < 1000
	for power := math.Pow(10, math.Floor(math.Log10(least))); power <= most; power *= 10 {
		for digit := 1.0; digit < 10; digit++ {
			t := plot.Tick{Value: power * digit}
			if digit == 1 || few && (digit == 2 || digit == 5) {
				t.Label = thousands(t.Value)
			}
			if t.Value >= least && t.Value <= most {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}

// thousands shows a number with k or M.
func thousands(v float64) string {
	for _, u := range []struct {
		name string
		of   float64
	}{{"M", 1e6}, {"k", 1e3}} {
		if v >= u.of {
			return strconv.FormatFloat(v/u.of, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

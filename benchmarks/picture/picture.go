// Package picture draws what benchmarks measured, as SVG and PNG: bars with the spread of rounds for figures, lines for
// curves.
package picture

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/sett-run/sett/benchmarks/record"
)

// Draw draws all pictures of a file into a directory, which it makes, and answers their names without .svg and .png:
// BENCH-METRIC of bars, BENCH-WORK of curves, which has a plot for each of the axes upwards.
func Draw(f *record.File, dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var names []string
	save := func(name string, plots []*plot.Plot, height vg.Length) error {
		names = append(names, name)
		return write(filepath.Join(dir, name), plots, height)
	}
	for _, c := range charts(f) {
		plots, height, err := c.plots(f)
		if err == nil {
			err = save(c.bench+"-"+strings.TrimSuffix(c.metricName(), " "), plots, height)
		}
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", c.bench, err)
		}
	}
	for _, group := range curves(f) {
		plots, err := panels(group)
		if err == nil {
			err = save(fileName(group[0].Bench+"-"+group[0].Work), plots, curveHeight)
		}
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", group[0].Bench, err)
		}
	}
	return names, nil
}

// Measures of pictures.
const (
	plotWidth   = 13 * vg.Centimeter
	curveHeight = 10 * vg.Centimeter
	barHeight   = 0.55 * vg.Centimeter
	frameHeight = 2 * vg.Centimeter // of a plot's title and axis
	columns     = 2
	dotsPerInch = 110
)

// fileName is a name of a work without what files should not have in theirs.
func fileName(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(s)), "-.")
}

// write writes NAME.svg and NAME.png with plots beside and below each other, each of the same height.
func write(name string, plots []*plot.Plot, height vg.Length) error {
	across := min(len(plots), columns)
	down := (len(plots) + across - 1) / across
	width, whole := plotWidth*vg.Length(across), height*vg.Length(down)
	svg := vgsvg.New(width, whole)
	png := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, whole), vgimg.UseDPI(dotsPerInch))}
	for _, c := range []vg.CanvasSizer{svg, png} {
		on := draw.New(c)
		on.SetColor(color.White) // readable on a dark page, too
		on.Fill(vg.Rectangle{Max: vg.Point{X: width, Y: whole}}.Path())
		tiles := draw.Tiles{Rows: down, Cols: across, PadX: vg.Millimeter * 4, PadY: vg.Millimeter * 4, PadTop: vg.Millimeter * 2,
			PadBottom: vg.Millimeter * 2, PadLeft: vg.Millimeter * 2, PadRight: vg.Millimeter * 5}
		for i, p := range plots {
			p.Draw(tiles.At(on, i%across, i/across))
		}
	}
	return errors.Join(to(name+".svg", svg), to(name+".png", png))
}

func to(name string, w io.WriterTo) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = w.WriteTo(file)
	return errors.Join(err, file.Close())
}

// panels are a plot for each of the axes upwards that curves have.
func panels(group []*record.Curve) (plots []*plot.Plot, err error) {
	for len(group) > 0 {
		y := group[0].Y
		var same, rest []*record.Curve
		for _, c := range group {
			if c.Y == y {
				same = append(same, c)
			} else {
				rest = append(rest, c)
			}
		}
		p, err := lines(same)
		if err != nil {
			return nil, err
		}
		plots, group = append(plots, p), rest
	}
	return plots, nil
}

// curves groups a file's curves by picture.
func curves(f *record.File) (groups [][]*record.Curve) {
	for _, c := range f.Curves {
		if len(c.Points) == 0 {
			continue
		}
		i := slices.IndexFunc(groups, func(g []*record.Curve) bool { return g[0].Bench == c.Bench && g[0].Work == c.Work })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

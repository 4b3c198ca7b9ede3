package main

import (
	"bytes"
	"fmt"
	"math"
)

// Measures of the picture, in pixels, and the ends of its scale: 1 us to 10 s.
const (
	labelWidth  = 210
	scaleWidth  = 560
	barHeight   = 13
	guestGap    = 26
	scaleDigits = 7
)

// colours of the paths, one each: readable by those who tell few colours apart, on white and on black.
var colours = []string{"#b0b0b0", "#0072b2", "#56b4e9", "#009e73", "#d55e00", "#e69f00", "#cc79a7"}

// draw draws a bar for each path of each guest, on a logarithmic scale.
func draw(guests []guest) []byte {
	bars := 0
	for _, g := range guests {
		bars += len(g.Paths)
	}
	height := 40 + bars*barHeight + len(guests)*guestGap
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		labelWidth+scaleWidth+70, height)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for d := range scaleDigits + 1 {
		x := labelWidth + scaleWidth*d/scaleDigits
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="20" y2="%d" stroke="#ddd"/><text x="%d" y="14" text-anchor="middle">%s</text>`+"\n",
			x, x, height-10, x, []string{"1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s", "10 s"}[d])
	}
	y := 24
	for _, g := range guests {
		y += guestGap - 8
		fmt.Fprintf(&b, `<text x="4" y="%d" font-weight="bold">%s</text>`+"\n", y, g.Name)
		y += 8
		for i, p := range paths {
			f, ok := g.Paths[p.name]
			if !ok {
				continue
			}
			v := f.CPU
			if p.name == "image-from-disk" || p.name == "code-from-disk" {
				v = f.Answer
			}
			width := min(max(math.Log10(v), 0)/scaleDigits, 1) * scaleWidth
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
				labelWidth-6, y+10, p.title, labelWidth, y+2, width, barHeight-3, colours[i], labelWidth+width+4, y+10, us(v))
			y += barHeight
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

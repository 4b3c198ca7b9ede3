package main

import (
	"image"
	"image/color"
	"image/draw"
)

// resize answers the middle of a picture in another size: as much of it as has the shape. Each pixel is the mean of those
// that it stands for, or, where a picture grows, one of them.
func resize(from image.Image, size image.Point) *image.RGBA {
	part := middle(from.Bounds(), size)
	to := image.NewRGBA(image.Rectangle{Max: size})
	band := image.NewRGBA(image.Rect(0, 0, part.Dx(), part.Dy()/size.Y+2)) // the rows of one row
	for y := range size.Y {
		top, bottom := span(y, size.Y, part.Dy())
		rows := image.Rect(0, 0, part.Dx(), bottom-top)
		draw.Draw(band, rows, from, part.Min.Add(image.Pt(0, top)), draw.Src)
		for x := range size.X {
			left, right := span(x, size.X, part.Dx())
			to.SetRGBA(x, y, mean(band, image.Rect(left, 0, right, bottom-top)))
		}
	}
	return to
}

// middle is the largest part in the middle of bounds that has the shape of size.
func middle(bounds image.Rectangle, size image.Point) image.Rectangle {
	w, h := bounds.Dx(), bounds.Dy()
	if w*size.Y > h*size.X {
		w = max(1, h*size.X/size.Y)
	} else {
		h = max(1, w*size.Y/size.X)
	}
	corner := bounds.Min.Add(image.Pt((bounds.Dx()-w)/2, (bounds.Dy()-h)/2))
	return image.Rectangle{corner, corner.Add(image.Pt(w, h))}
}

// span are those of n old pixels that the i-th of count new ones stands for: one at least.
func span(i, count, n int) (first, end int) {
	first = i * n / count
	return first, max(first+1, (i+1)*n/count)
}

func mean(m *image.RGBA, r image.Rectangle) color.RGBA {
	var sum [4]int
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := m.Pix[m.PixOffset(r.Min.X, y):m.PixOffset(r.Max.X, y)]
		for i, v := range row {
			sum[i%4] += int(v)
		}
	}
	n := r.Dx() * r.Dy()
	return color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), uint8(sum[3] / n)}
}

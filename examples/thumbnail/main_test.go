package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/sett-run/sett/sdk/go/blob"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/settest"
)

const pictures = blob.Bucket("pictures")

// halves is a picture that is red on its left and blue on its right.
func halves(w, h int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, color.RGBA{R: 255, A: 255})
			if x >= w/2 {
				m.Set(x, y, color.RGBA{B: 255, A: 255})
			}
		}
	}
	return m
}

func upload(t *testing.T, key string, m image.Image, encode func(*bytes.Buffer, image.Image) error) events.Upload {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b, m); err != nil {
		t.Fatal(err)
	}
	info, err := pictures.Put(settest.Context(t), key, &b)
	if err != nil {
		t.Fatal(err)
	}
	var r events.UploadRecord
	r.S3.Bucket.Name, r.S3.Object.Key, r.S3.Object.ETag = "pictures", key, info.ETag
	return events.Upload{Records: []events.UploadRecord{r}}
}

func asPNG(b *bytes.Buffer, m image.Image) error  { return png.Encode(b, m) }
func asJPEG(b *bytes.Buffer, m image.Image) error { return jpeg.Encode(b, m, nil) }

func TestShrink(t *testing.T) {
	settest.Buckets(t, "pictures")
	for _, tt := range []struct {
		name, contentType string
		size              image.Point
		encode            func(*bytes.Buffer, image.Image) error
	}{
		{"wide.png", "image/png", image.Pt(1000, 90), asPNG},
		{"high.jpg", "image/jpeg", image.Pt(1600, 2000), asJPEG},
		{"small.png", "image/png", image.Pt(4, 3), asPNG},
		{"dot.png", "image/png", image.Pt(2, 1), asPNG},
	} {
		e := upload(t, "uploads/"+tt.name, halves(tt.size.X, tt.size.Y), tt.encode)
		if err := settest.Invoke(t, "shrink", e, nil); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		r := settest.Get(t, "/thumbnails/"+tt.name)
		if r.Status != 200 || r.Header("Content-Type") != tt.contentType {
			t.Errorf("%s: status %d, type %s", tt.name, r.Status, r.Header("Content-Type"))
			continue
		}
		m, _, err := image.Decode(bytes.NewReader(r.Body))
		if err != nil || m.Bounds() != image.Rect(0, 0, 800, 600) {
			t.Errorf("%s: %v, %v", tt.name, m, err)
			continue
		}
		if tt.size.X < 4 {
			continue // one pixel fills it all
		}
		left, _, _, _ := m.At(100, 300).RGBA()
		_, _, right, _ := m.At(700, 300).RGBA()
		if left < 0xf000 || right < 0xf000 {
			t.Errorf("%s: red is %x on its left, blue %x on its right", tt.name, left, right)
		}
	}
}

// TestNoPicture: what is no picture, is gone or is another by now makes none, and does not come again.
func TestNoPicture(t *testing.T) {
	settest.Buckets(t, "pictures")
	text := upload(t, "uploads/text.png", nil, func(b *bytes.Buffer, _ image.Image) error { b.WriteString("text"); return nil })
	bomb := upload(t, "uploads/bomb.png", image.NewGray(image.Rect(0, 0, maxPixels/1000+1, 1000)), asPNG)
	gone := upload(t, "uploads/gone.png", halves(4, 3), asPNG)
	old := upload(t, "uploads/old.png", halves(4, 3), asPNG)
	upload(t, "uploads/old.png", halves(8, 6), asPNG)
	if err := pictures.Delete(settest.Context(t), "uploads/gone.png"); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]events.Upload{"text": text, "bomb": bomb, "gone": gone, "old": old} {
		if err := settest.Invoke(t, "shrink", e, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r := settest.Get(t, "/thumbnails/"+name+".png"); r.Status != 404 {
			t.Errorf("%s: status %d, want 404", name, r.Status)
		}
	}
}

// TestTryAgain: when the picture cannot be read now, the event comes again.
func TestTryAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shrink(ctx, pictures, "uploads/a.png", ""); err == nil || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("shrink = %v", err)
	}
}

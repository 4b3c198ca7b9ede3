// Command thumbnail makes a picture of 800x600 of each that is uploaded: of uploads/cat.jpg it makes processed/cat.jpg.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"strings"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/blob"
	"github.com/sett-run/sett/sdk/go/events"
)

const (
	uploads   = "uploads/"
	processed = "processed/"

	maxPixels = 40_000_000 // of a picture; as a JPEG it takes 60 MB, and as a PNG up to 320 MB
)

func init() {
	sett.Handle("shrink", func(ctx context.Context, e events.Upload) (struct{}, error) {
		for _, r := range e.Records {
			if err := shrink(ctx, blob.Bucket(r.Bucket()), r.Key(), r.S3.Object.ETag); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	sett.HTTP("GET /thumbnails/{name}", show)
}

// shrink makes the small picture of an object, if that is still the one that was uploaded, and a picture.
func shrink(ctx context.Context, pictures blob.Bucket, key, etag string) error {
	in, err := pictures.Get(ctx, key, blob.IfMatch(etag))
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrPrecondition) {
		return nil // it is gone, or another came after it, which has an event of its own
	}
	if err != nil {
		return err
	}
	defer in.Close()
	large, format, err := decode(bufio.NewReader(in))
	if err != nil {
		slog.Warn("no picture", "key", key, "err", err) // nor will it be one next time
		return nil
	}
	out, err := pictures.Create(ctx, processed+strings.TrimPrefix(key, uploads), blob.ContentType("image/"+format))
	if err != nil {
		return err
	}
	defer out.Close()
	small := resize(large, image.Pt(800, 600))
	if format == "png" {
		err = png.Encode(out, small)
	} else {
		err = jpeg.Encode(out, small, nil)
	}
	if err != nil {
		return err
	}
	_, err = out.Commit()
	return err
}

// decode reads a JPEG or PNG that is not too large, and says which it is.
func decode(r io.Reader) (image.Image, string, error) {
	var head bytes.Buffer
	about, _, err := image.DecodeConfig(io.TeeReader(r, &head))
	if err != nil {
		return nil, "", err
	}
	if pixels := int64(about.Width) * int64(about.Height); pixels > maxPixels {
		return nil, "", fmt.Errorf("it has %d pixels, at most %d are read", pixels, maxPixels)
	}
	return image.Decode(io.MultiReader(&head, r))
}

// show answers a small picture.
func show(w sett.ResponseWriter, r *sett.Request) {
	in, err := blob.Bucket("pictures").Get(r.Context(), processed+r.PathValue("name"))
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrNoBucket) {
		w.WriteHeader(404)
		return
	}
	if err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	defer in.Close()
	w.Header().Set("Content-Type", in.Info.About.Headers.ContentType)
	if _, err := io.Copy(w, in); err != nil {
		panic(err)
	}
}

func main() {}

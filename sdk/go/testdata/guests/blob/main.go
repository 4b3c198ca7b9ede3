// Command blob puts, reads, lists, copies and deletes objects.
package main

import (
	"errors"
	"io"
	"strconv"
	"strings"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/blob"
	"github.com/sett-run/sett/sdk/go/kv"
)

const pics = blob.Bucket("pics")

func init() {
	sett.HTTP("PUT /{key...}", func(w sett.ResponseWriter, r *sett.Request) {
		info, err := pics.Put(r.Context(), r.PathValue("key"), strings.NewReader(string(r.Body)), blob.ContentType("text/plain"), blob.IfAbsent)
		answer(w, info.ETag, err)
	})
	sett.HTTP("GET /{key...}", func(w sett.ResponseWriter, r *sett.Request) {
		o, err := pics.Get(r.Context(), r.PathValue("key"), blob.Range(2, 0))
		if err != nil {
			answer(w, "", err)
			return
		}
		defer o.Close()
		body, err := io.ReadAll(o)
		answer(w, o.Info.About.Headers.ContentType+" "+string(body), err)
	})
	// The body doubles, from a stream into a stream, and is larger than the function.
	sett.HTTP("POST /grow/{times}", func(w sett.ResponseWriter, r *sett.Request) {
		times, _ := strconv.Atoi(r.PathValue("times"))
		out, err := pics.Create(r.Context(), "large")
		if err != nil {
			answer(w, "", err)
			return
		}
		defer out.Close()
		for range times {
			_, more := out.Write(r.Body)
			err = errors.Join(err, more)
		}
		info, more := out.Commit()
		in, last := pics.Get(r.Context(), "large")
		if err = errors.Join(err, more, last); err != nil {
			answer(w, "", err)
			return
		}
		n, err := io.Copy(io.Discard, in)
		answer(w, strconv.FormatInt(info.Size, 10)+" "+strconv.FormatInt(n, 10), err)
	})
	sett.HTTP("POST /list", func(w sett.ResponseWriter, r *sett.Request) {
		text := ""
		var err error
		for e, more := range pics.List(r.Context(), "", blob.Delimiter("/")) {
			err = errors.Join(err, more)
			text += e.Key + e.Prefix + " "
		}
		answer(w, text, err)
	})
	sett.HTTP("POST /move", func(w sett.ResponseWriter, r *sett.Request) {
		info, err := pics.Copy(r.Context(), "b", blob.Source{Bucket: pics, Key: "a"}, blob.Metadata{"of": "a"})
		err = errors.Join(err, pics.Delete(r.Context(), "a"))
		_, gone := pics.Head(r.Context(), "a")
		answer(w, info.Key+" "+info.About.Metadata["of"]+" "+strconv.FormatBool(errors.Is(gone, blob.ErrNotFound)), err)
	})
	// A transactional invocation sees what it does, and nobody else before it has succeeded.
	sett.HTTP("POST /transact/{end}", func(w sett.ResponseWriter, r *sett.Request) {
		_, err := pics.Put(r.Context(), "t", strings.NewReader(string(r.Body)))
		_, more := kv.Incr(r.Context(), "n", 1)
		err = errors.Join(err, more, pics.Delete(r.Context(), "b"))
		_, gone := pics.Head(r.Context(), "b")
		o, more := pics.Get(r.Context(), "t")
		if err = errors.Join(err, more); err != nil {
			answer(w, "", err)
			return
		}
		body, err := io.ReadAll(o)
		text := string(body) + " " + strconv.FormatBool(errors.Is(gone, blob.ErrNotFound))
		for e := range pics.List(r.Context(), "") {
			text += " " + e.Key
		}
		if r.PathValue("end") == "panic" {
			panic(text)
		}
		answer(w, text, err)
	})
	// What is put half when the handler returns is never there.
	sett.HTTP("POST /half", func(w sett.ResponseWriter, r *sett.Request) {
		out, err := pics.Create(r.Context(), "half")
		if err == nil {
			_, err = out.ReadFrom(strings.NewReader(strings.Repeat("x", 1<<20)))
		}
		answer(w, "", err)
	})
	sett.HTTP("POST /many", func(w sett.ResponseWriter, r *sett.Request) {
		for {
			if _, err := pics.Head(r.Context(), "b"); err != nil {
				answer(w, "", err)
				return
			}
		}
	})
}

func answer(w sett.ResponseWriter, text string, err error) {
	if err != nil {
		text += err.Error()
	}
	w.WriteString(text)
}

func main() {}

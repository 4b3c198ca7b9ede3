package blob_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/blob"
	"github.com/sett-run/sett/sdk/go/settest"
)

// The code of docs/OBJECTS.md, which TestDocumentedCode finds here.

// upload keeps a request's body as an object, unless there is one already.
func upload(w sett.ResponseWriter, r *sett.Request) {
	info, err := blob.Bucket("pics").Put(r.Context(), r.PathValue("name"), strings.NewReader(string(r.Body)),
		blob.ContentType(r.Header("Content-Type")), blob.Metadata{"from": r.Remote}, blob.IfAbsent)
	switch {
	case errors.Is(err, blob.ErrPrecondition):
		w.WriteHeader(409)
	case err != nil:
		panic(err) // 502; the reason is in the function's log
	default:
		w.Header().Set("ETag", `"`+info.ETag+`"`)
		w.WriteHeader(201)
	}
}

// shout writes an object that is another one in upper case, line by line: neither has to fit into memory.
func shout(ctx context.Context, key string) error {
	pics := blob.Bucket("pics")
	in, err := pics.Get(ctx, key)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := pics.Create(ctx, "loud/"+key, blob.ContentType("text/plain"))
	if err != nil {
		return err
	}
	defer out.Close() // without a Commit nothing is left
	for lines := bufio.NewScanner(in); ; {
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return err
			}
			break
		}
		io.WriteString(out, strings.ToUpper(lines.Text())+"\n")
	}
	_, err = out.Commit() // an error of a write is answered here, too
	return err
}

func clear(ctx context.Context, pics blob.Bucket) error {
	for e, err := range pics.List(ctx, "", blob.Delimiter("/")) {
		if err != nil {
			return err
		}
		if e.Prefix == "" && e.Size == 0 {
			if err := pics.Delete(ctx, e.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

func init() {
	sett.HTTP("PUT /pics/{name}", upload)
}

func TestUpload(t *testing.T) {
	settest.Buckets(t, "pics")
	r := settest.Do(t, settest.Request{Method: "PUT", Target: "/pics/cat", Body: "meow"})
	if r.Status != 201 {
		t.Errorf("status %d, want 201", r.Status)
	}
	info, err := blob.Bucket("pics").Head(settest.Context(t), "cat")
	if err != nil || info.Size != 4 {
		t.Errorf("cat is %+v, %v", info, err)
	}
}

func TestExamples(t *testing.T) {
	settest.Buckets(t, "pics")
	ctx := settest.Context(t)
	for _, want := range []int{201, 409} {
		r := settest.Do(t, settest.Request{Method: "PUT", Target: "/pics/cat", Body: "meow\npurr", Headers: []settest.Header{{Name: "Content-Type", Value: "text/plain"}}})
		if r.Status != want {
			t.Errorf("status %d, want %d", r.Status, want)
		}
	}
	if err := shout(ctx, "cat"); err != nil {
		t.Fatal(err)
	}
	if got := get(t, ctx, "loud/cat"); got != "MEOW\nPURR\n" {
		t.Errorf("loud/cat = %q", got)
	}
	if err := shout(ctx, "dog"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("shout of nothing = %v", err)
	}
	put(t, ctx, "empty", "")
	put(t, ctx, "loud/empty", "")
	if err := clear(ctx, pics); err != nil {
		t.Fatal(err)
	}
	_, gone := pics.Head(ctx, "empty")
	_, kept := pics.Head(ctx, "loud/empty")
	if !errors.Is(gone, blob.ErrNotFound) || kept != nil {
		t.Errorf("after clear: %v, %v", gone, kept)
	}
}

// TestDocumentedCode: the Go code of docs/OBJECTS.md is in this file, and so it compiles and runs.
func TestDocumentedCode(t *testing.T) {
	code, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../../docs/OBJECTS.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Error("docs/OBJECTS.md has no Go code")
	}
	for _, b := range blocks {
		if !strings.Contains(string(code), b[1]) {
			t.Errorf("no test has this code of docs/OBJECTS.md:\n%s", b[1])
		}
	}
}

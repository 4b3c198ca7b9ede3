package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// gathering runs gather in a bubble.
func gathering(t *testing.T) (paths chan string, changes chan change) {
	paths, changes = make(chan string), make(chan change)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { gather(ctx, paths, changes) })
	t.Cleanup(func() { stop(); group.Wait() })
	return paths, changes
}

func TestDevGathersUntilQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paths, changes := gathering(t)
		start := time.Now()
		for _, path := range []string{"a", "b", "a"} {
			paths <- path
			time.Sleep(quietTime - time.Millisecond)
		}
		c := <-changes
		if got := slices.Sorted(maps.Keys(c.paths)); !slices.Equal(got, []string{"a", "b"}) || !c.first.Equal(start) {
			t.Errorf("change = %q of %v, want a and b of %v", got, c.first, start)
		}
		if took, want := time.Since(start), 2*(quietTime-time.Millisecond)+quietTime; took != want {
			t.Errorf("change came after %v, want %v", took, want)
		}
	})
}

func TestDevGathersNotForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paths, changes := gathering(t)
		start := time.Now()
		tick := time.NewTicker(quietTime / 2)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				paths <- fmt.Sprint(n)
			case <-changes:
				// The first path comes with the first tick.
				if took, want := time.Since(start), gatherTime+quietTime/2; took != want {
					t.Errorf("change came after %v, want %v", took, want)
				}
				return
			}
		}
	})
}

// What changes while a build runs is one change behind it.
func TestDevGathersWhileNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paths, changes := gathering(t)
		for n := range 3 {
			paths <- fmt.Sprint(n)
			time.Sleep(time.Minute)
		}
		if c := <-changes; len(c.paths) != 3 {
			t.Errorf("change = %v, want three paths", c.paths)
		}
		select {
		case c := <-changes:
			t.Errorf("one more change: %v", c.paths)
		case <-time.After(time.Minute):
		}
	})
}

func TestDevTouched(t *testing.T) {
	source := &devModule{module: module{source: "./a", language: goLanguage}, packages: []goPackage{{Dir: "/p/a"}, {Dir: "/p/pages", EmbedPatterns: []string{"html"}}}}
	ready := &devModule{module: module{file: "x.wasm"}, path: "/p/x.wasm"}
	script := &devModule{module: module{source: "./js/main.js", language: jsLanguage}, path: "/p/js/main.js"}
	for path, want := range map[string]bool{
		everything: true, "/p/js/main.js": true, "/p/js/lib/x.mjs": true, "/p/js/data.json": true, "/p/js/README.md": false,
		"/p/x.js": false, "/p/js2/x.js": false, "/p/js/x.wasm": false,
	} {
		if got := script.touched(change{paths: map[string]bool{path: true}}); got != want {
			t.Errorf("module in JavaScript touched by %q = %v, want %v", path, got, want)
		}
	}
	for path, want := range map[string]struct{ source, ready bool }{
		everything:            {true, true},
		"/p/go.mod":           {true, false},
		"/p/sdk/go.sum":       {true, false},
		"/p/a/main.go":        {true, false},
		"/p/a/x.s":            {true, false},
		"/p/a/main_test.go":   {false, false},
		"/p/a/README.md":      {false, false},
		"/p/a/inner/x.go":     {false, false},
		"/p/b/main.go":        {false, false},
		"/p/pages/html/i.css": {true, false},
		"/p/pages2/html":      {false, false},
		"/p/x.wasm":           {false, true},
		"/p/a/x.wasm":         {false, false},
	} {
		c := change{paths: map[string]bool{path: true}}
		if got := source.touched(c); got != want.source {
			t.Errorf("module of source touched by %q = %v, want %v", path, got, want.source)
		}
		if got := ready.touched(c); got != want.ready {
			t.Errorf("module as it is touched by %q = %v, want %v", path, got, want.ready)
		}
	}
}

// watching runs a watcher and answers where it sends what changes.
func watching(t *testing.T, root string) (*watcher, <-chan string) {
	t.Helper()
	w, err := watchTree(root)
	if err != nil {
		t.Fatal(err)
	}
	paths := make(chan string)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := w.run(ctx, paths); err != nil {
			t.Errorf("run = %v", err)
		}
	})
	t.Cleanup(func() { stop(); group.Wait(); w.close() })
	return w, paths
}

// sees reads what changes until it is path.
func sees(t *testing.T, paths <-chan string, path string) {
	t.Helper()
	for got := range paths {
		if ignored(filepath.Base(got)) {
			t.Errorf("change of %s was told", got)
		}
		if got == path {
			return
		}
	}
}

func TestDevWatches(t *testing.T) {
	root, err := whole(tree(t, "a/x.go", ".git/HEAD", "node_modules/m/x.js"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(at(from), at(to)); err != nil {
			t.Fatal(err)
		}
	}
	w, paths := watching(t, root)
	if len(w.all) != 2 {
		t.Errorf("%d folders are watched, want the root and a: %v", len(w.all), w.all)
	}
	write(".git/HEAD")
	write("node_modules/m/x.js")
	write("a/.x.go.swp")
	write("a/x.go")
	sees(t, paths, at("a/x.go"))

	// A folder that is new is watched, with what is in it already.
	outside := tree(t, "deep/er/y.go")
	if err := os.Rename(filepath.Join(outside, "deep"), at("deep")); err != nil {
		t.Fatal(err)
	}
	sees(t, paths, at("deep/er/y.go"))
	write("deep/er/z.go")
	sees(t, paths, at("deep/er/z.go"))

	// One that moves is watched where it is then.
	move("deep", "b")
	sees(t, paths, at("b/er/z.go"))
	write("b/er/w.go")
	sees(t, paths, at("b/er/w.go"))

	// Editors write beside a file and move.
	write("a/x.go~")
	move("a/x.go~", "a/x.go")
	sees(t, paths, at("a/x.go"))
	if err := os.RemoveAll(at("b")); err != nil {
		t.Fatal(err)
	}
	sees(t, paths, at("b"))
}

func TestDevEndsWithItsFolder(t *testing.T) {
	root, err := whole(tree(t, "a/x.go"))
	if err != nil {
		t.Fatal(err)
	}
	root = filepath.Join(root, "a")
	w, err := watchTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if err := w.run(t.Context(), make(chan string, 8)); abi.CodeOf(err) != abi.NotFound || !strings.Contains(err.Error(), "the folder is gone") {
		t.Errorf("run = %v, want not_found: the folder is gone", err)
	}
}

func TestDevWatchesNotTooMuch(t *testing.T) {
	root := t.TempDir()
	for n := range maxFolders {
		if err := os.Mkdir(filepath.Join(root, fmt.Sprint(n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w, err := watchTree(root)
	if err == nil {
		w.close()
		t.Fatalf("a tree of %d folders is watched, want an error", maxFolders+1)
	}
	if want := fmt.Sprintf("there are more than %d folders", maxFolders); abi.CodeOf(err) != abi.TooLarge || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want too_large: %s", err, want)
	}
}

func TestDevHidesItsFolder(t *testing.T) {
	root := t.TempDir()
	name := filepath.Join(root, settDir, ".gitignore")
	for range 2 {
		if err := hideSettDir(root); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(name); err != nil || !strings.Contains(string(text), "*\n") || !strings.Contains(string(text), "!/sdk/\n") {
		t.Errorf(".gitignore = %q, %v, want all but the SDK", text, err)
	}
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := hideSettDir(root); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(name); string(text) != "mine" {
		t.Errorf(".gitignore = %q, want the one that was there", text)
	}
}

// logNode is a node whose log breaks off after every line.
type logNode struct {
	start time.Time
	asked chan string // the since of each request
}

func (n logNode) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case n.asked <- r.URL.Query().Get("since"):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	line := fmt.Sprintf(`{"time":%q,"function":"f","version":1,"stream":"stdout","message":"hello"}`+"\n", n.start.Add(time.Hour).Format(time.RFC3339Nano))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(line)), Request: r}, nil
}

func TestDevFollowsALogThatBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := logNode{time.Now().UTC(), make(chan string)}
		var out bytes.Buffer
		d := &dev{cli: &cli{out: &out, format: formatTable}, client: client.NewOver("node", n)}
		f := d.follow("shop")
		if got, want := <-n.asked, n.start.Format(time.RFC3339Nano); got != want {
			t.Errorf("lines are asked for since %s, want %s", got, want)
		}
		if got, want := <-n.asked, n.start.Add(time.Hour+time.Nanosecond).Format(time.RFC3339Nano); got != want {
			t.Errorf("lines are asked for again since %s, want %s", got, want)
		}
		if took := time.Since(n.start); took != logPause {
			t.Errorf("the log is asked for again after %v, want %v", took, logPause)
		}
		f.end()
		if !strings.Contains(out.String(), "f v1 - stdout   hello\n") {
			t.Errorf("printed %q, want the line", out.String())
		}
	})
}

func TestDevSummary(t *testing.T) {
	a := client.Deployed{Function: "a", Version: 4, Digest: "1", CompileMS: 90}
	b := client.Deployed{Function: "b", Version: 2, Digest: "1", CompileMS: 90}
	old := client.Deployed{Function: "c", Version: 7, Unchanged: true}
	for want, r := range map[string]redeployed{
		"deployed a v4, b v2, compile 90 ms":      {Functions: []client.Deployed{a, b, old}},
		"deployed a v4, x removed, compile 90 ms": {Functions: []client.Deployed{a}, Removed: []string{"x"}},
		"serving c v7": {Functions: []client.Deployed{old}},
	} {
		if got := r.summary() + r.compiled(); got != want {
			t.Errorf("summary and compiled = %q, want %q", got, want)
		}
	}
}

func TestDevSharesATerminal(t *testing.T) {
	var both bytes.Buffer
	out, err := shared(&both, &both)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() { fmt.Fprintln([]io.Writer{out, err}[n%2], "line") })
	}
	group.Wait()
	if want := strings.Repeat("line\n", 8); both.String() != want {
		t.Errorf("written = %q, want %q", both.String(), want)
	}
}

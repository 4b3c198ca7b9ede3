package sdk

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestSourcesHoldsWhatAGuestNeeds(t *testing.T) {
	tree := Sources()
	var names []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"go.mod", "kv/op/op.go", "sdk/abi/abi.go", "sdk/go/sett.go", "sdk/go/guest_wasip1.go",
		"sdk/go/internal/host/host_wasip1.go", "sdk/go/log/log.go", "sdk/go/nethttp/nethttp.go", "sdk/go/settest/settest.go"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata") || strings.HasSuffix(name, "source.go") {
			t.Errorf("%s is in it", name)
		}
	}
}

func TestSourcesHasOurGoLine(t *testing.T) {
	own, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^go \S+$`)
	if got, want := line.FindString(goMod), line.FindString(string(own)); got != want {
		t.Errorf("the SDK's go.mod says %q, ours %q", got, want)
	}
}

// project is what a person has after "sett new".
var project = map[string]string{
	"go.mod": "module example.com/hello\n\ngo 1.26.0\n\nrequire github.com/sett-run/sett v0.0.0\n\n" +
		"replace github.com/sett-run/sett => ./.sett/sdk\n",
	"main.go": `package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/log"
	"github.com/sett-run/sett/sdk/go/nethttp"
)

func init() {
	slog.SetDefault(slog.New(log.NewHandler(nil)))
	sett.HTTP("/hello", func(w sett.ResponseWriter, r *sett.Request) { slog.Info("hi"); w.WriteString("hello") })
	sett.Handle("len", func(_ context.Context, s string) (int, error) { return len(s), nil })
	nethttp.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "all") }))
}

func main() {}
`,
	"main_test.go": `package main

import (
	"testing"

	"github.com/sett-run/sett/sdk/go/settest"
)

func TestHello(t *testing.T) {
	if r := settest.Get(t, "/hello"); string(r.Body) != "hello" || len(r.Logs) != 1 {
		t.Errorf("%q %v", r.Body, r.Logs)
	}
}
`,
}

// TestProjectBuildsOffline builds and tests a project from nothing but Sources and the Go toolchain.
func TestProjectBuildsOffline(t *testing.T) {
	if testing.Short() || os.Getenv("SETT_TEST_ALL") == "" {
		t.Skip("builds and tests a project; SETT_TEST_ALL=1 has it run")
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, ".sett", "sdk"), Sources()); err != nil {
		t.Fatal(err)
	}
	for name, text := range project {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golang := func(env []string, args ...string) {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOTOOLCHAIN=local", "GOWORK=off")
		cmd.Env = append(cmd.Env, env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	wasm := []string{"GOOS=wasip1", "GOARCH=wasm"}
	golang(append(wasm, "GOFLAGS=-mod=mod"), "build", "-buildmode=c-shared", "-o", "hello.wasm", ".")
	golang(append(wasm, "GOFLAGS=-mod=readonly"), "build", "-buildmode=c-shared", "-o", "hello.wasm", ".")
	golang([]string{"GOFLAGS=-mod=mod"}, "vet", "./...")
	golang([]string{"GOFLAGS=-mod=mod"}, "test", "./...")
	if got, _ := os.ReadFile(filepath.Join(dir, "go.mod")); string(got) != project["go.mod"] {
		t.Errorf("building changed go.mod to\n%s", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.sum")); err == nil {
		t.Error("the project needs a go.sum: the SDK has dependencies")
	}
}

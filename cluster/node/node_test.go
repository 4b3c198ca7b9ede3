package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/client"
)

func start(t *testing.T, dir string) *Node {
	t.Helper()
	return startWith(t, Config{Data: dir})
}

// startWith starts a node on ports of loopback.
func startWith(t *testing.T, c Config) *Node {
	t.Helper()
	c.HTTP, c.Admin, c.Cluster = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	n, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(context.Background()) })
	return n
}

func deploy(t *testing.T, n *Node, name string, module []byte) client.Deployed {
	t.Helper()
	d, err := deployTo(t.Context(), n, name, module)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// deployTo deploys as the command line does, over the admin plane.
func deployTo(ctx context.Context, n *Node, name string, module []byte) (client.Deployed, error) {
	return deployFunction(ctx, n, module, client.DeployFunction{Name: name})
}

func deployFunction(ctx context.Context, n *Node, module []byte, f client.DeployFunction) (d client.Deployed, err error) {
	c, err := client.New("http://"+n.AdminAddr(), "")
	if err != nil {
		return d, err
	}
	defer c.Close()
	sum := sha256.Sum256(module)
	f.Digest = hex.EncodeToString(sum[:])
	if _, err := c.UploadModule(ctx, client.Upload{Digest: f.Digest, SizeBytes: int64(len(module)), Body: bytes.NewReader(module)}); err != nil {
		return d, err
	}
	done, err := c.Deploy(ctx, "default", client.DeployRequest{Functions: []client.DeployFunction{f}})
	if err != nil {
		return d, err
	}
	return done.Functions[0], nil
}

func get(t *testing.T, n *Node, path string) string {
	t.Helper()
	r, err := http.Get("http://" + n.HTTPAddr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.Status + " " + string(body)
}

func TestFunctionsAnswerAndSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := start(t, dir)
	if got := deploy(t, n, "hello", wasmtest.Answer("one")); got.Version != 1 {
		t.Errorf("first deployment made version %d, want 1", got.Version)
	}
	if got, want := get(t, n, "/hello"), "200 OK one"; got != want {
		t.Errorf("GET /hello = %q, want %q", got, want)
	}
	if got := deploy(t, n, "hello", wasmtest.Answer("two")); got.Version != 2 {
		t.Errorf("second deployment made version %d, want 2", got.Version)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	again := start(t, dir)
	if got, want := get(t, again, "/hello/below"), "200 OK two"; got != want {
		t.Errorf("GET /hello/below after a restart = %q, want %q", got, want)
	}
	if again.ID() != n.ID() {
		t.Errorf("id after a restart = %s, want %s", again.ID(), n.ID())
	}
}

func TestRequestsSeeAWholeVersionWhileDeploying(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	modules := [][]byte{wasmtest.Answer("odd"), wasmtest.Answer("even")}
	deploy(t, n, "hello", modules[0])
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := get(t, n, "/hello"); got != "200 OK odd" && got != "200 OK even" {
					t.Errorf("GET /hello while deploying = %q", got)
					return
				}
			}
		})
	}
	for i := range 20 {
		deploy(t, n, "hello", modules[(i+1)%2])
		if got, want := get(t, n, "/hello"), "200 OK "+[]string{"odd", "even"}[(i+1)%2]; got != want {
			t.Errorf("GET /hello after deployment %d = %q, want %q", i, got, want)
		}
	}
	close(stop)
	clients.Wait()
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no directory":        {Config{}, "data: no directory given"},
		"addresses":           {Config{Data: "x", HTTP: "8080", Admin: "nonsense"}, `http: address "8080": want HOST:PORT`},
		"name":                {Config{Data: "x", Name: "No Good"}, "No Good"},
		"port in use":         {Config{Data: t.TempDir(), HTTP: taken.Addr().String()}, "port in use by another process; choose another with --http"},
		"directory a file":    {Config{Data: file}, "not a directory"},
		"admin without token": {Config{Data: t.TempDir(), Admin: "0.0.0.0:0"}, "there is no token yet: add --print-token"},
	} {
		t.Run(name, func(t *testing.T) {
			c, want := c.config, c.want
			for _, a := range []*string{&c.HTTP, &c.Admin, &c.Cluster} {
				if *a == "" {
					*a = "127.0.0.1:0"
				}
			}
			n, err := Start(t.Context(), c)
			if err == nil {
				n.Close(context.Background())
				t.Fatal("started, want an error")
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error = %q, want it to hold %q", err, want)
			}
		})
	}
}

func TestCloseDrains(t *testing.T) {
	// Fasthttp keeps a clock for the process, and its pool of workers sleeps up to ten seconds past its end.
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
	n := start(t, t.TempDir())
	if err := n.Ready(); err != nil {
		t.Errorf("ready after start: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(); err == nil || !strings.Contains(err.Error(), "draining") {
		t.Errorf("ready after close = %v, want draining", err)
	}
	if _, err := net.Dial("tcp", n.HTTPAddr()); err == nil {
		t.Error("the data plane still accepts")
	}
	if err := n.Close(ctx); err != nil {
		t.Errorf("second close: %v", err)
	}
}

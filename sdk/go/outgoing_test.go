package sett

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// TestFetchGuestsRun sends requests from modules built by the Go toolchain, with and without net/http's client.
func TestFetchGuestsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	client, err := host.NewClient(host.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Pong", "pong:")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, "%s %s", r.Method, body)
	}))
	defer s.Close()
	address := s.Listener.Addr().String()
	for guest, away := range map[string]string{"fetch": "303 ", "fetchhttp": "202 pong:GET "} {
		if guest == "fetchhttp" && os.Getenv("SETT_TEST_ALL") == "" {
			continue // net/http takes the processor seven seconds to compile
		}
		r, v, sink := deployedIn(t, runtime.Config{Fetcher: client}, guest, "c-shared")
		ask := func(v *registry.Version, u string) string {
			got, err := r.Invoke(context.Background(), v, request("POST", "/", u))
			if err != nil {
				t.Fatalf("%s: %v, log %q", guest, err, sink.take())
			}
			return fmt.Sprintf("%d %s", got.Status, got.Body)
		}
		if got := ask(v, s.URL); !strings.HasPrefix(got, "502 ") || !strings.Contains(got, "the function may not call this address") {
			t.Errorf("%s without egress = %q, want an error", guest, got)
		}
		v.Settings.Egress = []string{address}
		for path, want := range map[string]string{"": "202 pong:POST ping", "/away": away} {
			if got := ask(v, s.URL+path); got != want {
				t.Errorf("%s of %s = %q, want %q", guest, path, got, want)
			}
		}
	}
}

// self is an Invoker for which every function is the same version.
type self struct {
	runtime *runtime.Runtime
	version *registry.Version
	queued  []host.Invocation
}

func (s *self) Invoke(ctx context.Context, i host.Invocation) (*abi.Result, error) {
	if i.Function != "users" {
		return nil, abi.WithCode(abi.NotFound, fmt.Errorf("no function %s", i.Function))
	}
	return s.runtime.Invoke(ctx, s.version, i.Event)
}

func (s *self) Enqueue(_ context.Context, i host.Invocation) (string, error) {
	s.queued = append(s.queued, i)
	return "01JQ", nil
}

// TestInvokeGuestRuns runs a function that invokes itself without end.
func TestInvokeGuestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	s := &self{}
	r, v, sink := deployedIn(t, runtime.Config{Invoker: s}, "invoke", "c-shared")
	s.runtime, s.version = r, v
	for _, tt := range []struct {
		path string
		want string
	}{
		{"/sync", strings.Repeat("x", abi.MaxDepth) + "invoke users: functions invoke one another too deep: 16 at most, do they invoke one another without end?"},
		{"/async", "01JQ"},
	} {
		got, err := r.Invoke(context.Background(), v, request("POST", tt.path, "payload"))
		if err != nil || string(got.Body) != tt.want {
			t.Errorf("%s = %q, %v, want %q, log %q", tt.path, got.Body, err, tt.want, sink.take())
		}
	}
	if len(s.queued) != 1 || s.queued[0].Function != "users" || string(s.queued[0].Event.Body) != "payload" || s.queued[0].Event.Depth != 1 {
		t.Errorf("queued %+v, want users with its payload at depth 1", s.queued)
	}
}

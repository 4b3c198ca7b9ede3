//go:build !wasip1

package settest

import (
	"context"
	"sync"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/fetch"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

var (
	worldsMu sync.Mutex // guards worlds
	worlds   = map[testing.TB]host.World{}
)

func world(t testing.TB) host.World {
	worldsMu.Lock()
	defer worldsMu.Unlock()
	return worlds[t]
}

// change changes the world of a test, which lasts as long as the test.
func change(t testing.TB, f func(*host.World)) {
	worldsMu.Lock()
	defer worldsMu.Unlock()
	w, ok := worlds[t]
	if f(&w); !ok {
		t.Cleanup(func() {
			worldsMu.Lock()
			defer worldsMu.Unlock()
			delete(worlds, t)
		})
	}
	worlds[t] = w
}

// Fetches has f answer what handlers fetch with package fetch or fetchhttp in this test, instead of the network. Without
// it they get fetch.ErrUnsupported. F may be called by several goroutines.
//
//	settest.Fetches(t, func(_ context.Context, r fetch.Request) (*fetch.Response, error) {
//		if r.URL != "https://api.example.com/rates" {
//			return nil, fetch.ErrDenied
//		}
//		return &fetch.Response{Status: 200, Body: []byte(`{"EUR":1.1}`)}, nil
//	})
func Fetches(t testing.TB, f func(ctx context.Context, r fetch.Request) (*fetch.Response, error)) {
	change(t, func(w *host.World) {
		w.Fetch = func(ctx context.Context, r *abi.FetchRequest) (*abi.Reply, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			response, err := f(ctx, fetch.Request{Method: r.Method, URL: r.URL, Headers: r.Headers, Body: r.Body})
			if err != nil {
				return nil, err
			}
			return &abi.Reply{Status: response.Status, Headers: response.Headers, Body: response.Body}, nil
		}
	})
}

// Invocation is one that a handler asks for with package invoke.
type Invocation struct {
	Function  string
	Qualifier string // alias or version; empty: none was given
	Async     bool
	Payload   []byte
}

// Invocations has f answer what handlers invoke in this test, instead of other functions. Without it they get
// invoke.ErrUnsupported. Of an asynchronous invocation the result is its id. An error of f is the handler's, as it is:
// one that wraps invoke.ErrFailed is that of a function that fails. F may be called by several goroutines.
func Invocations(t testing.TB, f func(ctx context.Context, i Invocation) ([]byte, error)) {
	change(t, func(w *host.World) {
		w.Invoke = func(ctx context.Context, r *abi.InvokeRequest) (*abi.Reply, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			result, err := f(ctx, Invocation{r.Function, r.Qualifier, r.Async, r.Payload})
			switch {
			case err != nil:
				return nil, err
			case r.Async:
				return &abi.Reply{Status: 202, Headers: []Header{{Name: "Sett-Invocation-Id", Value: string(result)}}}, nil
			}
			return &abi.Reply{Status: 200, Body: result}, nil
		}
	})
}

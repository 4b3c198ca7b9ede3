package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/benchmarks/work/answer"
)

// Kinds are all servers that can be started: the first is the ceiling, which others are compared with.
func Kinds() []Kind {
	kinds := []Kind{
		{Name: Ceiling, Works: all(), State: "memory", How: "fasthttp, the works in Go in the same process"},
		{Name: "net/http", Works: all(), State: "memory", How: "net/http, the works in Go in the same process"},
		nginx(),
	}
	kinds = slices.Concat(kinds, setts(), wasmtimes())
	return append(kinds,
		naive(naiveNew, "a new instance for each request"),
		naive(naiveDirty, "instances that are not reset"),
		nodeJS(), deno(), bun(), workerd(), workerdWasm(),
	)
}

// all are the names of all works.
func all() []string { return []string{"hello", "json", "sha256", "kv"} }

// Ceiling is the name of the server that does nothing but the work.
const Ceiling = "fasthttp"

// Find answers the kind of this name.
func Find(name string) (Kind, error) {
	var names []string
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kind{}, fmt.Errorf("no server %q; there are %s", name, strings.Join(names, ", "))
}

// Choose answers the kinds of these names, all for none, in the order of Kinds.
func Choose(names ...string) (chosen []Kind, err error) {
	for _, name := range names {
		if _, err := Find(name); err != nil {
			return nil, err
		}
	}
	for _, k := range Kinds() {
		if len(names) == 0 || slices.Contains(names, k.Name) {
			chosen = append(chosen, k)
		}
	}
	return chosen, nil
}

// Serve is the process of a kind without a program: it serves at the address until ctx ends.
func Serve(ctx context.Context, name, address, dir string) error {
	switch name {
	case Ceiling:
		return serveFast(ctx, address)
	case "net/http":
		return serveNetHTTP(ctx, address)
	case settGo, settRust, settJS, settSmall:
		return serveSett(ctx, name, address, dir)
	case settRouter:
		return serveRouter(ctx, address)
	case naiveNew, naiveDirty:
		return serveNaive(ctx, name, address, dir)
	}
	return fmt.Errorf("%q is no server of this program", name)
}

// counters are the state of servers that keep it in memory.
type counters struct {
	mu    sync.Mutex
	value map[string]int
}

// next reads a number and writes one larger.
func (c *counters) next(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.value == nil {
		c.value = map[string]int{}
	}
	c.value[key]++
	return strconv.Itoa(c.value[key])
}

func serveFast(ctx context.Context, address string) error {
	items, state := answer.Items(), new(counters)
	s := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(r *fasthttp.RequestCtx) {
		switch path := string(r.Path()); path {
		case "/hello":
			r.SetBodyString(answer.Hello)
		case "/json":
			body, err := answer.Inspect(string(r.Method()), items, func(name string) string { return string(r.Request.Header.Peek(name)) })
			if err != nil {
				r.Error(err.Error(), fasthttp.StatusInternalServerError)
				return
			}
			r.SetContentType("application/json")
			r.SetBody(body)
		case "/sha256":
			r.SetBodyString(answer.Digest(r.PostBody()))
		default:
			r.SetBodyString(state.next(path))
		}
	}}
	stop := context.AfterFunc(ctx, func() { s.Shutdown() }) //nolint:errcheck // the process ends
	defer stop()
	return s.ListenAndServe(address)
}

func serveNetHTTP(ctx context.Context, address string) error {
	items, state := answer.Items(), new(counters)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer.Hello) })
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, r *http.Request) {
		body, err := answer.Inspect(r.Method, items, r.Header.Get)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body) //nolint:errcheck // the client is gone
	})
	mux.HandleFunc("POST /sha256", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, answer.Digest(body))
	})
	mux.HandleFunc("POST /kv/{key}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, state.next(r.PathValue("key"))) })
	s := &http.Server{Addr: address, Handler: mux, BaseContext: func(net.Listener) context.Context { return ctx }} //nolint:gosec // loopback
	stop := context.AfterFunc(ctx, func() { s.Close() })                                                           //nolint:errcheck // the process ends
	defer stop()
	return s.ListenAndServe()
}

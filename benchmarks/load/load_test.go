package load

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/benchmarks/work"
	"github.com/sett-run/sett/benchmarks/work/answer"
)

// serve runs a handler until the test ends.
func serve(t *testing.T, handler fasthttp.RequestHandler) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: handler}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func find(t *testing.T, name string) work.Work {
	t.Helper()
	w, err := work.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestClosed(t *testing.T) {
	var served atomic.Int64
	address := serve(t, func(ctx *fasthttp.RequestCtx) { served.Add(1); ctx.WriteString(answer.Hello) }) //nolint:errcheck // it is kept
	r, err := Run(t.Context(), Plan{Address: address, Work: find(t, "hello"), Connections: 3, Length: 50 * time.Millisecond})
	if err != nil || r.Err() != nil {
		t.Fatal(err, r.Err())
	}
	if r.Answered < 3 || int64(r.Answered) != served.Load() || r.Latency.TotalCount() != int64(r.Answered) {
		t.Errorf("%d answered, %d served, %d latencies", r.Answered, served.Load(), r.Latency.TotalCount())
	}
	late, err := Run(t.Context(), Plan{Address: address, Work: find(t, "hello"), Connections: 3, Length: 1})
	if err != nil || late.Answered != 3 {
		t.Errorf("%d answered, %v, want one of each connection although the time was over", late.Answered, err)
	}
}

// TestRequests: so many are sent by all connections together, and what they took of the server's time is told.
func TestRequests(t *testing.T) {
	address := serve(t, func(ctx *fasthttp.RequestCtx) { ctx.WriteString(answer.Hello) }) //nolint:errcheck // it is kept
	used := time.Duration(0)
	r, err := Run(t.Context(), Plan{Address: address, Work: find(t, "hello"), Connections: 3, Requests: 20, CPU: func() (time.Duration, error) {
		used += time.Millisecond
		return used, nil
	}})
	if err != nil || r.Err() != nil {
		t.Fatal(err, r.Err())
	}
	if r.Answered != 20 || r.CPUPerRequest() != 50 {
		t.Errorf("%d answered, %v us each, want 20 and 50", r.Answered, r.CPUPerRequest())
	}
	wrong := errors.New("no such process")
	if _, err := Run(t.Context(), Plan{Address: address, Work: find(t, "hello"), Connections: 1, Requests: 1, CPU: func() (time.Duration, error) { return 0, wrong }}); !errors.Is(err, wrong) {
		t.Errorf("Run = %v, want %v", err, wrong)
	}
}

// TestStall: one connection at 100 requests a second meets a server that stalls for 200 ms once. What came due
// meanwhile waited, too, which a client that asks when it is answered would not tell.
func TestStall(t *testing.T) {
	var served atomic.Int64
	address := serve(t, func(ctx *fasthttp.RequestCtx) {
		if served.Add(1) == 5 {
			time.Sleep(200 * time.Millisecond)
		}
		ctx.WriteString(answer.Hello) //nolint:errcheck // it is kept
	})
	r, err := Run(t.Context(), Plan{Address: address, Work: find(t, "hello"), Connections: 1, Rate: 100, Length: 400 * time.Millisecond})
	if err != nil || r.Err() != nil {
		t.Fatal(err, r.Err())
	}
	if r.Answered != 40 {
		t.Errorf("%d answered, want all 40 that came due", r.Answered)
	}
	if got := r.Latency.ValueAtQuantile(75); got < (90 * time.Millisecond).Nanoseconds() {
		t.Errorf("a quarter took %v or more, want at least 90 ms: 20 were due while it stalled", time.Duration(got))
	}
}

func TestFailures(t *testing.T) {
	address := serve(t, func(ctx *fasthttp.RequestCtx) { ctx.Error("full", fasthttp.StatusServiceUnavailable) })
	plan := Plan{Address: address, Work: find(t, "hello"), Connections: 2, Length: 20 * time.Millisecond}
	r, err := Run(t.Context(), plan)
	if err != nil || r.Failed != r.Answered || r.Err() == nil || !strings.Contains(r.Err().Error(), "status 503: full") {
		t.Errorf("%v, %v, want all to fail with status 503", err, r.Err())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, plan); err == nil {
		t.Error("there is no error when ctx has ended")
	}
}

// TestGone: a server that ends in the middle is a failure that is told.
func TestGone(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := l.Accept()
		l.Close()
		if err == nil {
			conn.Close()
		}
	}()
	r, err := Run(t.Context(), Plan{Address: l.Addr().String(), Work: find(t, "hello"), Connections: 1, Length: 50 * time.Millisecond})
	if err != nil || r.Failed != 1 || r.Err() == nil {
		t.Errorf("Run = %+v, %v, want one failure", r, err)
	}
}

func TestChecks(t *testing.T) {
	for _, w := range work.All() {
		for _, body := range []string{"", "nonsense", "{}", "0"} {
			if w.Check([]byte(body)) == nil {
				t.Errorf("%s: %q is taken for a reply", w.Name, body)
			}
		}
	}
}

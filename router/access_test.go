package router

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

func TestAccess(t *testing.T) {
	r := newRouter(t, Config{Invoker: answer("hello")}, live("f", routes("POST /f/{id}")))
	address := listen(t, r)
	long := "/f/" + strings.Repeat("x", 300)
	do(t, address, "POST", long, "body=abc")
	do(t, address, "GET", "/nothing")
	if _, err := r.Dispatch(t.Context(), Call{App: "default", Function: "f", Event: &abi.Event{Trigger: "invoke"}}); err != nil {
		t.Fatal(err)
	}
	got, next := r.Access(0, 10)
	if len(got) != 3 || next != 3 {
		t.Fatalf("Access(0, 10) = %+v, %d, want three records", got, next)
	}
	a := got[0]
	if a.Sequence != 1 || a.App != "default" || a.Function != "f" || a.Version != 1 || a.Method != "POST" || a.Path != long[:accessPathBytes] ||
		a.Status != 200 || a.RequestBytes != 3 || a.ReplyBytes != 5 || a.Start != abi.Warm || a.Trigger != "http" ||
		len(a.Invocation) != invocationIDBytes || !strings.HasPrefix(a.Remote, "127.0.0.1:") || a.Took <= 0 || time.Since(a.Time) > time.Minute {
		t.Errorf("first record = %+v", a)
	}
	if a := got[1]; a.Function != "" || a.Status != 404 || a.Code != abi.NotFound || a.Path != "/nothing" {
		t.Errorf("second record = %+v", a)
	}
	if a := got[2]; a.Function != "f" || a.Trigger != "invoke" || a.Path != "" {
		t.Errorf("third record = %+v", a)
	}
	if got, next := r.Access(1, 1); len(got) != 1 || got[0].Sequence != 2 || next != 2 {
		t.Errorf("Access(1, 1) = %+v, %d, want the second", got, next)
	}
	if got, next := r.Access(3, 10); len(got) != 0 || next != 3 {
		t.Errorf("Access(3, 10) = %+v, %d, want nothing new", got, next)
	}
}

// TestAccessKeepsNothing: another node's event is one piece of memory, up to 1 MiB of headers, which its record must not keep.
func TestAccessKeepsNothing(t *testing.T) {
	r := newRouter(t, Config{Invoker: answer("hello")}, live("f", routes("POST /f")))
	wire := []byte("queue POST /f 10.0.0.1:80 01HZZZZZZZZZZZZZZZZZZZZZZZ")
	words := strings.Fields(text(wire))
	e := abi.Event{Trigger: words[0], Method: words[1], Path: words[2], Remote: words[3], Invocation: words[4]}
	if _, err := r.Take(t.Context(), Call{App: "default", Function: "f", Event: &e}, 1); err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(wire))
	clear(wire)
	got, _ := r.Access(0, 1)
	if a := got[0]; a.Trigger != want[0] || a.Method != want[1] || a.Path != want[2] || a.Remote != want[3] || a.Invocation != want[4] {
		t.Errorf("record = %+v, want %q", a, want)
	}
}

// TestFuel checks that what an invocation took is in its record always, and in its reply where that is asked for,
// also when it failed.
func TestFuel(t *testing.T) {
	invoke := invoker(func(_ context.Context, _ *registry.Version, e *abi.Event) (*abi.Result, error) {
		result := &abi.Result{Start: abi.Warm, Fuel: 1234}
		if e.Path == "/fails" {
			return result, abi.WithCode(abi.FunctionFailed, errors.New("trap"))
		}
		return result, nil
	})
	for _, path := range []string{"/works", "/fails"} {
		for header, want := range map[bool]string{false: "", true: "1234"} {
			r := newRouter(t, Config{Invoker: invoke, FuelHeader: header}, live("f", routes("/{any}")))
			reply, _ := do(t, listen(t, r), "GET", path)
			if got := reply.Header.Get(headerFuel); got != want {
				t.Errorf("%s with FuelHeader %v: %s = %q, want %q", path, header, headerFuel, got, want)
			}
			if got, _ := r.Access(0, 1); len(got) != 1 || got[0].Fuel != 1234 {
				t.Errorf("%s: record %+v, want fuel 1234", path, got)
			}
		}
	}
}

// TestAccessRing laps the ring while readers follow it: what they get is in order and whole.
func TestAccessRing(t *testing.T) {
	const writers, each = 4, 3 * accessRecords
	var r ring
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		reading.Go(func() {
			var after uint64
			for last := false; !last; {
				select {
				case <-stop:
					last = true
				default:
				}
				got, next := r.read(after, accessRecords)
				for _, a := range got {
					if a.Sequence <= after || a.Sequence > next || a.Status != len(a.Path) || a.Method != strings.Repeat("M", a.Status%9) {
						t.Errorf("record %+v after %d", a, after)
						return
					}
					after = a.Sequence
				}
				after = next
			}
			if after != writers*each {
				t.Errorf("the reader ended at %d, want %d", after, writers*each)
			}
		})
	}
	for range writers {
		writing.Go(func() {
			for i := range each {
				n := i % accessPathBytes
				r.write(&access{event: &abi.Event{Path: strings.Repeat("p", n), Method: strings.Repeat("M", n%9)}, status: n})
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
}

func TestMetrics(t *testing.T) {
	registerer := prometheus.NewPedanticRegistry()
	r := newRouter(t, Config{Invoker: answer("hello"), Metrics: registerer}, live("f", routes("/f")))
	address := listen(t, r)
	do(t, address, "POST", "/f", "body=abc")
	do(t, address, "GET", "/f")
	do(t, address, "GET", "/nothing")
	do(t, address, "GET", "/%")
	want := `
# HELP sett_router_invocations_total Invocations answered, by class of status.
# TYPE sett_router_invocations_total counter
sett_router_invocations_total{app="default",class="2xx",function="f",version="1"} 2
sett_router_invocations_total{app="default",class="3xx",function="f",version="1"} 0
sett_router_invocations_total{app="default",class="4xx",function="f",version="1"} 0
sett_router_invocations_total{app="default",class="5xx",function="f",version="1"} 0
# HELP sett_router_request_bytes_total Bytes of request bodies.
# TYPE sett_router_request_bytes_total counter
sett_router_request_bytes_total{app="default",function="f"} 3
# HELP sett_router_reply_bytes_total Bytes of reply bodies.
# TYPE sett_router_reply_bytes_total counter
sett_router_reply_bytes_total{app="default",function="f"} 10
# HELP sett_router_cold_starts_total Invocations that waited for loading, compiling or an image.
# TYPE sett_router_cold_starts_total counter
sett_router_cold_starts_total{app="default",function="f",version="1"} 0
# HELP sett_router_invocations_in_flight Invocations that are running.
# TYPE sett_router_invocations_in_flight gauge
sett_router_invocations_in_flight{app="default",function="f"} 0
`
	if err := testutil.GatherAndCompare(registerer, strings.NewReader(want), "sett_router_invocations_total", "sett_router_request_bytes_total",
		"sett_router_reply_bytes_total", "sett_router_cold_starts_total", "sett_router_invocations_in_flight"); err != nil {
		t.Error(err)
	}
	for reason, n := range map[string]float64{reasonNoRoute: 1, reasonMalformed: 1, reasonMethod: 0} {
		if got := testutil.ToFloat64(r.metrics.rejected.WithLabelValues(reason)); got != n {
			t.Errorf("rejected{reason=%s} = %v, want %v", reason, got, n)
		}
	}
	if n, err := testutil.GatherAndCount(registerer, "sett_router_invocation_seconds"); err != nil || n != 1 {
		t.Errorf("duration has %d series, %v, want 1", n, err)
	}
	// Series leave with what they speak of.
	if err := r.Swap(snapshot{live("g", registry.Settings{})}); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(registerer, "sett_router_invocations_total", "sett_router_invocation_seconds"); err != nil || n != 5 {
		t.Errorf("after the function was removed there are %d series, %v, want the new function's 5", n, err)
	}
	if _, err := New(Config{Invoker: answer(""), Metrics: registerer}); err == nil {
		t.Error("a second router registered the same metrics")
	}
}

func TestConfig(t *testing.T) {
	_, err := New(Config{MaxBodyBytes: -1, IdleTimeout: -1})
	for _, want := range []string{"Invoker", "MaxBodyBytes", "IdleTimeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want %s in it", err, want)
		}
	}
}

// TestSwapWhileServing deploys again and again under load: no request sees anything but a whole table.
func TestSwapWhileServing(t *testing.T) {
	r := newRouter(t, Config{Invoker: describe}, live("f", routes("/f/{id}")))
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var wire capture
				_ = r.server.ServeConn(&replay{request: "GET /f/7 HTTP/1.1\r\nHost: a\r\n\r\n", n: 20, wire: &wire})
				if n := strings.Count(string(wire), `id="7"`); n != 20 {
					t.Errorf("%d of 20 requests were answered: %q", n, wire)
					return
				}
			}
		})
	}
	for i := range 200 {
		s := routes("/f/{id}")
		s.MemoryMB = i
		if err := r.Swap(snapshot{live("f", s), live("g", registry.Settings{})}); err != nil {
			t.Error(err)
		}
		r.Access(0, 100)
	}
	close(stop)
	load.Wait()
}

// TestServeAllocations checks that a request costs no memory beyond what its function does.
func TestServeAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	result := &abi.Result{Start: abi.Warm, Reply: abi.Reply{
		Headers: []abi.Field{{Name: "Content-Type", Value: "text/plain"}, {Name: "Set-Cookie", Value: "a=1"}}, Body: []byte("hello"),
	}}
	r := newRouter(t, Config{Invoker: same{result}}, live("f", routes("GET /users/{id}", "POST /users")))
	for _, request := range []string{benchRequest, "POST /users HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"} {
		serve := func(n int) func() {
			return func() {
				c := &conn{Conn: &replay{request: request, n: n}, router: r}
				_ = r.server.ServeConn(c)
			}
		}
		const n = 200
		serve(n)() // fills the pools
		perRequest := (testing.AllocsPerRun(20, serve(2*n)) - testing.AllocsPerRun(20, serve(n))) / n
		if perRequest > 0.05 { // the pools may be emptied by a collection meanwhile
			t.Errorf("%.20q: a request allocates %.2f times, want 0", request, perRequest)
		}
	}
}

package host_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/sdk/abi"
)

func newClient(t testing.TB, c host.ClientConfig) *host.Client {
	t.Helper()
	client, err := host.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// serve answers the address of a server, HOST:PORT, and counts its connections.
func serve(t testing.TB, h http.HandlerFunc) (address string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), connections
}

func get(u string) *abi.FetchRequest { return &abi.FetchRequest{URL: u} }

func shop(egress ...string) host.Caller { return host.Caller{App: "shop", Egress: egress} }

func TestFetch(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // nobody looks at it
	address, connections := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-B", "b")
		w.Header()["X-A"] = []string{"1", "", "3"}
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Date", "")
		w.WriteHeader(418)
		fmt.Fprintf(w, "%s %s %s %q %q %q %q", r.Method, r.RequestURI, r.Host, r.Header["X"], r.UserAgent(), r.Header["Accept-Encoding"], body)
	})
	c := newClient(t, host.ClientConfig{Name: "sett/9"})
	request := &abi.FetchRequest{Method: "PATCH", URL: "http://" + address + "/a%2Fb?q=%20#part",
		Headers: []abi.Field{{Name: "x", Value: "1"}, {Name: "X", Value: "2"}}, Body: []byte("body")}
	reply, err := c.Fetch(t.Context(), shop(address), request)
	if err != nil {
		t.Fatal(err)
	}
	want := `PATCH /a%2Fb?q=%20 ` + address + ` ["1" "2"] "sett/9" [] "body"`
	if reply.Status != 418 || string(reply.Body) != want {
		t.Errorf("reply = %d %s, want %s", reply.Status, reply.Body, want)
	}
	var headers []abi.Field
	for _, h := range reply.Headers {
		if strings.HasPrefix(h.Name, "X-") || h.Name == "Keep-Alive" {
			headers = append(headers, h)
		}
	}
	if want := []abi.Field{{Name: "X-A", Value: "1"}, {Name: "X-A"}, {Name: "X-A", Value: "3"}, {Name: "X-B", Value: "b"}}; !reflect.DeepEqual(headers, want) {
		t.Errorf("headers = %q, want %q", headers, want)
	}
	for range 3 {
		if _, err := c.Fetch(t.Context(), shop(address), request); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("four fetches made %d connections, want 1", n)
	}
	for i, by := range []host.Caller{{App: "other", Egress: []string{address}}, shop(address, "b.org")} {
		if _, err := c.Fetch(t.Context(), by, request); err != nil || connections.Load() != int64(i+2) {
			t.Errorf("%+v: %v, %d connections, want one of its own", by, err, connections.Load())
		}
	}
}

func TestFetchDenies(t *testing.T) {
	address, connections := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	port := address[strings.LastIndexByte(address, ':'):]
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	dns := &names{leads: map[string][]netip.Addr{"api.test": loopback, "metadata.test": {netip.MustParseAddr("169.254.169.254")}}}
	registry := prometheus.NewRegistry()
	c := newClient(t, host.ClientConfig{Resolver: dns.serve(t), Metrics: registry})
	for _, tt := range []struct{ egress, url string }{
		{"", "http://" + address},
		{"127.0.0.1", "http://" + address}, // another port
		{"127.0.0.2/32", "http://" + address},
		{"0.0.0.0/0", "http://" + address},
		{"api.test" + port, "http://api.test" + port},
		{"*.test" + port, "http://api.test" + port},
		{"metadata.test", "http://metadata.test/latest"},
		{"127.0.0.0/8", "http://api.test" + port}, // the name is not allowed
		{"api.test" + port, "http://127.0.0.1" + port},
		{"api.test" + port, "http://[::ffff:127.0.0.1]" + port},
		{"api.test" + port, "http://[::ffff:7f00:1]" + port},
		{"api.test" + port, "http://2130706433" + port},
		{"api.test" + port, "http://0x7f.1" + port},
		{"api.test" + port, "http://127.1" + port},
		{"api.test" + port, "http://localhost" + port},
		{"api.test" + port, "http://0" + port},
		{"0.0.0.0/8", "http://0.0.0.0" + port},
		{"api.test" + port, "http://other.test" + port},
	} {
		reply, err := c.Fetch(t.Context(), shop(strings.Fields(tt.egress)...), get(tt.url))
		if !errors.Is(err, abi.ErrDenied) {
			t.Errorf("egress %q, %s: %+v, %v, want %v", tt.egress, tt.url, reply, err, abi.ErrDenied)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("denied fetches made %d connections", n)
	}
	for _, tt := range []struct{ egress, url string }{
		{address, "http://" + address},
		{"127.0.0.0/8", "http://" + address},
		{"127.0.0.0/8", "http://[::ffff:127.0.0.1]" + port},
		{"localhost" + port, "http://LOCALHOST" + port},
		{"api.test" + port + " 127.0.0.0/8", "http://Api.Test." + port},
	} {
		if _, err := c.Fetch(t.Context(), shop(strings.Fields(tt.egress)...), get(tt.url)); err != nil {
			t.Errorf("egress %q, %s: %v", tt.egress, tt.url, err)
		}
	}
	if n, err := testutil.GatherAndCount(registry, "sett_runtime_fetches_total", "sett_runtime_fetch_seconds"); err != nil || n != 3 {
		t.Errorf("%d metrics, %v, want fetches denied and ok, and their time", n, err)
	}
}

// TestForbidden keeps a listener that trusts whoever reaches it from functions that may reach its network.
func TestForbidden(t *testing.T) {
	address, connections := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	c := newClient(t, host.ClientConfig{Forbidden: func(a netip.AddrPort) bool { return a.String() == address }})
	mapped := strings.Replace(address, "127.0.0.1", "[::ffff:127.0.0.1]", 1)
	for _, at := range []string{address, mapped} {
		if _, err := c.Fetch(t.Context(), shop("127.0.0.0/8"), get("http://"+at)); !errors.Is(err, abi.ErrDenied) {
			t.Errorf("%s: %v, want %v", at, err, abi.ErrDenied)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestRebinding has a name lead to a public address when it is looked at and to the node when it is connected to, and
// the other way round: only what is connected to counts.
func TestRebinding(t *testing.T) {
	address, connections := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	_, port, _ := net.SplitHostPort(address)
	addresses := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254")}
	dns := &names{leads: map[string][]netip.Addr{"rebind.test": addresses}}
	c := newClient(t, host.ClientConfig{Resolver: dns.serve(t)})
	for range 9 {
		_, err := c.Fetch(t.Context(), shop("rebind.test:"+port), get("http://rebind.test:"+port))
		if !errors.Is(err, abi.ErrDenied) {
			t.Errorf("err = %v, want %v", err, abi.ErrDenied)
		}
	}
	dns.mu.Lock()
	defer dns.mu.Unlock()
	if n := connections.Load(); n != 0 || dns.asked < 9 {
		t.Errorf("%d connections after %d answers, want none after 9", n, dns.asked)
	}
}

// TestRedirect answers a redirect to the node as it is, and following it is a fetch like any other.
func TestRedirect(t *testing.T) {
	inner, connections := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	outer, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://"+inner, http.StatusFound) })
	c := newClient(t, host.ClientConfig{})
	reply, err := c.Fetch(t.Context(), shop(outer), get("http://"+outer))
	if err != nil || reply.Status != 302 {
		t.Fatalf("reply = %+v, %v, want 302", reply, err)
	}
	i := slices.IndexFunc(reply.Headers, func(h abi.Field) bool { return h.Name == "Location" })
	if _, err := c.Fetch(t.Context(), shop(outer), get(reply.Headers[i].Value)); !errors.Is(err, abi.ErrDenied) || connections.Load() != 0 {
		t.Errorf("following it: %v, %d connections, want %v", err, connections.Load(), abi.ErrDenied)
	}
}

func TestFetchRefuses(t *testing.T) {
	address, connections := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	c := newClient(t, host.ClientConfig{})
	u := "http://" + address
	header := func(name, value string) *abi.FetchRequest {
		return &abi.FetchRequest{URL: u, Headers: []abi.Field{{Name: name, Value: value}}}
	}
	for _, r := range []*abi.FetchRequest{
		get(""), get("/path"), get("//" + address), get("ftp://" + address), get("file:///etc/passwd"), get("http:" + address),
		get("http://"), get("http://:80"), get("http://user:word@" + address), get("http://127.0.0.1:99999"), get("http://127.0.0.1:0"),
		get("http://127.0.0.1:x"), get("http://[fe80::1%25lo]"), get("http://exämple.com"), get("http://a\r\nb"), get(u + "/a\nb"),
		get("http://[::1"), get("unix:///run/sock"),
		{Method: "CONNECT", URL: u}, {Method: "TRACE", URL: u}, {Method: "GE T", URL: u}, {Method: "GET\r\nX:", URL: u},
		{Method: strings.Repeat("A", 33), URL: u},
		header("Host", "evil"), header("hOST", "evil"), header("Content-Length", "0"), header("Transfer-Encoding", "chunked"),
		header("Connection", "X"), header("Upgrade", "websocket"), header("TE", "trailers"), header("Trailer", "X"),
		header("Proxy-Authorization", "x"), header("Proxy-Connection", "x"), header("Keep-Alive", "x"), header("HTTP2-Settings", "x"),
		header("X", "a\r\nHost: evil"), header("X", "a\nb"), header("X", "a\x00"), header("X\r\nY", "a"), header("X Y", "a"), header("", "a"),
	} {
		if reply, err := c.Fetch(t.Context(), shop(address), r); !errors.Is(err, abi.ErrBadRequest) {
			t.Errorf("%s %s %q: %+v, %v, want %v", r.Method, r.URL, r.Headers, reply, err, abi.ErrBadRequest)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("refused fetches made %d connections", n)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	address := s.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	dns := &names{leads: map[string][]netip.Addr{"example.com": loopback, "other.test": loopback}}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	trusting := newClient(t, host.ClientConfig{Roots: roots, Resolver: dns.serve(t)})
	by := shop("127.0.0.0/8", "example.com:"+port, "other.test:"+port)
	for _, name := range []string{"127.0.0.1", "example.com", "example.com."} {
		reply, err := trusting.Fetch(t.Context(), by, get("https://"+name+":"+port))
		if err != nil || string(reply.Body) != "HTTP/2.0" {
			t.Errorf("%s: %+v, %v, want HTTP/2.0", name, reply, err)
		}
	}
	plain, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	for name, u := range map[string]string{"another name": "https://other.test:" + port, "no TLS": "https://" + plain} {
		if _, err := trusting.Fetch(t.Context(), by, get(u)); !errors.Is(err, abi.ErrTLS) {
			t.Errorf("%s: %v, want %v", name, err, abi.ErrTLS)
		}
	}
	if _, err := newClient(t, host.ClientConfig{}).Fetch(t.Context(), by, get("https://"+address)); !errors.Is(err, abi.ErrTLS) {
		t.Errorf("an unknown authority: %v, want %v", err, abi.ErrTLS)
	}
}

func TestReplyLimits(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		switch r.URL.Path {
		case "/long":
			w.Header().Set("Content-Length", strconv.Itoa(n))
			w.Write(make([]byte, n))
		case "/chunked":
			for w.(http.Flusher).Flush(); n > 0; n -= 64 << 10 {
				w.Write(make([]byte, min(n, 64<<10)))
			}
		case "/endless":
			for _, err := w.Write(nil); err == nil; _, err = w.Write(make([]byte, 64<<10)) {
			}
		case "/header":
			w.Header().Set("X", strings.Repeat("x", n))
		case "/headers":
			for i := range n {
				w.Header().Set("X"+strconv.Itoa(i), "")
			}
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("not unpacked"))
		}
	})
	c := newClient(t, host.ClientConfig{})
	for _, tt := range []struct {
		method, path string
		want         error
		size         int
	}{
		{"GET", "/long?n=6291456", nil, abi.MaxFetchReplyBytes},
		{"GET", "/long?n=6291457", abi.ErrOverLimit, 0},
		{"HEAD", "/long?n=6291457", nil, 0},
		{"GET", "/chunked?n=6291456", nil, abi.MaxFetchReplyBytes},
		{"GET", "/chunked?n=6291457", abi.ErrOverLimit, 0},
		{"GET", "/endless", abi.ErrOverLimit, 0},
		{"GET", "/header?n=60000", nil, 0},
		{"GET", "/header?n=100000", abi.ErrOverLimit, 0},
		{"GET", "/headers?n=1000", nil, 0},
		{"GET", "/headers?n=1100", abi.ErrOverLimit, 0},
		{"GET", "/packed", nil, len("not unpacked")},
	} {
		reply, err := c.Fetch(t.Context(), shop(address), &abi.FetchRequest{Method: tt.method, URL: "http://" + address + tt.path})
		if !errors.Is(err, tt.want) || err == nil && len(reply.Body) != tt.size {
			t.Errorf("%s %s: %v, want %v and %d bytes", tt.method, tt.path, err, tt.want, tt.size)
		}
	}
}

// raw serves connections by hand. It stops when the test ends.
func raw(t *testing.T, f func(conn net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []net.Conn
	var done sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range all {
			conn.Close()
		}
		mu.Unlock()
		done.Wait()
	})
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, conn)
			mu.Unlock()
			done.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					f(conn)
				}
			})
		}
	})
	return l.Addr().String()
}

func TestHostileServers(t *testing.T) {
	slowly := func(conn net.Conn, head, again string) {
		conn.Write([]byte(head))
		for {
			if _, err := conn.Write([]byte(again)); err != nil {
				return
			}
			time.Sleep(time.Millisecond) // a real server, which dribbles
		}
	}
	wait := func(conn net.Conn) { conn.Read(make([]byte, 1)) }
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	dns := &names{}
	c := newClient(t, host.ClientConfig{Resolver: dns.serve(t)})
	for _, tt := range []struct {
		name string
		url  string // else f serves
		f    func(net.Conn)
		want error
	}{
		{"says nothing", "", wait, context.DeadlineExceeded},
		{"dribbles a header", "", func(conn net.Conn) { slowly(conn, "HTTP/1.1 200 OK\r\nX: ", "x") }, context.DeadlineExceeded},
		{"dribbles a body", "", func(conn net.Conn) { slowly(conn, "HTTP/1.1 200 OK\r\n\r\n", "x") }, context.DeadlineExceeded},
		{"dribbles 100s", "", func(conn net.Conn) { slowly(conn, "", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000)) }, abi.ErrOverLimit},
		{"an endless header", "", func(conn net.Conn) {
			for _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nX: ")); err == nil; _, err = conn.Write(make([]byte, 4096)) {
			}
		}, abi.ErrOverLimit},
		{"many endless headers", "", func(conn net.Conn) {
			line := []byte("X: " + strings.Repeat("x", 1000) + "\r\n")
			for _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\n")); err == nil; _, err = conn.Write(line) {
			}
		}, abi.ErrOverLimit},
		{"hangs up", "", func(net.Conn) {}, abi.ErrBroken},
		{"hangs up in the body", "", func(conn net.Conn) {
			conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"))
		}, abi.ErrBroken},
		{"no HTTP", "", func(conn net.Conn) { conn.Write([]byte("SSH-2.0-x\r\n")) }, abi.ErrBroken},
		{"another protocol", "", func(conn net.Conn) {
			conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"))
			wait(conn)
		}, abi.ErrBroken},
		{"status 999", "", func(conn net.Conn) { conn.Write([]byte("HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n")) }, abi.ErrBroken},
		{"a control character", "", func(conn net.Conn) {
			conn.Write([]byte("HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n"))
		}, abi.ErrBroken},
		{"two lengths", "", func(conn net.Conn) {
			conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"))
		}, abi.ErrBroken},
		{"nobody listens", "http://" + nobody.Addr().String(), nil, abi.ErrConnect},
		{"no such name", "http://none.test", nil, abi.ErrResolve},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.url == "" {
				tt.url = "http://" + raw(t, tt.f)
			}
			ctx := t.Context()
			if errors.Is(tt.want, context.DeadlineExceeded) {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				ctx = short
			}
			reply, err := c.Fetch(ctx, shop("127.0.0.0/8", "none.test"), get(tt.url))
			if !errors.Is(err, tt.want) {
				t.Errorf("reply %.100v, %v, want %v", reply, err, tt.want)
			}
			if u, _ := url.Parse(tt.url); err != nil && u.Port() != "" && strings.Contains(err.Error(), u.Port()) {
				t.Errorf("%q tells an address of the node", err)
			}
		})
	}
}

// TestFetchIsCanceled ends a fetch whose guest is gone: the server sees its connection close.
func TestFetchIsCanceled(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	address := raw(t, func(conn net.Conn) {
		close(began)
		conn.Read(make([]byte, 1))
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	_, err := newClient(t, host.ClientConfig{}).Fetch(ctx, shop(address), get("http://"+address))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want %v", err, context.Canceled)
	}
	<-ended
}

func TestFetchesAtOnce(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 2)
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { held <- struct{}{}; <-hold })
	c := newClient(t, host.ClientConfig{Fetches: 2, AppFetches: 1})
	fetch := func(ctx context.Context, app string, more ...string) error {
		_, err := c.Fetch(ctx, host.Caller{App: app, Egress: append(more, address)}, get("http://"+address))
		return err
	}
	var running sync.WaitGroup
	begin := func(app string) {
		running.Go(func() {
			if err := fetch(t.Context(), app); err != nil {
				t.Error(err)
			}
		})
		<-held
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	begin("a")
	if err := fetch(over, "a"); !errors.Is(err, abi.ErrBusy) {
		t.Errorf("the app's second fetch: %v, want %v", err, abi.ErrBusy)
	}
	for range 64 { // with room, and no time, it is busy or canceled
		if err := fetch(over, "a", "example.com"); !errors.Is(err, abi.ErrBusy) {
			t.Errorf("the app's second fetch, by a function with other egress hosts: %v, want %v", err, abi.ErrBusy)
			break
		}
	}
	begin("b")
	if err := fetch(over, "c"); !errors.Is(err, abi.ErrBusy) {
		t.Errorf("the node's third fetch: %v, want %v", err, abi.ErrBusy)
	}
	close(hold)
	running.Wait()
	if err := fetch(t.Context(), "c"); err != nil {
		t.Errorf("a fetch after those: %v", err)
	}
}

// TestManyApps fetches for more apps than connections are kept for, from many goroutines.
func TestManyApps(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	c := newClient(t, host.ClientConfig{})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 60 {
				app := strconv.Itoa(g*1000 + i)
				reply, err := c.Fetch(t.Context(), host.Caller{App: app, Egress: []string{address}},
					&abi.FetchRequest{Method: "POST", URL: "http://" + address, Body: []byte(app)})
				if err != nil || string(reply.Body) != app {
					t.Errorf("app %s: %+v, %v", app, reply, err)
				}
			}
		})
	}
	all.Wait()
}

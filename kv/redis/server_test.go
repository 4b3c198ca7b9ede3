package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMemory() *op.Memory { return new(op.Memory) }

// spy is a store that tells what is committed and can be made to fail.
type spy struct {
	*op.Memory
	commits atomic.Int64
	ops     atomic.Int64
	fail    func(ctx context.Context) error // of Commit and GetMany; nil: they work
}

func newSpy() *spy { return &spy{Memory: newMemory()} }

func (s *spy) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	s.commits.Add(1)
	s.ops.Add(int64(len(t.Ops)))
	if s.fail != nil {
		if err := s.fail(ctx); err != nil {
			return op.Result{}, err
		}
	}
	return s.Memory.Commit(ctx, t)
}

func (s *spy) GetMany(ctx context.Context, namespace string, keys []string, r op.Read) ([]op.Item, error) {
	if s.fail != nil {
		if err := s.fail(ctx); err != nil {
			return nil, err
		}
	}
	return s.Memory.GetMany(ctx, namespace, keys, r)
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no store":    {Anonymous: "default"},
		"nobody":      {Store: newMemory()},
		"the system":  {Store: newMemory(), Anonymous: op.System},
		"not an app":  {Store: newMemory(), Anonymous: "A B"},
		"metrics two": {Store: newMemory(), Anonymous: "default", Metrics: registered(t)},
	} {
		if s, err := New(cfg); err == nil {
			t.Errorf("%s: New = %v, want an error", name, s)
		}
	}
}

// registered answers a registry that has a server's metrics already.
func registered(t *testing.T) prometheus.Registerer {
	r := prometheus.NewRegistry()
	s, err := New(Config{Store: newMemory(), Anonymous: "default", Metrics: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	return r
}

// TestPipeline holds a pipeline's writes to one transaction, its replies to their order, and one that fails to itself.
func TestPipeline(t *testing.T) {
	for _, c := range []struct {
		name, sent, want string
		commits          int64
	}{
		{"incr", strings.Repeat("INCR n\r\n", 16), "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", 1},
		{"kinds", "SET a 1\r\nAPPEND a 2\r\nGETSET a 5\r\nDEL a b\r\nMSET a 1 b 2\r\nEXPIRE a 10\r\nGETDEL b\r\n", `OK 2 "12" 1 OK 1 "2"`, 1},
		{"read between", "INCR n\r\nINCR n\r\nGET n\r\nINCR n\r\n", `1 2 "2" 3`, 2},
		{"check between", "INCR n\r\nSETNX n 7\r\nSETNX m 7\r\nINCR m\r\n", `1 0 1 8`, 4},
		{"one fails", "SET t x\r\nINCR n\r\nINCR t\r\nINCR n\r\n", "OK 1 -ERR value is not an integer or out of range 2", 5},
		{"bad arguments", "INCR n\r\nINCRBY n x\r\nINCR n\r\n", "1 -ERR value is not an integer or out of range 2", 2},
		{"transaction", "INCR n\r\nMULTI\r\nINCR n\r\nINCR n\r\nEXEC\r\nINCR n\r\n", "1 OK QUEUED QUEUED [2 3] 4", 3},
		{"more than fit", strings.Repeat("INCR n\r\n", 130), "", 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newSpy()
			_, connect, stop := startInMemory(t, Config{Store: store})
			defer stop()
			client := connect()
			defer client.nc.Close()
			n := strings.Count(c.sent, "\n")
			go func() { _, _ = io.WriteString(client.nc, c.sent) }()
			var got []string
			for range n {
				got = append(got, client.reply())
			}
			if c.want != "" && strings.Join(got, " ") != c.want {
				t.Errorf("%s: replies %s, want %s", c.name, strings.Join(got, " "), c.want)
			}
			if store.commits.Load() != c.commits {
				t.Errorf("%s: %d commits, want %d", c.name, store.commits.Load(), c.commits)
			}
		})
	}
}

func TestAuth(t *testing.T) {
	store := newMemory()
	_, addr := start(t, Config{Store: store, Authorize: tokens(map[string]string{"default": "one", "shop": "two", op.System: "three"})})
	c := dial(t, addr)
	c.want("GET a", "-NOAUTH Authentication required.")
	c.want("PING", "-NOAUTH Authentication required.")
	c.want("MULTI", "-NOAUTH Authentication required.")
	c.want("FOO", "-ERR unknown command 'FOO', with args beginning with: ")
	c.want("GET", "-ERR wrong number of arguments for 'get' command")
	c.want("HELLO", "-"+string(errHelloNoAuth))
	c.want("HELLO 3", "-"+string(errHelloNoAuth))
	c.want("AUTH two", "-"+string(errWrongPass))
	c.want("AUTH shop one", "-"+string(errWrongPass))
	c.want("AUTH nosuchapp one", "-"+string(errWrongPass))
	c.want("AUTH $sett three", "-"+string(errWrongPass))
	c.want("AUTH one", "OK")
	c.want("SET a default", "OK")
	c.want("AUTH shop two", "OK")
	c.want("GET a", "nil")
	c.want("SET a shop", "OK")
	c.want("AUTH default two", "-"+string(errWrongPass))
	c.want("GET a", `"shop"`)
	c.want("WATCH a", "OK")
	c.want("AUTH default one", "OK")
	c.want("GET a", `"default"`)
	c.want("MULTI", "OK")
	c.want("AUTH shop two", "-"+string(errNotInside))
	c.want("DISCARD", "OK")
	c.want("WATCH a", "OK")
	c.want("AUTH shop two", "OK")
	c.want("MULTI", "OK")
	c.want("SET a 1", "QUEUED")
	c.want("EXEC", "nil list") // the watched key is out of reach
	c.want("RESET", "RESET")
	c.want("GET a", "-NOAUTH Authentication required.")
	if got := c.do("HELLO 3 AUTH shop two SETNAME me"); !strings.Contains(got, `"proto" 3`) {
		t.Errorf("HELLO = %s", got)
	}
	c.want("GET a", `"shop"`)
	if _, err := store.GetMany(t.Context(), op.System, []string{"a"}, op.Read{}); err != nil {
		t.Fatal(err)
	}
}

// TestRevokedToken: a connection whose token is revoked loses its app within reauthorizeEvery, and one whose token
// cannot be looked at waits.
func TestRevokedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Value
		answer.Store(abi.Code(""))
		_, connect, stop := startInMemory(t, Config{Authorize: func(context.Context, string, string) error {
			if code := answer.Load().(abi.Code); code != "" {
				return abi.WithCode(code, errors.New("no"))
			}
			return nil
		}})
		defer stop()
		c := connect()
		defer c.nc.Close()
		c.want("AUTH shop token", "OK")
		answer.Store(abi.Unavailable)
		c.want("SET a 1", "OK")
		time.Sleep(reauthorizeEvery + time.Second)
		c.want("SET a 2", "-"+string(errAuthNow))
		answer.Store(abi.Code(""))
		c.want("GET a", `"1"`)
		answer.Store(abi.Unauthorized)
		c.want("GET a", `"1"`)
		time.Sleep(reauthorizeEvery + time.Second)
		c.want("GET a", "-"+string(errNoAuth))
		c.want("PING", "-"+string(errNoAuth))
	})
}

// TestStrangers are held to small commands, so that they cannot take memory.
func TestStrangers(t *testing.T) {
	_, addr := start(t, Config{Authorize: tokens(nil)})
	for sent, want := range map[string]string{
		"*11\r\n":                        "-ERR Protocol error: unauthenticated multibulk length\r\n",
		"*2\r\n$4\r\nAUTH\r\n$16385\r\n": "-ERR Protocol error: unauthenticated bulk length\r\n",
	} {
		if got := exchange(t, "tcp", addr, sent); got != want {
			t.Errorf("%q = %q, want %q", sent, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	s, addr := start(t, Config{MaxConnections: 1})
	c := dial(t, addr)
	value := strings.Repeat("v", op.MaxValueBytes)
	long := strings.Repeat("k", op.MaxKeyBytes)
	c.want("SET a "+value, "OK")
	c.want("SET a "+value+"v", "-"+string(errStringSize))
	c.want("APPEND a v", "-"+string(errStringSize))
	c.want("SET b "+value, "OK")
	c.want("SET "+long+" 1", "OK")
	c.want("GET "+long, `"1"`)
	c.want("SET "+long+"k 1", "-"+string(errKeySize))
	c.want("GET "+long+"k", "-"+string(errKeySize))
	c.want("KEYS "+long+"k*", "[]")
	c.want("SCAN 0 MATCH "+long+"k*", `["0" []]`)
	c.want("ECHO "+strings.Repeat("x", MaxCommandBytes), "-"+string(errCommandSize))
	c.want("PING", "PONG")
	c.want(strings.Repeat("x", MaxCommandBytes+1), "-"+string(errCommandSize))
	c.want("MULTI", "OK")
	c.want("SET a "+strings.Repeat("x", MaxCommandBytes), "-"+string(errCommandSize))
	c.want("EXEC", "-"+string(errExecAbort))
	if got := c.do("MSET" + strings.Repeat(" k v", op.MaxOps+1)); !strings.Contains(got, "at most 128 are allowed") {
		t.Errorf("MSET of too many = %s", got)
	}
	c.want("DEL"+strings.Repeat(" k", 1000)+" a b "+long, "3")
	c.want("DBSIZE", "0")
	c.want("MGET"+strings.Repeat(" k", 300), "["+strings.Repeat("nil ", 299)+"nil]")
	c.want("SET a "+value, "OK")
	c.want("MGET"+strings.Repeat(" a", MaxReplyBytes/op.MaxValueBytes+1), "-"+string(errReplySize))
	c.want("EXISTS"+strings.Repeat(" a", MaxReplyBytes/op.MaxValueBytes+1), strconv.Itoa(MaxReplyBytes/op.MaxValueBytes+1))
	c.want("WATCH"+strings.Repeat(" k", op.MaxChecks), "OK")
	c.want("WATCH"+strings.Repeat(" k", op.MaxChecks+1), "-"+string(errTooManyWatch))
	for i := range op.MaxChecks - 1 {
		c.want("WATCH k"+strconv.Itoa(i), "OK")
	}
	c.want("WATCH more", "-"+string(errTooManyWatch))
	if got := exchange(t, "tcp", addr, ""); got != "-ERR max number of clients reached\r\n" {
		t.Errorf("one more connection = %q", got)
	}
	if n := s.connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if got := c.do(fmt.Sprintf("MSET %s", strings.Repeat("k v ", MaxArgs))); got != "-ERR "+errMultibulkLength.Error() {
		t.Errorf("too many arguments = %s", got)
	}
}

func TestTransactionLimits(t *testing.T) {
	_, addr := start(t, Config{})
	c := dial(t, addr)
	queue := func(lines ...string) string {
		t.Helper()
		c.want("MULTI", "OK")
		for _, l := range lines {
			c.want(l, "QUEUED")
		}
		return c.do("EXEC")
	}
	var sets, gets, big []string
	for i := range op.MaxOps + 1 {
		sets = append(sets, fmt.Sprintf("SET k%d v", i))
		gets = append(gets, fmt.Sprintf("GET k%d", i))
	}
	for range 3 {
		big = append(big, "SET b "+strings.Repeat("v", op.MaxValueBytes))
	}
	const aborted = "-EXECABORT Transaction discarded because it "
	if got := queue(sets...); got != aborted+"makes 129 changes, at most 128 are allowed" {
		t.Errorf("EXEC of 129 changes = %s", got)
	}
	if got := queue(gets...); got != aborted+"looks at and watches 129 keys, at most 128 are allowed" {
		t.Errorf("EXEC of 129 reads = %s", got)
	}
	if got := queue(big...); got != aborted+"has 3145731 bytes, at most 2097152 are allowed" {
		t.Errorf("EXEC of 3 MiB = %s", got)
	}
	c.want("DBSIZE", "0")
	if got := queue(append(sets[:op.MaxOps:op.MaxOps], gets[:op.MaxOps]...)...); strings.Count(got, `"v"`) != op.MaxOps {
		t.Errorf("EXEC of the most there may be = %s", got)
	}
	c.want("MULTI", "OK")
	for range MaxQueued {
		c.want("PING", "QUEUED")
	}
	c.want("PING", "-"+string(errQueueSize))
	c.want("EXEC", "-"+string(errExecAbort))
	c.want("MULTI", "OK")
	for range 4 {
		c.want("ECHO "+strings.Repeat("x", 1<<20-4), "QUEUED")
	}
	c.want("ECHO x", "-"+string(errQueueSize))
	c.want("EXEC", "-"+string(errExecAbort))
	c.want("SET t x", "OK") // one that fails among many that do not
	if got := queue("APPEND t y", "INCR t", "INCR n", "DECRBY n 3", "GET t"); got != `[2 -ERR value is not an integer or out of range 1 -2 "xy"]` {
		t.Errorf("EXEC with a failure = %s", got)
	}
	value := strings.Repeat("x", op.MaxValueBytes)
	for i := range 6 { // more than the store reads at once
		c.want(fmt.Sprintf("SET large%d %s", i, value), "OK")
	}
	c.want("WATCH large0", "OK")
	if got := queue("MGET large1 large2 large3 large4 large5 large0"); got != "[["+strings.Repeat(strconv.Quote(value)+" ", 5)+strconv.Quote(value)+"]]" {
		t.Errorf("EXEC of large values = %.100s", got)
	}
	c.want("WATCH large0", "OK")
	dial(t, addr).want("APPEND large0 \"\"", strconv.Itoa(op.MaxValueBytes))
	if got := queue("STRLEN large1", "MGET large2 large3 large4 large5"); got != "nil list" {
		t.Errorf("EXEC of large values after a change = %.100s", got)
	}
	c.want("SET t "+value, "OK")
	if got := queue("INCR n", "APPEND t y"); got != "[-1 -"+string(errStringSize)+"]" {
		t.Errorf("EXEC with too long a value = %s", got)
	}
}

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect, stop := startInMemory(t, Config{IdleTimeout: time.Hour})
		defer stop()
		began := time.Now()
		idle := connect()
		idle.want("PING", "PONG")
		if _, err := idle.br.ReadByte(); !errors.Is(err, io.EOF) || time.Since(began) != time.Hour {
			t.Errorf("idle connection: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		slow := connect()
		go func() { // a byte every ten seconds
			for _, b := range "*1\r\n$100\r\n" + strings.Repeat("x", 100) {
				if _, err := slow.nc.Write([]byte(string(b))); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		}()
		if _, err := slow.br.ReadByte(); !errors.Is(err, io.EOF) || time.Since(began) != arrivalTimeout {
			t.Errorf("slow command: %v after %v, want %v", err, time.Since(began), arrivalTimeout)
		}
		deaf := connect()
		deaf.send("PING")
		time.Sleep(writeTimeout + time.Second)
		if _, err := deaf.br.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("client that reads late: %v", err)
		}
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSpy()
		store.fail = func(ctx context.Context) error { time.Sleep(time.Second); return ctx.Err() }
		_, connect, stop := startInMemory(t, Config{Store: store})
		c := connect()
		idle := connect()
		idle.want("PING", "PONG")
		c.send("SET a 1")
		synctest.Wait()
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		if got := c.reply(); got != "OK" {
			t.Errorf("command in progress = %s, want OK", got)
		}
		for _, c := range []*client{c, idle} {
			if _, err := c.br.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("after Shutdown: %v, want EOF", err)
			}
		}
		<-stopped
	})
}

// TestShutdownForced ends a command that does not end by itself, and connections that come late.
func TestShutdownForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSpy()
		store.fail = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		s, err := New(Config{Store: store, Anonymous: "default", Timeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		s.accept(theirs)
		if _, err := io.WriteString(ours, "SET a 1\r\n"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v, want %v", err, context.DeadlineExceeded)
		}
		late, theirs := net.Pipe()
		s.accept(theirs)
		if _, err := late.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("connection after Shutdown: %v, want EOF", err)
		}
		if err := s.Serve(&pipes{closed: make(chan struct{})}); err != nil {
			t.Errorf("Serve after Shutdown = %v", err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("second Shutdown = %v", err)
		}
	})
}

func TestPanic(t *testing.T) {
	store := newSpy()
	store.fail = func(context.Context) error { panic("a bug") }
	_, addr := start(t, Config{Store: store})
	for _, line := range []string{"SET a 1", "GET a", "WATCH a"} {
		c := dial(t, addr)
		c.want(line, "-ERR internal error")
		if _, err := c.br.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("after a panic: %v, want EOF", err)
		}
	}
	dial(t, addr).want("PING", "PONG")
}

func TestStoreErrors(t *testing.T) {
	for _, c := range []struct {
		err         error
		write, read string
	}{
		{op.ErrUnavailable, string(errUnavailable), string(errUnavailable)},
		{op.ErrClosed, string(errUnavailable), string(errUnavailable)},
		{op.ErrUnknown, string(errUncertain), string(errUnavailable)},
		{context.DeadlineExceeded, string(errUncertain), string(errUnavailable)},
		{op.ErrQuota, string(errQuota), string(errQuota)},
		{op.ErrCompacted, string(errScanTooOld), string(errScanTooOld)},
		{fmt.Errorf("commit: %w", op.ErrInvalid), "ERR commit: invalid request", "ERR commit: invalid request"},
		{errors.New("disk on fire at /srv"), string(errInternal), string(errInternal)},
	} {
		store := newSpy()
		store.fail = func(context.Context) error { return abi.WithCode(abi.Unavailable, fmt.Errorf("%w", c.err)) }
		_, addr := start(t, Config{Store: store})
		client := dial(t, addr)
		client.want("SET a 1", "-"+c.write)
		client.want("SETNX a 1", "-"+c.write)
		client.want("FLUSHDB", "-"+c.write)
		client.want("GET a", "-"+c.read)
		client.want("MGET a b", "-"+c.read)
		client.want("WATCH a", "-"+c.read)
		client.want("MULTI", "OK")
		client.want("SET a 1", "QUEUED")
		client.want("EXEC", "-"+c.write)
		client.want("PING", "PONG")
	}
}

// TestConflicts: a command that loses each time gives up, and says that nothing was changed.
func TestConflicts(t *testing.T) {
	store := newSpy()
	if _, err := store.Memory.Commit(t.Context(), op.Txn{Namespace: "default", Ops: []op.Op{
		{Kind: op.Set, Key: "a", Value: []byte("1"), TTL: time.Hour}}}); err != nil {
		t.Fatal(err)
	}
	var failing atomic.Bool
	store.fail = func(context.Context) error {
		if failing.CompareAndSwap(true, false) {
			return op.ErrConflict
		}
		failing.Store(true) // reads come between commits
		return nil
	}
	_, addr := start(t, Config{Store: store})
	c := dial(t, addr)
	c.want("PERSIST a", "-"+string(errContended))
	if n := store.commits.Load(); n != MaxAttempts {
		t.Errorf("%d attempts, want %d", n, MaxAttempts)
	}
	c.want("MULTI", "OK")
	c.want("SET a 1 NX", "QUEUED")
	c.want("INCR b", "QUEUED")
	c.want("EXEC", "-"+string(errContended))
	store.fail = nil
	c.want("MGET a b", `["1" nil]`)
}

func TestQuota(t *testing.T) {
	store := newMemory()
	if err := store.SetQuota(t.Context(), "default", op.Quota{Keys: 2, Bytes: 100}); err != nil {
		t.Fatal(err)
	}
	_, addr := start(t, Config{Store: store})
	c := dial(t, addr)
	c.want("MSET a 1 b 2", "OK")
	c.want("SET c 3", "-"+string(errQuota))
	c.want("SET a "+strings.Repeat("x", 200), "-"+string(errQuota))
	c.want("MULTI", "OK")
	c.want("SET c 3", "QUEUED")
	c.want("SET a 3", "QUEUED")
	c.want("EXEC", "-"+string(errQuota))
	c.want("GET a", `"1"`)
	c.want("DEL a", "1")
	c.want("SET c 3", "OK")
	if got := c.do("INFO memory"); !strings.Contains(got, `used_memory:4\r\nmaxmemory:100`) {
		t.Errorf("INFO memory = %s", got)
	}
}

func TestScan(t *testing.T) {
	store := newMemory()
	_, addr := start(t, Config{Store: store, Anonymous: "default", Authorize: tokens(map[string]string{"shop": "two"})})
	clients := []*client{dial(t, addr), dial(t, addr)}
	const n = 2500
	for i := 0; i < n; i += 100 {
		line := "MSET"
		for k := i; k < i+100; k++ {
			line += fmt.Sprintf(" key:%04d v", k)
		}
		clients[0].want(line, "OK")
	}
	clients[0].want("SET other 1", "OK")
	seen := map[string]int{}
	next, steps := "0", 0
	for ; steps == 0 || next != "0"; steps++ { // a pool's connections take turns
		got := clients[steps%2].do("SCAN " + next + " MATCH key:*5 COUNT 100")
		at, keys, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(got, "["), "]]"), " [")
		next, _ = strconv.Unquote(at)
		for _, k := range strings.Fields(keys) {
			seen[k]++
		}
		if steps == 3 {
			clients[0].want("SET key:00000045 late", "OK") // after the scan's moment
		}
	}
	if len(seen) != n/10 || steps != n/100 {
		t.Errorf("SCAN found %d keys in %d steps, want %d in %d", len(seen), steps, n/10, n/100)
	}
	for k, times := range seen {
		if times != 1 {
			t.Errorf("SCAN found %s %d times", k, times)
		}
	}
	if got := clients[0].do("KEYS *5"); strings.Count(got, "key:") != n/10+1 {
		t.Errorf("KEYS found %d keys", strings.Count(got, "key:"))
	}
	got := clients[0].do("SCAN 0 COUNT 5")
	at, _, _ := strings.Cut(strings.TrimPrefix(got, `["`), `"`)
	clients[1].want("AUTH shop two", "OK")
	clients[1].want("SCAN "+at, "-"+string(errScanTooOld)) // it is another app's
	if again := clients[0].do("SCAN " + at + " COUNT 5"); !strings.Contains(again, "key:0004") {
		t.Errorf("SCAN %s = %s", at, again)
	}
	for range MaxCursors {
		clients[0].do("SCAN 0 COUNT 1")
	}
	clients[0].want("SCAN "+at, "-"+string(errScanTooOld))
	clients[0].want("FLUSHDB", "OK")
	clients[0].want("DBSIZE", "0")
}

func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	s, err := New(Config{Store: newMemory(), Anonymous: "default", Metrics: r})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	s.accept(theirs)
	c := newClient(t, ours)
	c.want("SET a x", "OK")
	c.do("INCR a")
	c.do("NOSUCH a")
	c.do("OTHER a")
	c.want("MULTI", "OK")
	c.want("SET a 1", "QUEUED")
	c.do("EXEC")
	counts := map[string]float64{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			counts[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"sett_kv_redis_commands_total set ok":        2,
		"sett_kv_redis_commands_total incr error":    1,
		"sett_kv_redis_commands_total unknown error": 2,
		"sett_kv_redis_commands_total exec ok":       1,
		"sett_kv_redis_connections":                  1,
		"sett_kv_redis_connections_total accepted":   1,
		"sett_kv_redis_command_seconds write":        3,
		"sett_kv_redis_command_seconds transaction":  1,
	} {
		if counts[name] != want {
			t.Errorf("%s = %v, want %v", name, counts[name], want)
		}
	}
	ours.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := r.Gather(); len(left) != 0 {
		t.Errorf("%d metrics are left after Shutdown", len(left))
	}
}

// TestConcurrentIncr: each of many connections, some of which pipeline and some of which use transactions, counts.
func TestConcurrentIncr(t *testing.T) { onStores(t, testConcurrentIncr) }

func testConcurrentIncr(t *testing.T, store Store) {
	_, addr := start(t, Config{Store: store})
	const connections, each = 16, 64
	var all sync.WaitGroup
	for n := range connections {
		all.Go(func() {
			c := dial(t, addr)
			switch n % 4 {
			case 0: // one by one
				for range each {
					c.do("INCR n")
				}
			case 1: // all at once
				_, _ = io.WriteString(c.nc, strings.Repeat("INCR n\r\n", each))
				for range each {
					c.reply()
				}
			case 2: // in transactions that do not look
				for range each / 2 {
					_, _ = io.WriteString(c.nc, "MULTI\r\nINCR n\r\nINCR n\r\nEXEC\r\n")
					for range 4 {
						c.reply()
					}
				}
			case 3: // in transactions that do
				for done := 0; done < each; {
					_, _ = io.WriteString(c.nc, "MULTI\r\nGET n\r\nINCR n\r\nEXEC\r\n")
					for range 3 {
						c.reply()
					}
					if got := c.reply(); strings.HasPrefix(got, "[") {
						done++
					} else if got != "-"+string(errContended) {
						t.Errorf("EXEC = %s", got)
						return
					}
				}
			}
		})
	}
	all.Wait()
	dial(t, addr).want("GET n", strconv.Quote(strconv.Itoa(connections*each)))
}

// TestTransactionsAreWhole: money moves between accounts in transactions with and without WATCH; who looks at all of
// them in a transaction sees the same sum each time.
func TestTransactionsAreWhole(t *testing.T) { onStores(t, testTransactionsAreWhole) }

func testTransactionsAreWhole(t *testing.T, store Store) {
	_, addr := start(t, Config{Store: store})
	dial(t, addr).want("MSET a 1000 b 1000", "OK")
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		all.Go(func() {
			c := dial(t, addr)
			for range 50 {
				c.do("MULTI")
				c.do("DECRBY a 3")
				c.do("INCRBY b 3")
				c.do("EXEC")
			}
		})
		all.Go(func() {
			c := dial(t, addr)
			for range 50 {
				c.do("WATCH a b")
				a, _ := strconv.Unquote(c.do("GET a"))
				n, _ := strconv.Atoi(a)
				b, _ := strconv.Unquote(c.do("GET b"))
				m, _ := strconv.Atoi(b)
				c.do("MULTI")
				c.do(fmt.Sprintf("SET a %d", n-1))
				c.do(fmt.Sprintf("SET b %d", m+1))
				c.do("EXEC")
			}
		})
	}
	reader := dial(t, addr)
	go func() { all.Wait(); close(stop) }()
	for done := false; !done; {
		select {
		case <-stop:
			done = true
		default:
		}
		reader.do("MULTI")
		reader.do("GET a")
		reader.do("GET b")
		var a, b int
		if got := reader.do("EXEC"); true {
			if _, err := fmt.Sscanf(got, `["%d" "%d"]`, &a, &b); err != nil || a+b != 2000 {
				t.Fatalf("EXEC = %s, %v: the sum is %d, want 2000", got, err, a+b)
			}
		}
	}
}

// TestWatchExpiry: a watched key that expires has changed.
func TestWatchExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect, stop := startInMemory(t, Config{})
		defer stop()
		c := connect()
		defer c.nc.Close()
		for _, exec := range []string{"SET a 1", "GET b", "PING"} {
			c.want("SET k v PX 1000", "OK")
			c.want("WATCH k", "OK")
			time.Sleep(time.Second)
			c.want("MULTI", "OK")
			c.want(exec, "QUEUED")
			c.want("EXEC", "nil list")
		}
		c.want("SET k v PX 1000", "OK")
		time.Sleep(600 * time.Millisecond)
		c.want("PTTL k", "400")
		c.want("TTL k", "0")
		c.want("SET k w KEEPTTL", "OK")
		time.Sleep(399 * time.Millisecond)
		c.want("GET k", `"w"`)
		time.Sleep(time.Millisecond)
		c.want("GET k", "nil")
		c.want("TTL k", "-2")
	})
}

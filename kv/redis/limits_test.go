package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
)

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
	c.want("MULTI", "OK")
	c.want("MGET"+strings.Repeat(" k", MaxArgs-1), "QUEUED")
	c.want("PING", "-"+string(errQueueSize))
	c.want("EXEC", "-"+string(errExecAbort))
	c.want("SET t x", "OK") // one that fails among many that do not
	if got := queue("APPEND t y", "INCR t", "INCR n", "DECRBY n 3", "GET t"); got != `[2 -ERR value is not an integer or out of range 1 -2 "xy"]` {
		t.Errorf("EXEC with a failure = %s", got)
	}
	value := strings.Repeat("x", op.MaxValueBytes)
	for i := range 6 { // more than the store reads at once
		c.want(fmt.Sprintf("SET large%d %s", i, value), "OK")
	}
	most := strings.Repeat(" large0", MaxReplyBytes/op.MaxValueBytes)
	if got := queue("MGET"+most, "MGET"+most+" large0", "EXISTS"+most+" large0"); !strings.HasSuffix(got, " -"+string(errReplySize)+" 33]") ||
		len(got) < MaxReplyBytes || len(got) > MaxReplyBytes+1000 {
		t.Errorf("EXEC of one key again and again = %d bytes, %.100s", len(got), got[max(0, len(got)-100):])
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

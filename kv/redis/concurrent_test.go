package redis

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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

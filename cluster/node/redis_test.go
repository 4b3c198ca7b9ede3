package node

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// redisClient is a connection that speaks as little of the Redis protocol as the tests need.
type redisClient struct {
	net.Conn
	in *bufio.Reader
}

func dialRedis(t *testing.T, addr string) *redisClient {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &redisClient{c, bufio.NewReader(c)}
}

// ask sends a command and answers the first line of its reply.
func (c *redisClient) ask(words ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	return strings.TrimSpace(line), err
}

// startRedis runs a node that speaks the Redis protocol.
func startRedis(t *testing.T, redis string) *Node {
	t.Helper()
	n, err := Start(t.Context(), Config{Data: t.TempDir(), HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Cluster: "127.0.0.1:0",
		Redis: redis, FirstToken: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestIncrements counts from functions and from Redis clients at once: nothing is lost, and nothing counted twice.
func TestIncrements(t *testing.T) {
	t.Parallel()
	const clients, each = 20, 250 // of either kind: 10,000 together
	n := startRedis(t, "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "counter.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "github.com/sett-run/sett/examples/counter")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the function: %v\n%s", err, out)
	}
	module, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	deploy(t, n, "counter", module)
	var wg sync.WaitGroup
	for range clients {
		c := dialRedis(t, n.RedisAddr())
		wg.Go(func() {
			for range each {
				if got, err := c.ask("INCR", "counter/visits"); err != nil || got[0] != ':' {
					t.Errorf("INCR = %q, %v", got, err)
					return
				}
			}
		})
		wg.Go(func() {
			for range each {
				reply, err := http.Post("http://"+n.HTTPAddr()+"/counter/visits", "", nil)
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(reply.Body)
				reply.Body.Close()
				if reply.StatusCode != http.StatusOK {
					t.Errorf("POST = %s %s", reply.Status, body)
					return
				}
			}
		})
	}
	wg.Wait()
	item, err := n.store.Get(t.Context(), "default", "counter/visits", op.Read{Consistency: op.Strong})
	if want := fmt.Sprint(2 * clients * each); err != nil || string(item.Value) != want {
		t.Errorf("counted %q, %v, want %s", item.Value, err, want)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestRedisOnLoopback checks that everybody there reaches every app.
func TestRedisOnLoopback(t *testing.T) {
	t.Parallel()
	near := dialRedis(t, startRedis(t, "127.0.0.1:0").RedisAddr())
	for _, c := range []struct{ ask, want string }{
		{"SET a 1", "+OK"}, {"AUTH shop anything", "+OK"}, {"GET a", "$-1"}, {"AUTH No_App x", "-WRONGPASS"},
	} {
		if got, err := near.ask(strings.Fields(c.ask)...); err != nil || !strings.HasPrefix(got, c.want) {
			t.Errorf("on loopback %s = %q, %v, want %s", c.ask, got, err, c.want)
		}
	}
}

// TestAuthorize checks whom the Redis protocol lets in where it asks for tokens.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	n := startRedis(t, "")
	admin, err := client.New("http://"+n.AdminAddr(), n.FirstToken())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	shop, err := admin.CreateToken(t.Context(), client.TokenRequest{Name: "shop", App: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		app, token string
		want       abi.Code
	}{
		{"shop", shop.Secret, ""}, {"shop", n.FirstToken(), ""}, {"default", shop.Secret, abi.Forbidden},
		{"shop", "wrong", abi.Unauthorized}, {"shop", "", abi.Unauthorized},
	} {
		if err := n.admin.Authorize(t.Context(), c.app, c.token); abi.CodeOf(err) != c.want {
			t.Errorf("Authorize(%s, %.8s) = %v, want %q", c.app, c.token, err, c.want)
		}
	}
}

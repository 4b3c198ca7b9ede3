package sim

import (
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/wasmtest"
)

// hello is a command that writes a CGI reply with this text.
func hello(text string) []byte {
	reply := "Content-Type: text/plain\n\n" + text
	var m wasmtest.Module
	fdWrite := m.Import("wasi_snapshot_preview1", "fd_write", "iiii:i")
	m.Memory(0, 1)
	m.Data(64, reply)
	m.Func("_start", "", wasmtest.Write(fdWrite, 1, 64, int32(len(reply))))
	return m.Bytes()
}

func TestAny(t *testing.T) {
	Run(t, Config{Nodes: 3, Seed: 1}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(min(5, len(c.Running())), 5*time.Second)
		c.Deploy(1, "hello", hello("one"))
		for i := range 3 {
			if got := c.Get(i, "/hello"); got != "200 one" {
				t.Errorf("node %d: %s", i, got)
			}
		}
		crashed := c.Node(0).ID()
		c.Crash(0)
		time.Sleep(10 * time.Second)
		t.Log(c.Sees(1, crashed), c.Leader(1, 2))
	})
}

func TestMany(t *testing.T) {
	begin := time.Now()
	Run(t, Config{Nodes: 25, Seed: 1, Loss: 0.05}, func(t *testing.T, c *Cluster) {
		t.Log(time.Since(begin))
		c.AwaitVoters(min(5, len(c.Running())), 5*time.Second)
		c.Deploy(1, "hello", hello("one"))
		for i := range 25 {
			if got := c.Get(i, "/hello"); got != "200 one" {
				t.Errorf("node %d: %s", i, got)
			}
		}
	})
	t.Log(time.Since(begin))
}

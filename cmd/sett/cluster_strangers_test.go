package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/sdk/client"
)

const (
	strangers = 100 // of each kind
	// What a node may have more of afterwards: caches are filled, the collector runs late.
	strangerGoroutines = 30
	strangerBytes      = 64 << 20
	strangerLines      = 6 // of its log: one for each kind of refusal and host, and what a dead connection is worth
)

// testStrangers has a node meet those who do not belong to its cluster. It refuses them, says so once, and goes on.
func testStrangers(t *testing.T, c *den) {
	p := c.nodes[0]
	token := c.usedToken(t)
	address := token.Addresses[0]
	members, err := p.client.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gossip := p.self(t).Cluster
	before := usageOf(t, p)
	lines := bytes.Count(c.logOf(p), []byte("level=WARN"))
	recording := record(t, gossip)

	expiring := c.invite(t, client.InviteRequest{TTLSeconds: 1})
	c.mustNotJoin(t, "a used token", token.Text())
	token.Secret[0]++
	c.mustNotJoin(t, "a token of nobody's", token.Text())
	foreign := foreignIdentity(t)
	for range strangers {
		for _, protocol := range []string{trust.ProtocolRaft, trust.ProtocolHTTP, trust.ProtocolJoin, "h2"} {
			speak(address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, Certificates: []tls.Certificate{foreign}})
			speak(address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
		}
		speak(address, nil)
		speak(gossip, nil)
		shout(gossip, garbage(600))
	}
	time.Sleep(time.Until(expiring.Expires.Add(1100 * time.Millisecond))) // Expires is told in whole seconds
	c.mustNotJoin(t, "an expired token", expiring.Token)
	recorded := recording()
	t.Logf("%d packets of gossip recorded and replayed", len(recorded))
	for range 3 {
		for _, packet := range recorded {
			shout(gossip, packet)
		}
	}
	if refused := metric(t, p, "sett_cluster_connections_refused_total"); refused < 4*strangers {
		t.Errorf("%v connections were refused, want %d at least", refused, 4*strangers)
	}
	eventually(t, "it has let go of the strangers", func(context.Context) error {
		if now := usageOf(t, p); now.goroutines > before.goroutines+strangerGoroutines ||
			!raceEnabled && now.bytes > before.bytes+strangerBytes {
			return fmt.Errorf("before %+v, now %+v", before, now)
		}
		return nil
	})
	if said := bytes.Count(c.logOf(p), []byte("level=WARN")) - lines; said < 1 || said > strangerLines {
		t.Errorf("the node warned %d times, want 1 to %d:\n%s", said, strangerLines, c.logOf(p))
	}
	after, err := p.client.Members(t.Context())
	if err != nil || len(after) != len(members) {
		t.Errorf("there are %d members now, %v, want %d", len(after), err, len(members))
	}
	c.put(t, p, "strangers", "none")
}

// self is what a node says of itself.
func (p *process) self(t *testing.T) client.Node {
	t.Helper()
	info, err := p.client.NodeInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// usedToken is the one with which the last node came in.
func (c *den) usedToken(t *testing.T) trust.Token {
	t.Helper()
	args := c.nodes[len(c.nodes)-1].args
	token, err := trust.ParseToken(args[len(args)-1])
	if err != nil {
		t.Fatal(err)
	}
	port, err := trust.ParseToken(c.invite(t, client.InviteRequest{}).Token) // where the port is now
	if err != nil {
		t.Fatal(err)
	}
	token.Addresses = port.Addresses
	return token
}

func (c *den) invite(t *testing.T, r client.InviteRequest) client.Invite {
	t.Helper()
	invite, err := c.nodes[0].client.Invite(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return invite
}

// mustNotJoin starts a node that must not come in.
func (c *den) mustNotJoin(t *testing.T, what, token string) {
	t.Helper()
	ctx, cancel := untilDeadline(t)
	defer cancel()
	const free = "127.0.0.1:0"
	cmd := exec.CommandContext(ctx, c.program, "up", "--data", t.TempDir(), "--http", free, "--admin", free, "--cluster", free, "--join", token)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "sett: up: join") {
		t.Errorf("join with %s: %v, want status 1 and a reason:\n%s", what, err, out)
	}
}

// foreignIdentity is the certificate of a node of another cluster.
func foreignIdentity(t *testing.T) tls.Certificate {
	t.Helper()
	other := startCluster(t, 1)
	file := filepath.Join(other.dir, other.nodes[0].name, "cluster", "identity.pem")
	certificate, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func garbage(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// speak connects, with TLS when there is a configuration, writes garbage and goes. That it is refused, on the way or
// afterwards, is no fault.
func speak(address string, config *tls.Config) {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if config != nil {
		conn = tls.Client(conn, config)
	}
	conn.Write(garbage(200))
	if config != nil {
		conn.Read(make([]byte, 1)) // until it is refused
	}
}

// shout sends a packet.
func shout(address string, packet []byte) {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.Write(packet)
}

// used is what a node takes.
type used struct{ goroutines, bytes float64 }

func usageOf(t *testing.T, p *process) used {
	t.Helper()
	return used{metric(t, p, "go_goroutines"), metric(t, p, "process_resident_memory_bytes")}
}

// metric is the sum of a node's metric over its labels.
func metric(t *testing.T, p *process, name string) (sum float64) {
	t.Helper()
	text, err := get(t.Context(), "http://"+p.admin+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); base != name {
			continue
		}
		n, err := strconv.ParseFloat(value[strings.LastIndexByte(value, ' ')+1:], 64)
		if err != nil {
			t.Fatalf("read %q: %v", line, err)
		}
		sum += n
	}
	return sum
}

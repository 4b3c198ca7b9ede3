package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/client"
)

const (
	app         = "default"        // of what is deployed and stored
	useTimeout  = 10 * time.Second // of one request
	awaitPause  = 50 * time.Millisecond
	maxBodySize = 1 << 20 // read of a reply
)

// clients talk to a node from its own host, whatever is parted.
type clients struct {
	transport *http.Transport
	admin     *client.Client
}

// clientsOf answers those of a node's host, whether the node runs or not.
func (c *Cluster) clientsOf(i int) clients {
	c.mu.Lock()
	defer c.mu.Unlock()
	of, made := c.clients[i]
	if !made {
		host := c.net.Host(Host(i))
		of.transport = &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return host.Dial(ctx, address)
		}}
		of.admin = client.NewOver("127.0.0.1"+adminPort, of.transport)
		c.clients[i] = of
	}
	return of
}

// Admin is a client of a node's admin plane, whether it runs or not.
func (c *Cluster) Admin(i int) *client.Client { return c.clientsOf(i).admin }

// Invite makes a token with which a node may join, at the first node that runs.
func (c *Cluster) Invite(role string) string {
	c.t.Helper()
	ctx, cancel := limited()
	defer cancel()
	invite, err := c.Admin(c.Running()[0]).Invite(ctx, client.InviteRequest{Role: role})
	if err != nil {
		c.t.Fatalf("invite: %v", err)
	}
	return invite.Token
}

// AwaitReady returns when a node has been ready once.
func (c *Cluster) AwaitReady(i int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	if err := c.Node(i).WaitReady(ctx); err != nil {
		c.t.Fatalf("node %d: %v", i, err)
	}
}

// Await returns when a condition holds, which is looked at again and again; the test has failed when it does not
// within a time.
func (c *Cluster) Await(within time.Duration, what string, condition func() bool) {
	c.t.Helper()
	for end := time.Now().Add(within); !condition(); time.Sleep(awaitPause) {
		if time.Now().After(end) {
			c.t.Fatalf("after %s still not: %s", within, what)
		}
	}
}

// Deploy deploys a module as a function at a node, and answers its version.
func (c *Cluster) Deploy(i int, name string, module []byte) int {
	c.t.Helper()
	version, err := c.TryDeploy(i, name, module)
	if err != nil {
		c.t.Fatalf("deploy %s at node %d: %v", name, i, err)
	}
	return version
}

// TryDeploy is Deploy where it may be refused.
func (c *Cluster) TryDeploy(i int, name string, module []byte) (version int, err error) {
	c.t.Helper()
	ctx, cancel := limited()
	defer cancel()
	sum := sha256.Sum256(module)
	digest := hex.EncodeToString(sum[:])
	upload := client.Upload{Digest: digest, SizeBytes: int64(len(module)), Body: bytes.NewReader(module)}
	if _, err := c.Admin(i).UploadModule(ctx, upload); err != nil {
		return 0, err
	}
	done, err := c.Admin(i).Deploy(ctx, app, client.DeployRequest{Functions: []client.DeployFunction{{Name: name, Digest: digest}}})
	if err != nil {
		return 0, err
	}
	return done.Functions[0].Version, nil
}

// Get asks a node's data plane, and answers status and body as in "200 hello", or an error's text.
func (c *Cluster) Get(i int, path string) string {
	c.t.Helper()
	ctx, cancel := limited()
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+Host(i)+httpPort+path, http.NoBody)
	if err != nil {
		return err.Error()
	}
	reply, err := c.clientsOf(i).transport.RoundTrip(request)
	if err != nil {
		return err.Error()
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxBodySize))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", reply.StatusCode, body)
}

// Incr adds one to a number in the store at a node.
func (c *Cluster) Incr(i int, key string) (sum int64, err error) {
	c.t.Helper()
	ctx, cancel := limited()
	defer cancel()
	written, err := c.Admin(i).KV().Incr(ctx, app, key, client.Incr{Delta: 1})
	if err != nil {
		return 0, err
	}
	return *written.Integer, nil
}

// Put sets a key in the store at a node.
func (c *Cluster) Put(i int, key, value string) error {
	c.t.Helper()
	ctx, cancel := limited()
	defer cancel()
	_, err := c.Admin(i).KV().Put(ctx, app, key, client.Put{Value: []byte(value)})
	return err
}

// Read reads a key in the store at a node.
func (c *Cluster) Read(i int, key string, consistency op.Consistency) (string, error) {
	c.t.Helper()
	ctx, cancel := limited()
	defer cancel()
	item, err := c.Admin(i).KV().Get(ctx, app, key, op.Read{Consistency: consistency})
	return string(item.Value), err
}

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), useTimeout)
}

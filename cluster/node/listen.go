package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
)

// readiness is why a node does not answer yet or any more; empty when it is ready.
type readiness struct{ reason atomic.Pointer[string] }

func (r *readiness) set(reason string) { r.reason.Store(&reason) }

// Ready answers nil when the node serves, else why it does not.
func (r *readiness) Ready() error {
	switch reason := r.reason.Load(); {
	case reason == nil:
		return errors.New("starting")
	case *reason != "":
		return errors.New(*reason)
	}
	return nil
}

// listen opens the cluster's, the Redis protocol's, the admin plane's and, last, the data plane's address.
func (n *Node) listen(ctx context.Context) (err error) {
	for _, l := range []struct {
		flag, addr string
		listener   *net.Listener
	}{
		{"cluster", n.config.Cluster, &n.clusterListener},
		{"redis", n.config.Redis, &n.redisListener},
		{"admin", n.config.Admin, &n.adminListener},
		{"http", n.config.HTTP, &n.httpListener},
	} {
		if l.addr == "" {
			continue
		}
		var config net.ListenConfig
		*l.listener, err = config.Listen(ctx, "tcp", l.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listen on %s: port in use by another process; choose another with --%s HOST:PORT, or port 0 for any free one", l.addr, l.flag)
		}
		if err != nil {
			return fmt.Errorf("listen on %s (--%s): %w", l.addr, l.flag, err)
		}
		n.push(l.flag+" listener", func(context.Context) error {
			if err := (*l.listener).Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

// holdCluster keeps the cluster's address for this node: until nodes can join each other, whoever connects is
// hung up on.
func (n *Node) holdCluster() {
	for {
		conn, err := n.clusterListener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			conn.Close()
		}
	}
}

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ErrPortInUse is why a node does not start whose address another process listens on.
var ErrPortInUse = errors.New("port in use by another process")

// listen opens the Redis protocol's, the admin plane's and, last, the data plane's address.
func (n *Node) listen(ctx context.Context) (err error) {
	for _, l := range []struct {
		flag, addr string
		listener   *net.Listener
	}{
		{"redis", n.config.Redis, &n.redisListener},
		{"s3", n.config.S3, &n.s3Listener},
		{"admin", n.config.Admin, &n.adminListener},
		{"http", n.config.HTTP, &n.httpListener},
	} {
		if l.addr == "" {
			continue
		}
		*l.listener, err = n.config.Network.Listen(ctx, l.addr)
		if err != nil {
			return listenError(l.flag, l.addr, err)
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

// listenError says what stands in the way of listening.
func listenError(flag, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		hint := ""
		if flag == "cluster" {
			hint = "; a node also takes the TCP port after its own"
		}
		return fmt.Errorf("listen on %s: %w; choose another with --%s HOST:PORT, or port 0 for any free one%s", address, ErrPortInUse, flag, hint)
	}
	return fmt.Errorf("listen on %s (--%s): %w", address, flag, err)
}

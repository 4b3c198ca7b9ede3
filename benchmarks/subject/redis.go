package subject

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
)

// Redis is a server that flushes every write to disk before it answers. The caller calls Stop.
type Redis struct {
	*Program
	Address string // HOST:PORT
}

// StartRedis starts the program with an empty database in dir, which is made.
func StartRedis(ctx context.Context, program, dir string) (*Redis, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	r := &Redis{Address: net.JoinHostPort("127.0.0.1", ports[0])}
	r.Program = NewProgram(ctx, program, "--port", ports[0], "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no")
	if err := r.Start(); err != nil {
		return nil, err
	}
	if err := r.WaitFor(ctx, func() error { return ping(ctx, r.Address) }); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func ping(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "+PONG\r\n" {
		err = fmt.Errorf("ping is answered with %q", line)
	}
	return err
}

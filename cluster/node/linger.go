package node

import (
	"net"

	"github.com/sett-run/sett/router"
)

// lingering is a listener for net/http, which shuts its side of a connection when it has refused a large body, and soon
// closes it: that resets a client that still sends, which might lose the answer.
type lingering struct{ net.Listener }

// Accept waits for the next client.
func (l lingering) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if tcp, ok := nc.(*net.TCPConn); ok {
		return lingeringConn{tcp}, err
	}
	return nc, err
}

type lingeringConn struct{ *net.TCPConn }

// CloseWrite reads what the client still sends.
func (c lingeringConn) CloseWrite() error {
	router.Linger(c.TCPConn)
	return nil
}

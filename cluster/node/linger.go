package node

import (
	"net"
	"time"
)

// How long a client of the admin plane or of S3's API may go on sending a body that was refused: altogether, and without a
// byte. Longer gets the refusal to slower clients.
const (
	lingerTime  = 10 * time.Second
	lingerPause = 2 * time.Second
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

// CloseWrite reads what the client still sends. That is best effort, so that its errors are of no interest.
func (c lingeringConn) CloseWrite() error {
	if err := c.TCPConn.CloseWrite(); err != nil {
		return err
	}
	buffer := make([]byte, 8<<10)
	for end := time.Now().Add(lingerTime); time.Now().Before(end); {
		if c.SetReadDeadline(time.Now().Add(lingerPause)) != nil {
			break
		}
		if _, err := c.Read(buffer); err != nil {
			break
		}
	}
	return nil
}

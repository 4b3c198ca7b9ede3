//go:build unix

package router

import (
	"net"
	"syscall"
)

// hasLeft says whether the other side of a connection has closed it, as far as can be told without reading: what it has
// sent before is in the way. A connection that is no socket never says so.
func hasLeft(nc net.Conn) bool {
	socket, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	left := false
	err = raw.Control(func(fd uintptr) { // unlike Read it does not wait for a reader
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		left = n == 0 && err == nil || err == syscall.ECONNRESET
	})
	return left && err == nil
}

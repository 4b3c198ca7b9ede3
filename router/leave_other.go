//go:build !unix

package router

import "net"

// hasLeft cannot tell here: that the client has left is seen when a write fails.
func hasLeft(net.Conn) bool { return false }

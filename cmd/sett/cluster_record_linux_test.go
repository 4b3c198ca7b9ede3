package main

import (
	"encoding/binary"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// record listens to the packets that come to an address of loopback until its result is called, which answers them: what
// a stranger on the wire has. Without the right to do that it answers none.
func record(t *testing.T, address string) (stop func() [][]byte) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, _ := strconv.Atoi(port)
	ip := binary.NativeEndian.Uint16([]byte{syscall.ETH_P_IP >> 8, syscall.ETH_P_IP & 0xff})
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, int(ip))
	if err != nil {
		t.Logf("no packets can be recorded: %v", err)
		return func() [][]byte { return nil }
	}
	second := syscall.NsecToTimeval(int64(100 * time.Millisecond))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &second); err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	ended := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		defer syscall.Close(fd)
		for buffer := make([]byte, 1<<16); ; {
			select {
			case <-ended:
				return
			default:
			}
			n, _, err := syscall.Recvfrom(fd, buffer, 0)
			if err != nil {
				continue
			}
			if body := bodyOf(buffer[:n], number); len(body) > 0 && len(packets) < 1000 {
				packets = append(packets, append([]byte(nil), body...))
			}
		}
	})
	return func() [][]byte { close(ended); reading.Wait(); return packets }
}

// bodyOf is what an IPv4 packet carries to a UDP port. Source: RFC 791 section 3.1, RFC 768.
func bodyOf(packet []byte, port int) []byte {
	if len(packet) < 20 || packet[9] != syscall.IPPROTO_UDP {
		return nil
	}
	head := int(packet[0]&15) * 4
	if len(packet) < head+8 || int(binary.BigEndian.Uint16(packet[head+2:])) != port {
		return nil
	}
	return packet[head+8:]
}

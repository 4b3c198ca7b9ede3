package host_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// names is a DNS server whose names lead where a test says, each answer the next of a list, in circles.
type names struct {
	mu    sync.Mutex // guards all
	leads map[string][]netip.Addr
	asked int
}

// serve answers a resolver that asks n.
func (n *names) serve(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	t.Cleanup(func() { conn.Close(); done.Wait() })
	done.Go(func() {
		for b := make([]byte, 512); ; {
			size, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := n.answer(b[:size]); answer != nil {
				conn.WriteTo(answer, from)
			}
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer answers a query for addresses of IPv4; of IPv6 nobody has one. Source: RFC 1035, 4.1.
func (n *names) answer(query []byte) []byte {
	i := 12
	var labels []string
	for query[i] != 0 {
		labels = append(labels, string(query[i+1:i+1+int(query[i])]))
		i += 1 + int(query[i])
	}
	question := query[12 : i+5]
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.leads[strings.ToLower(strings.Join(labels, "."))]
	switch {
	case len(list) == 0:
		answer[3] |= 3 // no such name
	case binary.BigEndian.Uint16(query[i+1:]) == 1:
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, list[n.asked%len(list)].AsSlice()...)
		n.asked++
	}
	return answer
}

package node

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRefusedUpload: a client that sends much of a body before it listens gets the refusal, from the admin plane and from
// S3's API.
func TestRefusedUpload(t *testing.T) {
	t.Parallel()
	n := startWith(t, Config{Data: t.TempDir(), S3: "127.0.0.1:0"})
	for _, c := range []struct {
		addr, path string
		status     int
	}{
		{n.AdminAddr(), "/v1/modules/" + strings.Repeat("0", 64), http.StatusRequestEntityTooLarge},
		{n.S3Addr(), "/bucket/key", http.StatusForbidden},
	} {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err = io.WriteString(conn, "PUT "+c.path+" HTTP/1.1\r\nHost: "+c.addr+"\r\nContent-Length: 1000000000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		piece := make([]byte, 1<<20)
		for range 32 { // more than sockets hold
			if _, err := conn.Write(piece); err != nil {
				t.Fatalf("PUT %s: send: %v", c.path, err)
			}
		}
		reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("PUT %s: %v", c.path, err)
		}
		if body, err := io.ReadAll(reply.Body); reply.StatusCode != c.status || len(body) == 0 || err != nil {
			t.Errorf("PUT %s = %d %q, %v, want %d", c.path, reply.StatusCode, body, err, c.status)
		}
	}
}

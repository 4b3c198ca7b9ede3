package host

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

func TestEgressPermits(t *testing.T) {
	for _, tt := range []struct {
		list string
		host string
		port uint16
		want bool
	}{
		{"", "api.example.com", 443, false},
		{"api.example.com", "api.example.com", 443, true},
		{"api.example.com", "api.example.com", 80, true},
		{"api.example.com", "api.example.com", 8443, false},
		{"api.example.com:8443", "api.example.com", 8443, true},
		{"api.example.com:8443", "api.example.com", 443, false},
		{"api.example.com", "xapi.example.com", 443, false},
		{"api.example.com", "api.example.com.evil.org", 443, false},
		{"*.example.com", "a.example.com", 443, true},
		{"*.example.com", "a.b.example.com", 443, true},
		{"*.example.com", "example.com", 443, false},
		{"*.example.com", "evilexample.com", 443, false},
		{"*.example.com:81", "a.example.com", 81, true},
		{"*.example.com:81", "a.example.com", 80, false},
		{"a.org b.org", "b.org", 80, true},
		{"93.184.216.34", "93.184.216.34", 443, true},
		{"93.184.216.34", "93.184.216.34", 22, false},
		{"93.184.216.34:22", "93.184.216.34", 22, true},
		{"93.184.216.34", "::ffff:93.184.216.34", 443, true},
		{"::ffff:93.184.216.34", "93.184.216.34", 443, true},
		{"93.184.216.0/24", "93.184.216.34", 22, true},
		{"0.0.0.0/0", "93.184.216.34", 22, true},
		{"0.0.0.0/0", "10.0.0.1", 80, false},
		{"0.0.0.0/0", "127.0.0.1", 80, false},
		{"0.0.0.0/0", "api.example.com", 443, false},
		{"8.0.0.0/5", "10.0.0.1", 80, false},
		{"10.0.0.0/8", "10.0.0.1", 22, true},
		{"10.0.0.0/8", "::ffff:10.0.0.1", 22, true},
		{"::ffff:10.0.0.0/104", "10.0.0.1", 22, true},
		{"10.0.0.0/8", "64:ff9b::10.0.0.1", 22, true},
		{"64:ff9b::/96", "64:ff9b::10.0.0.1", 22, false},
		{"10.0.0.0/8", "11.0.0.1", 22, false},
		{"[fd00::1]:81", "fd00::1", 81, true},
		{"[fd00::1]", "fd00::1", 80, true},
		{"fd00::1", "fd00::1", 80, true},
		{"fd00::/8", "fd00::1", 22, true},
		{"::/0", "fd00::1", 22, false},
		{"::/0", "2606:2800:220:1::1", 22, true},
		{"::/0", "::1", 22, false},
		{"localhost:81", "localhost", 81, true},
		{"localhost", "127.0.0.1", 80, false},
		{"127.0.0.1", "0x7f.0.0.1", 80, false},
		{"127.0.0.1", "2130706433", 80, false},
	} {
		list := strings.Fields(tt.list)
		for _, s := range list {
			if err := registry.CheckEgress(s); err != nil {
				t.Errorf("CheckEgress(%q) = %v", s, err)
			}
		}
		if got := parseEgress(list).permits(tt.host, tt.port); got != tt.want {
			t.Errorf("%q permits %s port %d: %v, want %v", tt.list, tt.host, tt.port, got, tt.want)
		}
	}
}

// TestEgressConnects resolves an allowed name to addresses of every kind.
func TestEgressConnects(t *testing.T) {
	private := strings.Fields(`0.0.0.0 0.1.2.3 10.1.2.3 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1
		172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
		239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1
		64:ff9b::127.0.0.1 64:ff9b::10.1.1.1 64:ff9b:1::1 100::1 2001::1 2001:20::1 2001:db8::1 2002:7f00:1::1 3fff::1 4000::1
		5f00::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%lo fec0::1 ff02::1 ffff:ffff::1`)
	public := strings.Fields(`1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.167.0.1 223.255.255.255
		2606:2800:220:1::1 2001:4860:4860::8888 2a00::1 ::ffff:1.1.1.1 64:ff9b::1.1.1.1`)
	name := parseEgress([]string{"api.example.com", "localhost"})
	connects := func(e *egress, host, a string) bool {
		return e.connects(host, netip.AddrPortFrom(netip.MustParseAddr(a), 443))
	}
	for _, a := range private {
		if connects(name, "api.example.com", a) {
			t.Errorf("a name that leads to %s is connected to", a)
		}
		if got, want := connects(name, "localhost", a), canonical(netip.MustParseAddr(a)).IsLoopback(); got != want {
			t.Errorf("localhost at %s is connected to: %v, want %v", a, got, want)
		}
	}
	for _, a := range public {
		if !connects(name, "api.example.com", a) {
			t.Errorf("a name that leads to %s is not connected to", a)
		}
	}
	named := parseEgress([]string{"db.internal", "10.0.0.0/8", "fd00::/8", "192.168.1.1", "0.0.0.0/8", "224.0.0.0/4"})
	for a, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "fd00::1": true,
		"192.168.1.1": true, "192.168.1.2": false, "127.0.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "fe80::1": false} {
		if got := connects(named, "db.internal", a); got != want {
			t.Errorf("a name whose network is allowed, at %s: %v, want %v", a, got, want)
		}
	}
}

// FuzzNewRequest checks that whatever a guest asks for is one HTTP request to the host that was looked at, or none.
func FuzzNewRequest(f *testing.F) {
	f.Add("GET", "http://api.example.com/a?b=c", "Accept", "*/*", []byte(nil))
	f.Add("POST", "https://[::1]:8443/", "X", "a\r\nHost: evil", []byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add("A B", "http://a@b/", "Host", "b", []byte("x"))
	f.Add("PUT", "http://EXAMPLE.com.:080/%0d%0a#x", "Transfer-Encoding", "chunked", []byte("0\r\n\r\n"))
	f.Add("GET", "http:///a", "", "", []byte(nil))
	f.Add("0", "http://\"", "0", "0", []byte("0"))
	f.Fuzz(func(t *testing.T, method, url, name, value string, body []byte) {
		r := &abi.FetchRequest{Method: method, URL: url, Headers: []abi.Field{{Name: name, Value: value}}, Body: body}
		request, to, err := newRequest(t.Context(), r)
		if err != nil {
			if !hasNumber(err) {
				t.Fatalf("newRequest(%+v) = %v, which guests are not told", r, err)
			}
			return
		}
		var wire bytes.Buffer
		if err := request.Write(&wire); err != nil {
			return
		}
		rest := bufio.NewReader(&wire)
		got, err := http.ReadRequest(rest)
		if err != nil {
			t.Fatalf("%+v is sent as %q: %v", r, wire.String(), err)
		}
		var sent bytes.Buffer
		if _, err := sent.ReadFrom(got.Body); err != nil || !bytes.Equal(sent.Bytes(), body) || rest.Buffered() > 0 {
			t.Fatalf("%+v has the body %q, %v, and %d bytes after it", r, sent.Bytes(), err, rest.Buffered())
		}
		got.URL.Host, got.URL.Scheme = got.Host, request.URL.Scheme
		if at, err := targetOf(got.URL); err != nil || at != to {
			t.Fatalf("%+v is sent to %+v, %v, want %+v", r, at, err, to)
		}
	})
}

// TestEgressOfURL reads hosts as they stand in URLs, which may end in a dot; no settings have those.
func TestEgressOfURL(t *testing.T) {
	for _, tt := range []struct {
		entry, host string
		port        uint16
	}{{"api.example.com.", "api.example.com", 443}, {"api.example.com.:8443", "api.example.com", 8443}, {"93.184.216.34.:22", "93.184.216.34", 22}} {
		if !parseEgress([]string{tt.entry}).permits(tt.host, tt.port) {
			t.Errorf("%s does not permit %s:%d", tt.entry, tt.host, tt.port)
		}
	}
}

package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

func TestGuardRefusesForeignPages(t *testing.T) {
	for _, test := range []struct {
		name, host string
		headers    map[string][]string
		ok         bool
	}{
		{"no browser", "127.0.0.1:8081", nil, true},
		{"name", "localhost:8081", nil, true},
		{"name in capitals", "LOCALHOST", nil, true},
		{"name with a dot", "localhost.:8081", nil, true},
		{"other loopback address", "127.9.8.7:1", nil, true},
		{"IPv6", "[::1]:8081", nil, true},
		{"IPv6 without port", "[::1]", nil, true},
		{"mapped", "[::ffff:127.0.0.1]:8081", nil, true},
		{"own page", "localhost:8081", map[string][]string{"Origin": {"http://localhost:8081"}, "Sec-Fetch-Site": {"same-origin"}}, true},
		{"typed address", "localhost:8081", map[string][]string{"Sec-Fetch-Site": {"none"}}, true},

		{"rebound name", "evil.example:8081", nil, false},
		{"rebound name, own origin", "evil.example:8081", map[string][]string{"Origin": {"http://evil.example:8081"}}, false},
		{"name that begins alike", "localhost.evil.example", nil, false},
		{"name that begins with an address", "127.0.0.1.evil.example:8081", nil, false},
		{"name that ends alike", "evillocalhost", nil, false},
		{"all addresses", "0.0.0.0:8081", nil, false},
		{"network's address", "192.168.1.7:8081", nil, false},
		{"number", "2130706433", nil, false},
		{"no host", "", nil, false},
		{"foreign origin", "127.0.0.1:8081", map[string][]string{"Origin": {"https://evil.example"}}, false},
		{"other port's page", "127.0.0.1:8081", map[string][]string{"Origin": {"http://127.0.0.1:3000"}}, false},
		{"other name's page", "127.0.0.1:8081", map[string][]string{"Origin": {"http://localhost:8081"}}, false},
		{"opaque origin", "127.0.0.1:8081", map[string][]string{"Origin": {"null"}}, false},
		{"empty origin", "127.0.0.1:8081", map[string][]string{"Origin": {""}}, false},
		{"second origin", "127.0.0.1:8081", map[string][]string{"Origin": {"http://127.0.0.1:8081", "https://evil.example"}}, false},
		{"extension", "127.0.0.1:8081", map[string][]string{"Origin": {"chrome-extension://127.0.0.1:8081"}}, false},
		{"image of a foreign page", "127.0.0.1:8081", map[string][]string{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"page of a sister site", "localhost:8081", map[string][]string{"Sec-Fetch-Site": {"same-site"}}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/node", nil)
		r.Host = test.host
		for name, values := range test.headers {
			r.Header[name] = values
		}
		err := guard(r)
		if (err == nil) != test.ok || err != nil && abi.CodeOf(err) != abi.Forbidden {
			t.Errorf("%s: guard = %v, want accepted %v", test.name, err, test.ok)
		}
	}
}

package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// FuzzServeHTTP sends whatever net/http takes for a request. No request makes the node say that it is at fault, and
// every refusal is a problem with a code.
func FuzzServeHTTP(f *testing.F) {
	w := newWorld(f)
	w.deployed(f, "default", "f", "m", registry.Settings{})
	w.dispatch = func(context.Context, router.Call) (*abi.Result, error) { return &abi.Result{}, nil }
	c := w.config()
	c.Log = nil
	a, err := New(c)
	if err != nil {
		f.Fatal(err)
	}
	for pattern := range a.routes {
		path := strings.NewReplacer("{app}", "default", "{function}", "f", "{alias}", "beta", "{digest}", digestOf("m"), "{id}", "i",
			"{queue}", "orders", "{topic}", "placed", "{archive}", "all", "{subscription}", "mail", "{schedule}", "1").Replace(pattern)
		f.Add([]byte(path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"))
	}
	f.Add([]byte("GET /v1/logs?app=a&since=2026-01-02T15:04:05Z&limit=1 HTTP/1.1\r\nHost: [::1]:8081\r\nOrigin: http://[::1]:8081\r\n\r\n"))
	f.Add([]byte("GET /v1/node HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sett_x\r\nIf-Match: *\r\n\r\n"))
	f.Add([]byte("POST /v1/apps/default/functions/f/invoke?qualifier=v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\n\r\n{\"path\":\"/a?\"}"))
	for _, query := range []string{"value?key=%00%ff", "keys?prefix=a&limit=7&cursor=x&values=true&consistency=local", "watch?from=1&prefix=a",
		"value?key=%zz", "value?key=a&key=b", "value?key=a;b", "keys?consistency=eventual"} {
		f.Add([]byte("GET /v1/apps/default/kv/" + query + " HTTP/1.1\r\nHost: localhost\r\nSett-Revision: 7\r\nIf-None-Match: \"1\"\r\n\r\n"))
	}
	f.Add([]byte("PUT /v1/apps/default/kv/value?key=a&ttl=1m HTTP/1.1\r\nHost: localhost\r\nIf-Match: \"1\"\r\nContent-Length: 1\r\n\r\nv"))
	f.Add([]byte("POST /v1/apps/default/kv/incr?key=a&delta=-5&min=0&max=9&ttl=1s HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\n\r\n"))
	f.Add([]byte("POST /v1/apps/default/kv/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 35\r\n\r\n{\"ops\":[{\"op\":\"delete\",\"key\":\"a\"}]}"))
	for path, body := range map[string]string{
		"queues/orders/messages": `{"messages":[{"body":"a","attributes":[{"name":"n","type":"Number","value":"1"}],"delay_ms":0},{"body_base64":"/w=="}]}`,
		"queues/orders/receive":  `{"max":2,"wait_ms":20000,"visibility_ms":1}`,
		"queues/orders/settle":   `{"delete":["r"],"release":[{"receipt":"r","delay_ms":5}]}`,
		"queues/orders/redrive":  `{"to":"orders","max":3}`, "topics/placed/publish": `{"messages":[{"body":"a"}]}`,
		"events":              `{"events":[{"source":"shop","detail_type":"placed","detail":{"a":[1]},"resources":["r"],"time":"2026-11-26T09:00:00Z"}]}`,
		"archives/all/replay": `{"from":"2026-11-26T09:00:00Z","function":"f","after":3}`,
		"deployments":         `{"functions":[{"name":"f","digest":"` + digestOf("m") + `","settings":{"triggers":[{"topic":{"topic":"t","filter":{"a":[1]}}}]}}]}`,
	} {
		f.Add(fmt.Appendf(nil, "POST /v1/apps/default/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body))
	}
	f.Add([]byte("PUT /v1/apps/default/topics/placed/subscriptions/s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 42\r\n\r\n{\"to\":\"queue:orders\",\"filter\":{\"a\":[\"b\"]}}"))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Add([]byte("CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // so that following ends
		out := httptest.NewRecorder()
		a.ServeHTTP(out, r.WithContext(ctx))
		if out.Code == http.StatusInternalServerError {
			t.Fatalf("%q: %d %s", raw, out.Code, out.Body)
		}
		var p client.Problem
		if out.Code >= 400 && (json.Unmarshal(out.Body.Bytes(), &p) != nil || p.Code == "" || p.Detail == "" || p.Status != out.Code) {
			t.Fatalf("%q: %d is not a problem: %s", raw, out.Code, out.Body)
		}
	})
}

package sett

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

// register runs f with an empty table and brings back the former one when the test ends.
func register(t *testing.T, f func()) {
	t.Helper()
	before := table
	table.routes, table.handles = nil, nil
	t.Cleanup(func() { table = before })
	f()
}

// panicText is what f panics with.
func panicText(f func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	f()
	return ""
}

// say answers with the pattern that matched and what its parameters stand for.
func say(w ResponseWriter, r *Request) {
	w.WriteString(r.Pattern())
	for _, name := range r.PathNames() {
		w.WriteString(" " + name + "=" + r.PathValue(name))
	}
}

func serve(e abi.Event) abi.Reply {
	g := newGuest()
	g.event = e
	return g.serve()
}

func header(r abi.Reply, name string) string {
	h := Header{r.Headers}
	return h.Get(name)
}

func TestServeHTTP(t *testing.T) {
	register(t, func() {
		for _, p := range []string{
			"/{path...}", "GET /users", "POST /users", "GET /users/{id}", "DELETE /users/{id}", "GET /users/me",
			"/files/{path...}", "GET api.example/users/{id}", "GET /dir/", "GET /items/{id}/parts/{part}",
		} {
			HTTP(p, say)
		}
		table.routes = table.routes[:len(table.routes)-1] // /{path...} is the least specific: last
	})
	tests := []struct {
		method, host, path string
		status             int
		want               string // body, Allow or Location
	}{
		{"GET", "x", "/users", 0, "GET /users"},
		{"HEAD", "x", "/users", 0, "GET /users"},
		{"POST", "x", "/users", 0, "POST /users"},
		{"GET", "x", "/users/7", 0, "GET /users/{id} id=7"},
		{"GET", "x", "/users/7%2F8%20", 0, "GET /users/{id} id=7/8 "},
		{"GET", "x", "/users/me", 0, "GET /users/me"},
		{"DELETE", "x", "/users/me", 0, "DELETE /users/{id} id=me"},
		{"GET", "API.example:8080", "/users/7", 0, "GET api.example/users/{id} id=7"},
		{"PUT", "x", "/files/a/b%20c", 0, "/files/{path...} path=a/b c"},
		{"GET", "x", "/files", 0, "/files/{path...} path="},
		{"GET", "x", "/files/", 0, "/files/{path...} path="},
		{"GET", "x", "/files/%zz", 0, "/files/{path...} path=%zz"},
		{"GET", "x", "/items/1/parts/2", 0, "GET /items/{id}/parts/{part} id=1 part=2"},
		{"PUT", "x", "/users/7", 405, "DELETE, GET, HEAD, OPTIONS"},
		{"PUT", "x", "/users", 405, "GET, HEAD, OPTIONS, POST"},
		{"OPTIONS", "x", "/users", 204, "GET, HEAD, OPTIONS, POST"},
		{"GET", "x", "/dir", 308, "/dir/"},
		{"GET", "x", "/users/7/", 308, "/users/7"},
		{"GET", "x", "/users/%5Cevil.example/", 308, "/users/%5Cevil.example"},
		{"GET", "x", "//evil.example/", 404, ""},
		{"GET", "x", "/nothing", 404, ""},
		{"GET", "x", "/users/%zz", 404, ""},
		{"GET", "x", "*", 400, ""},
	}
	for _, tt := range tests {
		r := serve(abi.Event{Method: tt.method, Host: tt.host, Path: tt.path})
		got := string(r.Body)
		switch {
		case r.Status == 405, r.Status == 204:
			got = header(r, "Allow")
		case r.Status == 308:
			got = header(r, "Location")
		case r.Status >= 400:
			got = ""
		}
		if r.Status != tt.status || got != tt.want || r.Error != "" {
			t.Errorf("%s %s%s = %d %q %s, want %d %q", tt.method, tt.host, tt.path, r.Status, got, r.Error, tt.status, tt.want)
		}
		if r.Status >= 400 && header(r, "Content-Type") != problemType {
			t.Errorf("%s %s: an error has type %q, want %q", tt.method, tt.path, header(r, "Content-Type"), problemType)
		}
	}
}

func TestNoRedirectToAnotherHost(t *testing.T) {
	register(t, func() { HTTP("/{name}", say) })
	for _, path := range []string{`/\evil.example/`, "//evil.example/", "///"} {
		if r := serve(abi.Event{Method: "GET", Path: path}); r.Status != 404 {
			t.Errorf("GET %s = %d %v, want 404", path, r.Status, r.Headers)
		}
	}
	r := serve(abi.Event{Method: "GET", Path: "/a/", Query: "x=1"})
	if r.Status != 308 || header(r, "Location") != "/a?x=1" {
		t.Errorf("GET /a/?x=1 = %d %v, want 308 to /a?x=1", r.Status, r.Headers)
	}
}

func TestRequest(t *testing.T) {
	var got []string
	register(t, func() {
		HTTP("/x/{id}", func(w ResponseWriter, r *Request) {
			got = []string{r.Header("x-a"), r.Header("none"), r.Query("q"), r.Query("a b"), r.Query("bad"), r.Query("none"),
				r.PathValue("id"), r.PathValue("tenant"), r.PathValue("none"), string(r.Body), r.Remote, r.RawQuery}
		})
	})
	serve(abi.Event{Path: "/x/7", Query: "q=1%2B1&q=2&a+b=c+d&bad=%zz&;=1", Remote: "r", Body: []byte("body"),
		Headers: []abi.Field{{Name: "X-A", Value: "1"}, {Name: "X-A", Value: "2"}},
		Params:  []abi.Field{{Name: "tenant", Value: "acme"}, {Name: "id", Value: "route's"}}})
	want := []string{"1", "", "1+1", "c d", "", "", "7", "acme", "", "body", "r", "q=1%2B1&q=2&a+b=c+d&bad=%zz&;=1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the handler sees %q, want %q", got, want)
	}
}

func TestResponse(t *testing.T) {
	long := strings.Repeat("a", sniffed-1) + "é" // cut in two by the limit
	tests := map[string]struct {
		write func(w ResponseWriter)
		want  abi.Reply
	}{
		"nothing":      {func(w ResponseWriter) {}, abi.Reply{}},
		"text":         {func(w ResponseWriter) { w.Write([]byte("<p>")) }, abi.Reply{Headers: []abi.Field{{Name: "Content-Type", Value: "text/plain; charset=utf-8"}}, Body: []byte("<p>")}},
		"long text":    {func(w ResponseWriter) { w.WriteString(long) }, abi.Reply{Headers: []abi.Field{{Name: "Content-Type", Value: "text/plain; charset=utf-8"}}, Body: []byte(long)}},
		"binary":       {func(w ResponseWriter) { w.WriteString("\xff\xd8") }, abi.Reply{Headers: []abi.Field{{Name: "Content-Type", Value: "application/octet-stream"}}, Body: []byte("\xff\xd8")}},
		"no type":      {func(w ResponseWriter) { w.Header().Set("Content-Type", ""); w.WriteString("x") }, abi.Reply{Headers: []abi.Field{}, Body: []byte("x")}},
		"first status": {func(w ResponseWriter) { w.WriteHeader(201); w.WriteHeader(500) }, abi.Reply{Status: 201}},
		"headers": {func(w ResponseWriter) {
			h := w.Header()
			h.Add("Set-Cookie", "a=1")
			h.Add("set-cookie", "b=2")
			h.Set("X", "1")
			h.Set("x", "2")
			h.Add("gone", "1")
			h.Del("Gone")
		}, abi.Reply{Headers: []abi.Field{{Name: "Set-Cookie", Value: "a=1"}, {Name: "set-cookie", Value: "b=2"}, {Name: "x", Value: "2"}}}},
	}
	for name, tt := range tests {
		w := &response{}
		tt.write(w)
		if got := w.reply(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: reply = %+v, want %+v", name, got, tt.want)
		}
	}
	for _, status := range []int{0, 101, 199, 600} {
		if text := panicText(func() { new(response).WriteHeader(status) }); !strings.Contains(text, "200 to 599") {
			t.Errorf("WriteHeader(%d) panics with %q", status, text)
		}
	}
}

type order struct {
	Item string `json:"item"`
	N    int    `json:"n"`
}

func TestHandle(t *testing.T) {
	register(t, func() {
		Handle("double", func(_ context.Context, in order) (order, error) {
			switch in.Item {
			case "none":
				return order{}, errors.New("no such item")
			case "silent":
				return order{}, errors.New("")
			}
			in.N *= 2
			return in, nil
		})
		Handle("chan", func(context.Context, struct{}) (chan int, error) { return nil, nil })
	})
	tests := []struct {
		handler, payload string
		status           int
		body, fault      string
	}{
		{"double", `{"item":"a","n":2}`, 0, `{"item":"a","n":4}`, ""},
		{"double", ``, 0, `{"item":"","n":0}`, ""},
		{"double", `{"n":"two"}`, 400, `cannot unmarshal string`, ""},
		{"double", `{`, 400, `unexpected end of JSON input`, ""},
		{"double", `{"item":"none"}`, 0, "", "no such item"},
		{"double", `{"item":"silent"}`, 0, "", "without a message"},
		{"chan", ``, 0, "", "unsupported type"},
		{"missing", ``, 0, "", "no Handle missing; it has [double chan]"},
		{"", ``, 0, "", "no Handle is named, and the module has [double chan]"},
	}
	for _, tt := range tests {
		r := serve(abi.Event{Handler: tt.handler, Method: "POST", Path: "/", Body: []byte(tt.payload)})
		if r.Status != tt.status || !strings.Contains(string(r.Body), tt.body) || !strings.Contains(r.Error, tt.fault) ||
			(tt.fault == "") != (r.Error == "") {
			t.Errorf("%s(%s) = %d %q %q, want %d %q %q", tt.handler, tt.payload, r.Status, r.Body, r.Error, tt.status, tt.body, tt.fault)
		}
	}
}

func TestOnlyHandleNeedsNoName(t *testing.T) {
	register(t, func() {
		Handle("echo", func(_ context.Context, in string) (string, error) { return in, nil })
	})
	if r := serve(abi.Event{Method: "POST", Path: "/echo", Body: []byte(`"a"`)}); string(r.Body) != `"a"` {
		t.Errorf("the only Handle answers %q %q, want %q", r.Body, r.Error, `"a"`)
	}
	register(t, func() {})
	if r := serve(abi.Event{}); !strings.Contains(r.Error, "registers no handlers") {
		t.Errorf("a module without handlers answers %+v", r)
	}
}

func TestRegistrationPanics(t *testing.T) {
	echo := func(_ context.Context, in string) (string, error) { return in, nil }
	tests := map[string]struct {
		f    func()
		want string
	}{
		"bad pattern":   {func() { HTTP("users", say) }, `sett: HTTP("users"): the path is missing`},
		"tie":           {func() { HTTP("/a/{x}", say); HTTP("/a/{y}", say) }, `sett: HTTP("/a/{y}"): ties with "/a/{x}"`},
		"nil handler":   {func() { HTTP("/a", nil) }, "handler is nil"},
		"name taken":    {func() { Handle("a", echo); Handle("a", echo) }, `sett: Handle("a"): the name is taken`},
		"bad name":      {func() { Handle("a.b", echo) }, `sett: Handle("a.b"): a name has 1 to 63`},
		"empty name":    {func() { Handle("", echo) }, "a name has 1 to 63"},
		"long name":     {func() { Handle(strings.Repeat("a", 64), echo) }, "a name has 1 to 63"},
		"nil Handle":    {func() { Handle[int, int]("a", nil) }, "handler is nil"},
		"many patterns": {func() { many(abi.MaxPatterns+1, func(s string) { HTTP("/"+s, say) }) }, "more than 128 patterns"},
		"many handles":  {func() { many(abi.MaxHandles+1, func(s string) { Handle(s, echo) }) }, "more than 256 handles"},
	}
	for name, tt := range tests {
		register(t, func() {
			if got := panicText(tt.f); !strings.Contains(got, tt.want) {
				t.Errorf("%s: panics with %q, want %q", name, got, tt.want)
			}
		})
	}
}

// many calls f with n names.
func many(n int, f func(string)) {
	for i := range n {
		f("n" + strings.Repeat("a", i/26) + string(rune('a'+i%26)))
	}
}

func TestDescribe(t *testing.T) {
	register(t, func() {
		HTTP("/{path...}", say)
		HTTP("GET /users/{id}", say)
		Handle("b", func(context.Context, int) (int, error) { return 0, nil })
		Handle("a", func(context.Context, int) (int, error) { return 0, nil })
	})
	var got abi.Description
	if err := abi.DecodeDescription(describe(), &got); err != nil {
		t.Fatal(err)
	}
	want := abi.Description{ABI: abi.Version, SDK: "go/" + Version, Handles: []string{"b", "a"}, Patterns: []string{"GET /users/{id}", "/{path...}"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("describe() = %+v, want %+v", got, want)
	}
}

// TestSmallRequestsAllocateLittle: each allocation in a guest dirties pages that must be restored after it.
func TestSmallRequestsAllocateLittle(t *testing.T) {
	register(t, func() {
		HTTP("GET /users/{id}", func(w ResponseWriter, r *Request) { w.WriteString(r.PathValue("id")) })
	})
	g := newGuest()
	event := abi.AppendEvent(nil, &abi.Event{Method: "GET", Path: "/users/7", Host: "localhost:8080", DeadlineUnixMS: 1795400000123,
		Headers: []abi.Field{{Name: "Accept", Value: "*/*"}}})
	got := testing.AllocsPerRun(100, func() {
		if _, err := g.handle(event); err != nil {
			t.Fatal(err)
		}
	})
	if got > 1 { // the text of the event
		t.Errorf("a small request makes %v allocations, want 1", got)
	}
}

// FuzzGuest is the guest's side of the border: what it makes of any bytes.
func FuzzGuest(f *testing.F) {
	f.Add(abi.AppendEvent(nil, &abi.Event{Method: "GET", Path: "/users/7%20", Query: "q=%31", Host: "h:1"}))
	f.Add(abi.AppendEvent(nil, &abi.Event{Handler: "echo", Body: []byte(`"x"`)}))
	f.Add([]byte{0xff})
	before := table
	defer func() { table = before }()
	table.routes, table.handles = nil, nil
	HTTP("GET /users/{id}", say)
	HTTP("/{path...}", func(w ResponseWriter, r *Request) { w.WriteString(r.Query("q") + r.Header("a") + r.PathValue("path")) })
	Handle("echo", func(_ context.Context, in any) (any, error) { return in, nil })
	f.Fuzz(func(t *testing.T, event []byte) {
		reply, err := newGuest().handle(event)
		if err != nil {
			return
		}
		var r abi.Reply
		if err := abi.DecodeReply(reply, &r); err != nil && abi.CodeOf(err) != abi.TooLarge {
			t.Fatalf("handle(%x) answers %x: %v", event, reply, err)
		}
	})
}

package runtime

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

func TestEnvironment(t *testing.T) {
	e := event()
	e.Method, e.Scheme, e.Host, e.Path, e.Query = "POST", "https", "example.org", "/users/j%C3%BCrgen%2f1", "a=b%20c"
	e.Body = []byte("12345")
	e.Pattern, e.Handler, e.DeadlineUnixMS = "POST /users/{user-id}", "create", 1700000000000
	e.Params = []abi.Field{{Name: "user-id", Value: "jürgen/1"}}
	e.Headers = []abi.Field{
		{Name: "accept", Value: "a"}, {Name: "Cookie", Value: "x=1"}, {Name: "Accept", Value: "b"},
		{Name: "cookie", Value: "y=2"}, {Name: "Proxy", Value: "http://evil"}, {Name: "Content-Type", Value: "text/plain"},
		{Name: "Content-Length", Value: "99"}, {Name: "X_Forged", Value: "1"}, {Name: "X-Real", Value: "2"},
	}
	v := &registry.Version{Settings: registry.Settings{Env: map[string]string{
		"COLOR": "blue", "PATH_INFO": "/evil", "HTTP_PROXY": "http://evil", "HTTP_X_REAL": "3", "SETT_APP": "other", "HTTPS": "off",
	}}}
	got, err := environment("sett/1", v, e)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=sett/1", "SERVER_PROTOCOL=HTTP/1.1", "HTTPS=on",
		"SERVER_NAME=example.org", "SERVER_PORT=443", "REMOTE_ADDR=127.0.0.1", "REMOTE_PORT=1234",
		"REQUEST_METHOD=POST", "REQUEST_URI=/users/j%C3%BCrgen%2f1?a=b%20c", "SCRIPT_NAME=",
		"PATH_INFO=/users/jürgen/1", "QUERY_STRING=a=b%20c", "CONTENT_LENGTH=5", "SETT_TRIGGER=http",
		"SETT_INVOCATION=01J0000000000000000000TEST", "SETT_APP=default", "SETT_FUNCTION=f", "SETT_VERSION=1",
		"SETT_ATTEMPT=1", "SETT_DEADLINE_UNIX_MS=1700000000000", "SETT_PATTERN=POST /users/{user-id}",
		"SETT_HANDLER=create", "HTTP_ACCEPT=a, b", "HTTP_COOKIE=x=1; y=2", "CONTENT_TYPE=text/plain",
		"HTTP_X_REAL=2", "SETT_PARAM_USER_ID=jürgen/1", "COLOR=blue",
	}
	if !slices.Equal(got, want) {
		t.Errorf("environment:\n got %q\nwant %q", got, want)
	}
}

func TestEnvironmentRefuses(t *testing.T) {
	for _, path := range []string{"/%00", "/%zz", "/%"} {
		e := event()
		e.Path = path
		if env, err := environment("sett", &registry.Version{}, e); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("environment of path %s: %q, %v, want invalid_input", path, env, err)
		}
	}
	e := event()
	e.Remote, e.Host = "unix", "[::1]:80"
	env, err := environment("sett", &registry.Version{}, e)
	if err != nil || !slices.Contains(env, "REMOTE_ADDR=unix") || !slices.Contains(env, "SERVER_NAME=::1") {
		t.Errorf("environment = %q, %v", env, err)
	}
}

func TestParseCGI(t *testing.T) {
	big := "A: " + strings.Repeat("x", MaxHeaderBytes) + "\n\n"
	for _, test := range []struct {
		out, want string // status, headers, body; or an error
	}{
		{"Content-Type: text/plain\n\nhi", `0 [{Content-Type text/plain}] "hi"`},
		{"Content-Type: text/plain\r\n\r\nhi\r\n", `0 [{Content-Type text/plain}] "hi\r\n"`},
		{"A: 1\nA:2\nb:  3 \t\n\n\n", `0 [{A 1} {A 2} {b 3}] "\n"`},
		{"Status: 404 Not Found\n\n", `404 [] ""`},
		{"status:204\n\n", `204 [] ""`},
		{"Location: /x\n\n", `302 [{Location /x}] ""`},
		{"Location: /x\nStatus: 201\n\nbody", `201 [{Location /x}] "body"`},
		{"Empty:\n\n", `0 [{Empty }] ""`},
		{"", errNoHeaders.Error()},
		{"\nhello", errNoHeaders.Error()},
		{"hello", errNoHeaders.Error()},
		{"hello\n\n", "has no colon"},
		{"A: b\n", errNoBlank.Error()},
		{"A: b", errNoHeaders.Error()},
		{"Status: 20\n\n", "three digits"},
		{"Status: +20\n\n", "three digits"},
		{"Status: \n\n", "three digits"},
		{"Status: 200\nStatus: 200\n\n", "two Status lines"},
		{big, "longer than 65536 bytes"},
	} {
		var reply abi.Reply
		got := ""
		if err := parseCGI([]byte(test.out), &reply); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%d %v %q", reply.Status, reply.Headers, reply.Body)
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("parseCGI(%.80q) = %s, want %s", test.out, got, test.want)
		}
	}
}

func TestCheckReply(t *testing.T) {
	header := func(name, value string) abi.Reply { return abi.Reply{Headers: []abi.Field{{Name: name, Value: value}}} }
	many := abi.Reply{Headers: make([]abi.Field, abi.MaxHeaders+1)}
	for _, test := range []struct {
		reply abi.Reply
		want  string
	}{
		{abi.Reply{}, ""},
		{abi.Reply{Status: 200}, ""},
		{abi.Reply{Status: 599}, ""},
		{abi.Reply{Status: 199}, "status 199"},
		{abi.Reply{Status: 600}, "status 600"},
		{abi.Reply{Status: -1}, "status -1"},
		{abi.Reply{Body: make([]byte, 100)}, ""},
		{abi.Reply{Body: make([]byte, 101)}, "body of 101 bytes is over the limit of 100"},
		{header("X-A!#$%&'*+-.^_`|~9", "tab\tand \xff"), ""},
		{header("", "x"), "header name"},
		{header("a b", "x"), "header name"},
		{header("a:", "x"), "header name"},
		{header("\xff", "x"), "header name"},
		{header("a", "x\r\nSet-Cookie: y"), "invalid value"},
		{header("a", "x\n"), "invalid value"},
		{header("a", "\x00"), "invalid value"},
		{header("a", "\x7f"), "invalid value"},
		{header("a", strings.Repeat("x", MaxHeaderBytes)), "longer than 65536"},
		{many, "1025 headers"},
	} {
		err := checkReply(&test.reply, 100)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("checkReply(%.80v): %v, want %q", test.reply, err, test.want)
		}
	}
}

// FuzzParseCGI checks that whatever a command writes is refused, or becomes a reply that is valid and holds no
// byte that was not written.
func FuzzParseCGI(f *testing.F) {
	for _, s := range []string{"A: b\n\nbody", "Status: 200 OK\r\n\r\n", "Location: x\n\n", "A\n\n", "A: \r\r\n\n", "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		var reply abi.Reply
		if parseCGI(out, &reply) != nil || checkReply(&reply, 1<<20) != nil {
			return
		}
		if !strings.HasSuffix(string(out), string(reply.Body)) {
			t.Errorf("body %q is not the end of %q", reply.Body, out)
		}
		for _, h := range reply.Headers {
			if strings.ContainsAny(h.Name+h.Value, "\r\n\x00") || !strings.Contains(string(out), h.Value) {
				t.Errorf("header %q", h)
			}
		}
		if reply.Status < 200 || reply.Status > 599 {
			t.Errorf("status %d", reply.Status)
		}
	})
}

package sett

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

func cgi(environ []string, stdin string) (string, error) {
	var out strings.Builder
	err := serveCGI(environ, strings.NewReader(stdin), &out)
	return out.String(), err
}

func TestMainServesCGI(t *testing.T) {
	register(t, func() {
		HTTP("GET /users/{id}", func(w ResponseWriter, r *Request) {
			i := Invocation(r.Context())
			w.Header().Set("X-Seen", r.Method+" "+r.Scheme+" "+r.Host+" "+r.Path+" "+r.Query("q")+" "+r.Remote+" "+
				r.Header("accept-language")+" "+r.PathValue("id")+" "+r.PathValue("tenant")+" "+i.ID+" "+i.Function)
			w.WriteString("ok")
		})
		HTTP("POST /users", func(w ResponseWriter, r *Request) {
			w.WriteHeader(201)
			w.WriteString(r.Header("Content-Type") + " " + string(r.Body))
		})
		HTTP("GET /empty", func(w ResponseWriter, r *Request) {})
		HTTP("GET /bad", func(w ResponseWriter, r *Request) { w.Header().Set("X", "a\r\nb") })
	})
	text := "Content-Type: text/plain; charset=utf-8\r\n\r\n"
	tests := map[string]struct {
		env   []string
		stdin string
		want  string
		err   string
	}{
		"full": {env: []string{"REQUEST_METHOD=GET", "REQUEST_URI=/users/a%20b?q=1", "QUERY_STRING=q=1", "PATH_INFO=/users/a b",
			"SCRIPT_NAME=", "HTTPS=on", "HTTP_HOST=h:1", "REMOTE_ADDR=::1", "REMOTE_PORT=9", "HTTP_ACCEPT_LANGUAGE=de", "SETT_PARAM_TENANT=acme",
			"SETT_INVOCATION=01J", "SETT_FUNCTION=users"},
			want: "X-Seen: GET https h:1 /users/a%20b 1 [::1]:9 de a b acme 01J users\r\n" + text + "ok"},
		"mounted by another server": {env: []string{"REQUEST_METHOD=GET", "REQUEST_URI=/cgi/users/7", "SCRIPT_NAME=/cgi", "PATH_INFO=/users/7",
			"SERVER_NAME=s", "SERVER_PORT=8080", "REMOTE_ADDR=1.2.3.4"},
			want: "X-Seen: GET http s:8080 /users/7  1.2.3.4  7   \r\n" + text + "ok"},
		"absolute form":    {env: []string{"REQUEST_URI=http://s/users/7?q=x"}, want: "X-Seen: GET http  /users/7 x   7   \r\n" + text + "ok"},
		"decoded path":     {env: []string{"PATH_INFO=/users/a?b"}, want: "X-Seen: GET http  /users/a%3Fb    a?b   \r\n" + text + "ok"},
		"body with length": {env: []string{"REQUEST_METHOD=POST", "REQUEST_URI=/users", "CONTENT_LENGTH=2", "CONTENT_TYPE=a/b"}, stdin: "hello", want: "Status: 201\r\n" + text + "a/b he"},
		"body to its end":  {env: []string{"REQUEST_METHOD=POST", "REQUEST_URI=/users"}, stdin: "hello", want: "Status: 201\r\n" + text + " hello"},
		"no headers":       {env: []string{"REQUEST_URI=/empty"}, want: "Status: 200\r\n\r\n"},
		"nothing given":    {want: "Status: 404\r\nContent-Type: application/problem+json\r\n\r\n" + `{"type":"about:blank","title":"Not Found","status":404}`},
		"short body":       {env: []string{"REQUEST_METHOD=POST", "CONTENT_LENGTH=9"}, stdin: "hello", err: "shorter than CONTENT_LENGTH 9"},
		"bad length":       {env: []string{"CONTENT_LENGTH=-1"}, err: `CONTENT_LENGTH "-1" is no length`},
		"huge length":      {env: []string{"CONTENT_LENGTH=99999999999"}, err: "is no length"},
		"bad header":       {env: []string{"REQUEST_URI=/bad"}, err: `header "X" has no valid name or value`},
	}
	for name, tt := range tests {
		got, err := cgi(tt.env, tt.stdin)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || got != "" {
				t.Errorf("%s: %q, %v, want error %q and no output", name, got, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tt.want)
		}
	}
}

func TestMainRunsHandle(t *testing.T) {
	register(t, func() {
		Handle("greet", func(_ context.Context, name string) (string, error) {
			if name == "" {
				return "", errors.New("no name")
			}
			return "hello, " + name, nil
		})
	})
	want := "Content-Type: application/json\r\n\r\n\"hello, ada\""
	for _, env := range [][]string{nil, {"SETT_HANDLER=greet"}} {
		if got, err := cgi(env, `"ada"`); err != nil || got != want {
			t.Errorf("with %v: %q, %v, want %q", env, got, err, want)
		}
	}
	if got, err := cgi(nil, ""); err == nil || err.Error() != "no name" || got != "" {
		t.Errorf("a Handle's error: %q, %v, want it and no output", got, err)
	}
}

// TestBodyWithoutLengthIsHeldToTheLimit: a body that is too long is refused, never cut short.
func TestBodyWithoutLengthIsHeldToTheLimit(t *testing.T) {
	for more, want := range map[int64]string{0: "", 1: "longer than"} {
		e := abi.Event{Method: "POST"}
		err := readBody(&e, "", io.LimitReader(zeros{}, abi.MaxMessageBytes+more))
		if want == "" && (err != nil || len(e.Body) != abi.MaxMessageBytes) {
			t.Errorf("readBody at the limit = %v, %d bytes", err, len(e.Body))
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("readBody beyond the limit = %v, %d bytes, want %q", err, len(e.Body), want)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

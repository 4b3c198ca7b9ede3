package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	for query, want := range map[string]string{
		"":        "Content-Type: text/plain; charset=utf-8\n\nPOST /wagi, 6 bytes: hello\n",
		"shout=1": "Content-Type: text/plain; charset=utf-8\n\nPOST /wagi, 6 bytes: HELLO\n",
		"%zz":     "Status: 400 Bad Request\nContent-Type: text/plain\n\ninvalid URL escape \"%zz\"\n",
	} {
		env := map[string]string{"REQUEST_METHOD": "POST", "PATH_INFO": "/wagi", "QUERY_STRING": query}
		var out strings.Builder
		err := run(func(name string) string { return env[name] }, strings.NewReader("hello\n"), &out)
		if err != nil || out.String() != want {
			t.Errorf("with query %q: %q, %v, want %q", query, out.String(), err, want)
		}
	}
}

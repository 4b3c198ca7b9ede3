package main

import (
	"testing"

	"github.com/sett-run/sett/sdk/go/settest"
)

func TestSite(t *testing.T) {
	form := []settest.Header{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}}
	tests := []struct {
		request settest.Request
		status  int
		header  string
		value   string
		body    string
	}{
		{settest.Request{Target: "/a%20b", Host: "h"}, 200, "Content-Type", "text/html; charset=utf-8", "<!doctype html>\n<title>nethttp</title>\n<p>You asked h for /a b.\n"},
		{settest.Request{Method: "POST", Target: "/form", Headers: form, Body: "name=Ada+L."}, 200, "Content-Type", "text/plain; charset=utf-8", "Hello, Ada L.!\n"},
		{settest.Request{Method: "HEAD", Target: "/old/x"}, 301, "Location", "/", ""},
		{settest.Request{Method: "POST", Target: "/"}, 405, "Allow", "GET, HEAD", "Method Not Allowed\n"},
	}
	for _, tt := range tests {
		r := settest.Do(t, tt.request)
		if r.Status != tt.status || r.Header(tt.header) != tt.value || string(r.Body) != tt.body {
			t.Errorf("%s %s = %d %q %q, want %d %q %q", tt.request.Method, tt.request.Target, r.Status, r.Header(tt.header), r.Body,
				tt.status, tt.value, tt.body)
		}
		if len(r.Header("X-Year")) != 4 {
			t.Errorf("%s: the middleware did not run", tt.request.Target)
		}
	}
}

package main

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sett-run/sett/sdk/go/settest"
)

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := settest.Get(t, "/ticks?n=3")
		if !r.Flushed || r.Header("Content-Type") != "text/event-stream" {
			t.Errorf("GET /ticks is flushed: %v, of type %q", r.Flushed, r.Header("Content-Type"))
		}
		const want = "id: 1\ndata: 2000-01-01T00:00:00Z\n\nid: 2\ndata: 2000-01-01T00:00:01Z\n\nid: 3\ndata: 2000-01-01T00:00:02Z\n\n"
		if string(r.Body) != want {
			t.Errorf("GET /ticks = %q, want %q", r.Body, want)
		}
	})
}

func TestSum(t *testing.T) {
	const want = "6 bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721\n"
	for _, r := range []settest.Request{{Body: "abcdef"}, {Body: "abc", Rest: strings.NewReader("def")}} {
		r.Method, r.Target = "PUT", "/sum"
		if got := string(settest.Do(t, r).Body); got != want {
			t.Errorf("PUT /sum of %q = %q, want %q", r.Body, got, want)
		}
	}
}

package main

import (
	"testing"

	"github.com/sett-run/sett/sdk/go/settest"
)

func TestHello(t *testing.T) {
	r := settest.Get(t, "/hello/Ada%20L.")
	if got, want := string(r.Body), "Hello, Ada L.!\n"; r.Status != 200 || got != want {
		t.Errorf("GET /hello/Ada%%20L. = %d %q, want 200 %q", r.Status, got, want)
	}
	if r := settest.Do(t, settest.Request{Method: "POST", Target: "/hello/Ada"}); r.Status != 405 || r.Header("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST /hello/Ada = %d, Allow %q, want 405", r.Status, r.Header("Allow"))
	}
}

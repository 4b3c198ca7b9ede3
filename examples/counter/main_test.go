package main

import (
	"testing"

	"github.com/sett-run/sett/sdk/go/settest"
)

func TestCounter(t *testing.T) {
	for _, tt := range []struct{ method, target, want string }{
		{"GET", "/counter/visits", "0\n"},
		{"POST", "/counter/visits", "1\n"},
		{"POST", "/counter/visits", "2\n"},
		{"POST", "/counter/others", "1\n"},
		{"GET", "/counter/visits", "2\n"},
	} {
		r := settest.Do(t, settest.Request{Method: tt.method, Target: tt.target})
		if r.Status != 200 || string(r.Body) != tt.want {
			t.Errorf("%s %s = %d %q, want %q", tt.method, tt.target, r.Status, r.Body, tt.want)
		}
	}
}

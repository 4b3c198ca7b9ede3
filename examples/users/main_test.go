package main

import (
	"testing"

	"github.com/sett-run/sett/sdk/go/settest"
)

func TestUsers(t *testing.T) {
	tests := []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/users", "", 200, `{"users":[{"id":1,"name":"Ada"},{"id":2,"name":"Alan"},{"id":3,"name":"Barbara"}]}`},
		{"GET", "/users/2", "", 200, `{"id":2,"name":"Alan"}`},
		{"GET", "/users/99", "", 404, `{"error":"no user 99"}`},
		{"POST", "/users", `{"name":"Grace","id":1}`, 201, `{"id":4,"name":"Grace"}`},
		{"POST", "/users", `{}`, 422, `{"error":"name is missing"}`},
		{"POST", "/users", `{`, 400, `{"error":"unexpected end of JSON input"}`},
	}
	for _, tt := range tests {
		r := settest.Do(t, settest.Request{Method: tt.method, Target: tt.target, Body: tt.body})
		if r.Status != tt.status || string(r.Body) != tt.want+"\n" || r.Header("Content-Type") != "application/json" {
			t.Errorf("%s %s %s = %d %q, want %d %q", tt.method, tt.target, tt.body, r.Status, r.Body, tt.status, tt.want)
		}
	}
}

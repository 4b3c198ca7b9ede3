package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/go/settest"
)

func ask(t *testing.T, method, target, cookie string) *settest.Response {
	t.Helper()
	return settest.Do(t, settest.Request{Method: method, Target: target, Body: "Ada",
		Headers: []settest.Header{{Name: "Cookie", Value: "theme=dark; " + cookie}}})
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if r := settest.Do(t, settest.Request{Method: "POST", Target: "/login"}); r.Status != 400 {
			t.Errorf("login without a name = %d, want 400", r.Status)
		}
		if r := ask(t, "GET", "/me", "session=guessed"); r.Status != 401 {
			t.Errorf("GET /me with a guessed session = %d, want 401", r.Status)
		}
		cookie, _, _ := strings.Cut(ask(t, "POST", "/login", "").Header("Set-Cookie"), ";")
		for range 3 { // in use it lives on
			if r := ask(t, "GET", "/me", cookie); r.Status != 200 || string(r.Body) != "Ada\n" {
				t.Errorf("GET /me = %d %q, want Ada", r.Status, r.Body)
			}
			time.Sleep(lifetime - time.Second)
		}
		time.Sleep(time.Second)
		if r := ask(t, "GET", "/me", cookie); r.Status != 401 {
			t.Errorf("GET /me after %v = %d, want 401", lifetime, r.Status)
		}
		cookie, _, _ = strings.Cut(ask(t, "POST", "/login", "").Header("Set-Cookie"), ";")
		if r := ask(t, "POST", "/logout", cookie); r.Status != 204 {
			t.Errorf("logout = %d, want 204", r.Status)
		}
		if r := ask(t, "GET", "/me", cookie); r.Status != 401 {
			t.Errorf("GET /me after logout = %d, want 401", r.Status)
		}
	})
}

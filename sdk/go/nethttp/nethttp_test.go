package nethttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/nethttp"
	"github.com/sett-run/sett/sdk/go/settest"
)

var mux = http.NewServeMux()

func init() {
	handle := func(pattern string, f func(w http.ResponseWriter, r *http.Request)) { mux.HandleFunc(pattern, f) }
	handle("GET /user/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "user %s", r.PathValue("id")) })
	handle("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %d %v %v %q", r.Method, r.RequestURI, r.URL.Path, r.URL.Query().Get("q"),
			r.ContentLength, r.Header.Values("X-Twice"), r.Header.Get("Host"), body)
	})
	handle("/html", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<!doctype html><p>hi") })
	handle("/binary", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("\x89PNG\r\n\x1a\n")) })
	handle("/encoded", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "<p>")
	})
	handle("/untyped", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<p>")
	})
	handle("/twice", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-A", "1")
		w.Header().Add("X-A", "2")
		w.WriteHeader(201)
		w.Header().Set("X-Late", "1")
		w.WriteHeader(500)
		io.WriteString(w, "made")
	})
	handle("/early", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(103)
		w.WriteHeader(202)
	})
	handle("/none", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	})
	handle("/flush", func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			panic(err)
		}
		w.Header().Set("X-Late", "1")
		w.WriteHeader(500)
		io.WriteString(w, "flushed")
	})
	handle("/trailer", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "x")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	})
	handle("/empty", func(w http.ResponseWriter, r *http.Request) {})
	handle("/error", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	handle("/move", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/to?x=1", http.StatusSeeOther) })
	handle("/dir/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.EscapedPath()) })
	nethttp.Serve(mux)
	nethttp.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := nethttp.Request(r.Context())
		_, deadline := r.Context().Deadline()
		fmt.Fprintf(w, "%s %s %s %v %v %s %s", r.PathValue("id"), r.PathValue("tenant"), in.Pattern(), deadline, r.TLS != nil,
			sett.Invocation(r.Context()).Function, r.RemoteAddr)
	}), "/own/{id}")
}

// TestServesAsNetHTTPDoes asks the same of the handler behind net/http's own server and behind Serve.
func TestServesAsNetHTTPDoes(t *testing.T) {
	server := httptest.NewServer(mux)
	defer server.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableCompression: true}}
	for _, tt := range []struct{ method, target, body string }{
		{"GET", "/user/a%20b", ""}, {"PUT", "/user/7", ""}, {"GET", "/echo?q=%31&q=2", ""}, {"POST", "/echo", "body"},
		{"GET", "/html", ""}, {"GET", "/binary", ""}, {"GET", "/encoded", ""}, {"GET", "/untyped", ""}, {"GET", "/twice", ""},
		{"GET", "/early", ""}, {"DELETE", "/none", ""}, {"GET", "/flush", ""}, {"GET", "/trailer", ""}, {"GET", "/empty", ""}, {"GET", "/error", ""},
		{"GET", "/move", ""}, {"GET", "/dir", ""}, {"GET", "/dir/a%2Fb", ""}, {"GET", "/dir/../x", ""}, {"GET", "/nothing", ""},
	} {
		req, err := http.NewRequestWithContext(context.Background(), tt.method, server.URL+tt.target, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"X-Twice": {"1", "2"}}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		got := settest.Do(t, settest.Request{Method: tt.method, Target: tt.target, Body: tt.body, Host: req.URL.Host,
			Headers: []settest.Header{{Name: "X-Twice", Value: "1"}, {Name: "x-twice", Value: "2"}, {Name: "Host", Value: "h"}}})
		if got.Status != res.StatusCode || !bytes.Equal(got.Body, body) || !reflect.DeepEqual(headers(got), plain(res.Header)) {
			t.Errorf("%s %s = %d %v %q, net/http answers %d %v %q", tt.method, tt.target, got.Status, headers(got), got.Body,
				res.StatusCode, plain(res.Header), body)
		}
	}
}

func headers(r *settest.Response) []string {
	var all []string
	for _, h := range r.Headers {
		all = append(all, h.Name+": "+h.Value)
	}
	return all
}

// plain are a server's headers without those that are the node's business.
func plain(h http.Header) []string {
	var all []string
	for name, values := range h {
		for _, v := range values {
			if name != "Date" && name != "Content-Length" {
				all = append(all, name+": "+v)
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestRequestIsTheEvent(t *testing.T) {
	r := settest.Do(t, settest.Request{Target: "/own/7", Params: []settest.Header{{Name: "tenant", Value: "acme"}, {Name: "id", Value: "0"}}})
	if got, want := string(r.Body), "7 acme /own/{id} true false test 127.0.0.1:1"; got != want {
		t.Errorf("GET /own/7 = %q, want %q", got, want)
	}
	if nethttp.Request(context.Background()) != nil {
		t.Error("a foreign context has an event")
	}
}

func TestBadRequest(t *testing.T) {
	if r := settest.Get(t, "/%zz"); r.Status != 400 {
		t.Errorf("GET /%%zz = %d, want 400", r.Status)
	}
}

func TestServePanics(t *testing.T) {
	for want, f := range map[string]func(){
		"the handler is nil": func() { nethttp.Serve(nil) },
		"ties with":          func() { nethttp.Serve(mux) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, want) {
					t.Errorf("Serve panics with %q, want %q", text, want)
				}
			}()
			f()
		}()
	}
}

// Command nethttp serves an http.Handler as it would behind net/http's own server.
package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sett-run/sett/sdk/go/nethttp"
)

func init() { nethttp.Serve(site()) }

// site is any handler: a mux, middleware, a router of your choice.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<!doctype html>\n<title>nethttp</title>\n<p>You asked %s for %s.\n", r.Host, r.URL.Path)
	})
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.PostFormValue("name"))
	})
	mux.Handle("GET /old/", http.RedirectHandler("/", http.StatusMovedPermanently))
	return timed(mux)
}

// timed is middleware.
func timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Year", time.Now().UTC().Format("2006"))
		next.ServeHTTP(w, r)
	})
}

func main() {}

// Command nethttp serves a mux of net/http.
package main

import (
	"fmt"
	"net/http"

	"github.com/sett-run/sett/sdk/go/nethttp"
)

func init() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.PathValue("name"))
	})
	nethttp.Serve(mux)
}

func main() {}

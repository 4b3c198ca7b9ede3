// Command fetchhttp sends HTTP requests by net/http's client.
package main

import (
	"bytes"
	"io"
	"net/http"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/fetch/fetchhttp"
)

var client = &http.Client{Transport: fetchhttp.Transport{}}

func init() {
	sett.HTTP("/", func(w sett.ResponseWriter, r *sett.Request) {
		request, err := http.NewRequestWithContext(r.Context(), "POST", string(r.Body), bytes.NewBufferString("ping"))
		if err != nil {
			panic(err)
		}
		response, err := client.Do(request)
		if err != nil {
			w.WriteHeader(502)
			w.WriteString(err.Error())
			return
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			panic(err)
		}
		w.WriteHeader(response.StatusCode)
		w.WriteString(response.Header.Get("X-Pong"))
		w.Write(body)
	})
}

func main() {}

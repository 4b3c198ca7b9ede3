// Command fetch sends HTTP requests without net/http.
package main

import (
	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/fetch"
)

func init() {
	sett.HTTP("/", func(w sett.ResponseWriter, r *sett.Request) {
		response, err := fetch.Post(r.Context(), string(r.Body), "text/plain", []byte("ping"))
		if err != nil {
			w.WriteHeader(502)
			w.WriteString(err.Error())
			return
		}
		w.WriteHeader(response.Status)
		w.WriteString(response.Header("x-pong"))
		w.Write(response.Body)
	})
}

func main() {}

// Command invoke runs other functions.
package main

import (
	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/invoke"
)

func init() {
	sett.HTTP("/sync", func(w sett.ResponseWriter, r *sett.Request) {
		result, err := invoke.Sync(r.Context(), "users:v3", r.Body)
		answer(w, string(result), err)
	})
	sett.HTTP("/async", func(w sett.ResponseWriter, r *sett.Request) {
		id, err := invoke.Async(r.Context(), "users", r.Body)
		answer(w, id, err)
	})
	sett.HTTP("POST /", func(w sett.ResponseWriter, r *sett.Request) {
		result, err := invoke.Sync(r.Context(), "users", r.Body)
		answer(w, "x"+string(result), err)
	})
}

func answer(w sett.ResponseWriter, text string, err error) {
	if err != nil {
		text += err.Error()
	}
	w.WriteString(text)
}

func main() {}

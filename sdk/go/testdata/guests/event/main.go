// Command event puts events on the bus, and answers what it gets from it.
package main

import (
	"context"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/events"
)

func init() {
	sett.HTTP("/put", func(w sett.ResponseWriter, r *sett.Request) {
		id, err := events.Put(r.Context(), events.New{Source: "shop", Type: "placed", Detail: map[string]string{"text": string(r.Body)}})
		if err != nil {
			id = err.Error()
		}
		w.WriteString(id)
	})
	sett.Handle("placed", func(_ context.Context, e events.Bus) (string, error) {
		var detail struct{ Text string }
		err := e.Decode(&detail)
		return e.Source + " " + detail.Text, err
	})
}

func main() {}

// The guest in Go that the benchmark deploys: it answers what the bare server does.
package main

import sett "github.com/sett-run/sett/sdk/go"

func init() {
	sett.HTTP("GET /users/{id}", func(w sett.ResponseWriter, r *sett.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteString(`{"id":` + r.PathValue("id") + `,"name":"Brock","orders":[1,2,3]}`)
	})
}

func main() {}

// Command hello is the smallest function: one route, one line of text.
package main

import sett "github.com/sett-run/sett/sdk/go"

func init() {
	sett.HTTP("GET /hello/{name}", func(w sett.ResponseWriter, r *sett.Request) {
		w.WriteString("Hello, " + r.PathValue("name") + "!\n")
	})
}

func main() {}

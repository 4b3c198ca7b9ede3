// Command command serves its handlers as a CGI program.
package main

import sett "github.com/sett-run/sett/sdk/go"

func init() {
	sett.HTTP("GET /hello/{name}", func(w sett.ResponseWriter, r *sett.Request) {
		w.WriteString("hello, " + r.PathValue("name") + "\n")
	})
}

func main() { sett.Main() }

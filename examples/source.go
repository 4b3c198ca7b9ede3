// Package examples carries the examples' sources inside the binary, so that "sett demo" works outside a checkout.
// Each folder is a project of its own: a program, its test, its sett.yaml and a README that says what to expect.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed */*.go */README.md */sett.yaml */build.sh */*.c */*.rs */*.ts */package.json */*.js */*.py */*.wit
var source embed.FS

// Sources answers the examples, a folder each: hello, users, greet, nethttp, counter, session,
// ticker, todo, fanout, checkout, report, ledger, audit, thumbnail, wagi, c, rust and assemblyscript; the components js-fetch,
// js-state, c-component and py-http.
func Sources() fs.FS { return source }

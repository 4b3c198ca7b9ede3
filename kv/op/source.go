//go:build !wasip1

package op

import "embed"

// Source holds this package's Go files, so that a project can be given the words its SDK stands on. Guests, which
// link this package, do without it.
//
//go:embed *.go
var Source embed.FS

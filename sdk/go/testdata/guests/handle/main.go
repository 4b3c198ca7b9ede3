// Command handle has one Handle.
package main

import (
	"context"

	sett "github.com/sett-run/sett/sdk/go"
)

type order struct {
	Item string `json:"item"`
	N    int    `json:"n"`
}

func init() {
	sett.Handle("double", func(_ context.Context, in order) (order, error) {
		in.N *= 2
		return in, nil
	})
}

func main() {}

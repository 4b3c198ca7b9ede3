// Command greet has one Handle: JSON in, JSON out, an error fails the invocation.
package main

import (
	"context"
	"errors"
	"log/slog"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/log"
)

type person struct {
	Name string `json:"name"`
}

type greeting struct {
	Text string `json:"text"`
}

var logger = slog.New(log.NewHandler(slog.LevelInfo))

func init() { sett.Handle("greet", greet) }

func greet(ctx context.Context, in person) (greeting, error) {
	if in.Name == "" {
		return greeting{}, errors.New("nobody to greet")
	}
	logger.InfoContext(ctx, "greeted", "name", in.Name, "attempt", sett.Invocation(ctx).Attempt)
	return greeting{"Hello, " + in.Name + "!"}, nil
}

func main() {}

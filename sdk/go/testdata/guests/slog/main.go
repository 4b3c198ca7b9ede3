// Command slog writes a log record.
package main

import (
	"log/slog"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/log"
)

var logger = slog.New(log.NewHandler(nil))

func init() {
	sett.HTTP("/log", func(w sett.ResponseWriter, r *sett.Request) { logger.Info("seen", "path", r.Path) })
}

func main() {}

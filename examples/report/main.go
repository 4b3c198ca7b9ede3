// Command report counts visits, and every morning writes down how far the count has come.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/log"
)

// visits is where all visits are counted. Reports are by the time they were due, in UTC.
const (
	visits  = "visits"
	prefix  = "report/"
	dueForm = time.RFC3339
)

var logger = slog.New(log.NewHandler(slog.LevelInfo))

func init() {
	sett.HTTP("POST /visits", visit)
	sett.HTTP("GET /reports", reports)
	sett.Handle("daily", daily)
}

func visit(w sett.ResponseWriter, r *sett.Request) {
	if _, err := kv.Incr(r.Context(), visits, 1); err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.WriteHeader(204)
}

// daily writes the report of a tick. A tick may come twice, after a crash: its report is there then, and stays as it is.
// Nothing is reset, so that no visit is lost or reported twice.
func daily(ctx context.Context, tick events.Schedule) (string, error) {
	if tick.Time.IsZero() {
		return "", errors.New("want the tick of a schedule")
	}
	count, err := kv.Get(ctx, visits)
	if errors.Is(err, kv.ErrNotFound) {
		count, err = []byte("0"), nil
	}
	if err != nil {
		return "", err
	}
	due := tick.Time.UTC().Format(dueForm)
	err = kv.Set(ctx, prefix+due, count, kv.IfAbsent)
	if errors.Is(err, kv.ErrConflict) {
		return "reported before", nil
	}
	if err != nil {
		return "", err // it is tried again
	}
	logger.InfoContext(ctx, "report", "due", due, "visits", string(count))
	return "reported", nil
}

// reports lists the visits between each report and the one before.
func reports(w sett.ResponseWriter, r *sett.Request) {
	before := int64(0)
	for item, err := range kv.List(r.Context(), prefix) {
		if err != nil {
			panic(err)
		}
		count, err := strconv.ParseInt(string(item.Value), 10, 64)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "%s %d\n", strings.TrimPrefix(item.Key, prefix), count-before)
		before = count
	}
}

func main() { sett.Main() }

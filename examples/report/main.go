// Command report counts visits, and every morning writes down how many there were since the last report.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/log"
)

var logger = slog.New(log.NewHandler(slog.LevelInfo))

// visits is where the visits since the last report are counted.
const visits = "visits"

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

// daily writes the report of a tick. A tick may be handled twice, after a crash: the report and the end of the count are
// one transaction, which the second time finds that the report is there.
func daily(ctx context.Context, tick events.Schedule) (string, error) {
	count, err := kv.Get(ctx, visits)
	if errors.Is(err, kv.ErrNotFound) {
		count, err = []byte("0"), nil
	}
	if err != nil {
		return "", err
	}
	n, err := strconv.ParseInt(string(count), 10, 64)
	if err != nil {
		return "", err
	}
	day := tick.Time.Format("2006-01-02T15:04:05Z")
	_, err = new(kv.Txn).Set("report/"+day, count, kv.IfAbsent).Incr(visits, -n).Commit(ctx)
	if errors.Is(err, kv.ErrConflict) {
		return "reported before", nil
	}
	if err == nil {
		logger.InfoContext(ctx, "report", "day", day, "visits", n)
	}
	return "reported", err
}

func reports(w sett.ResponseWriter, r *sett.Request) {
	for item, err := range kv.List(r.Context(), "report/") {
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "%s %s\n", item.Key[len("report/"):], item.Value)
	}
}

func main() { sett.Main() }

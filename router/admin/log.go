package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// readLogs answers lines as newline-delimited JSON, and goes on with new ones when asked to follow. Nobody's
// silence is heart-beaten: TCP notices a dead reader at the next line, at most Limits.Stall later.
func (a *Admin) readLogs(w http.ResponseWriter, r *http.Request, who caller) error {
	q, err := logQuery(r)
	if err != nil {
		return err
	}
	if q.App, err = who.reach(q.App); err != nil {
		return err
	}
	if !q.Follow {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(http.StatusOK)
		writeLines(w, a.config.Logs.Read(r.Context(), q))
		return nil
	}
	if err := a.followers.enter("followed logs, watches and waiting receives"); err != nil {
		return err
	}
	defer a.followers.leave()
	w.Header().Set("Content-Type", "application/x-ndjson")
	a.follow(w, r, q)
	return nil
}

func writeLines(w http.ResponseWriter, lines []abi.Line) {
	out := json.NewEncoder(w)
	for i := range lines {
		if out.Encode(&lines[i]) != nil {
			return // the reader left
		}
	}
}

// follow writes each line as it comes until the reader leaves or the node drains.
func (a *Admin) follow(w http.ResponseWriter, r *http.Request, q client.LogQuery) {
	ctx, stop := a.untilDrained(r.Context())
	defer stop()
	control := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	control.Flush()                                              // so that the reader knows it is heard
	defer func() { setWriteDeadline(control, a.limits.Stall) }() // for the stream's end
	out := json.NewEncoder(w)
	for line := range a.config.Logs.Follow(ctx, q) {
		setWriteDeadline(control, a.limits.Stall) // a reader that stops reading is let go
		if out.Encode(&line) != nil || control.Flush() != nil {
			return
		}
	}
}

// untilDrained is a context that ends with ctx, when the node drains, or with stop, which must be called.
func (a *Admin) untilDrained(ctx context.Context) (drained context.Context, stop func()) {
	drained, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-a.draining:
			cancel()
		case <-drained.Done():
		}
	}()
	return drained, func() { cancel(); <-ended }
}

func logQuery(r *http.Request) (client.LogQuery, error) {
	q, err := parseQuery(r, "app", "function", "invocation", "since", "limit", "follow", "local")
	if err != nil {
		return client.LogQuery{}, err
	}
	ask := client.LogQuery{App: q.name("app"), Function: q.name("function"), Invocation: q.text("invocation"),
		Limit: q.limit(client.DefaultLogLines, client.MaxLogLines), Follow: q.flag("follow"), Local: q.flag("local")}
	if len(ask.Invocation) > 64 {
		q.invalid("invocation: longer than an invocation's id")
	}
	if s := q.text("since"); s != "" {
		if ask.Since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			q.invalid("since %.40q: it is a time as in RFC 3339, like 2026-01-02T15:04:05Z", s)
		}
	}
	return ask, q.err
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Limits of reading logs.
const (
	defaultLogLines = 1000   // lines answered when none is asked for
	maxLogLines     = 10_000 // more in one answer takes more memory
)

// readLogs answers lines as newline-delimited JSON, and goes on with new ones when asked to follow. Nobody's
// silence is heart-beaten: TCP notices a dead reader at the next line, at most Limits.Stall later.
func (a *Admin) readLogs(w http.ResponseWriter, r *http.Request, who caller) error {
	q, err := logQuery(r.URL.Query())
	if err != nil {
		return err
	}
	if q.App == "" {
		q.App = who.app // all apps for an admin, whose app is ""
	}
	if q.App != "" {
		if err := who.may(q.App); err != nil {
			return err
		}
	}
	if !q.Follow {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(http.StatusOK)
		writeLines(w, a.config.Logs.Read(r.Context(), q))
		return nil
	}
	if !a.followers.enter() {
		return abi.WithCode(abi.TooManyRequests, fmt.Errorf("over %d followed logs and watches at once", a.limits.Followers))
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

func logQuery(v url.Values) (client.LogQuery, error) {
	q := client.LogQuery{App: v.Get("app"), Function: v.Get("function"), Invocation: v.Get("invocation"), Limit: defaultLogLines}
	invalid := func(format string, args ...any) (client.LogQuery, error) {
		return client.LogQuery{}, abi.WithCode(abi.InvalidInput, fmt.Errorf(format, args...))
	}
	if err := checkKeys(v, "app", "function", "invocation", "since", "limit", "follow", "local"); err != nil {
		return client.LogQuery{}, err
	}
	if q.App != "" {
		if err := registry.CheckName("app", q.App); err != nil {
			return client.LogQuery{}, err
		}
	}
	if q.Function != "" {
		if err := registry.CheckName("function", q.Function); err != nil {
			return client.LogQuery{}, err
		}
	}
	if len(q.Invocation) > 64 {
		return invalid("invocation: longer than an invocation's id")
	}
	if s := v.Get("since"); s != "" {
		var err error
		if q.Since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return invalid("since %.40q: it is a time as in RFC 3339, like 2026-01-02T15:04:05Z", s)
		}
	}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLogLines {
			return invalid("limit %.40q: it is between 1 and %d", s, maxLogLines)
		}
		q.Limit = n
	}
	var err error
	if q.Follow, err = flag(v, "follow"); err != nil {
		return q, err
	}
	q.Local, err = flag(v, "local")
	return q, err
}

// checkKeys refuses a query with unknown keys or keys that come twice.
func checkKeys(v url.Values, known ...string) error {
	for key, values := range v {
		found := false
		for _, k := range known {
			found = found || k == key
		}
		if !found {
			hint := ""
			if best := nearest(key, known); best != "" {
				hint = "; did you mean " + best + "?"
			}
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("query %.80q: unknown key%s", key, hint))
		}
		if len(values) > 1 {
			return abi.WithCode(abi.InvalidInput, errors.New("query "+key+": given twice"))
		}
	}
	return nil
}

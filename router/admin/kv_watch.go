package admin

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/client"
)

// watchQueue is how many changes wait for a watch's reader before the store waits; more takes more memory.
const watchQueue = 16

// watched is what a watch yields.
type watched struct {
	change op.Change
	err    error
}

// watchKeys answers changes as newline-delimited JSON until the reader leaves, the node drains, or an error is the last
// line. Without a revision to begin at it begins now, and says so in its header, before the first line.
func (a *Admin) watchKeys(w http.ResponseWriter, r *http.Request, who caller) error {
	q, err := parseQuery(r, "prefix", "from")
	if err != nil {
		return err
	}
	app, prefix, after, read := r.PathValue("app"), q.prefix(), q.revision("from", q.text("from")), q.read(r)
	if q.err != nil {
		return q.err
	}
	if err := a.followers.enter("followed logs, watches and waiting receives"); err != nil {
		return err
	}
	defer a.followers.leave()
	ctx, stop := a.untilDrained(r.Context())
	defer stop()
	if after == 0 {
		// Else what changes between the response's header and the watch's begin would be missed.
		now, err := a.config.KV.List(ctx, app, op.Query{Limit: 1, KeysOnly: true, Read: read})
		if err != nil {
			return err
		}
		after = now.Revision
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set(client.RevisionHeader, strconv.FormatUint(after, 10))
	changes := watch(ctx, a.config.KV.Watch(ctx, app, prefix, after))
	a.writeChanges(ctx, w, who, changes)
	stop()
	for range changes { // until the store has let go
	}
	return nil
}

// watch lets changes be waited for together with something else. The channel is closed when they end, or soon after ctx.
func watch(ctx context.Context, changes iter.Seq2[op.Change, error]) <-chan watched {
	out := make(chan watched, watchQueue)
	go func() {
		defer close(out)
		for c, err := range changes {
			select {
			case out <- watched{c, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// writeChanges writes each change as it comes, and an empty line when nothing has come for a while: a reader that is
// gone, or does not read, is let go at most Limits.Stall after one of them.
func (a *Admin) writeChanges(ctx context.Context, w http.ResponseWriter, who caller, changes <-chan watched) {
	control := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	control.Flush()                                              // so that the reader knows it is heard
	defer func() { setWriteDeadline(control, a.limits.Stall) }() // for the stream's end
	heartbeat := time.NewTicker(client.WatchHeartbeat)
	defer heartbeat.Stop()
	out := json.NewEncoder(w)
	for {
		var err error
		select {
		case c, open := <-changes:
			setWriteDeadline(control, a.limits.Stall)
			switch {
			case !open, c.err != nil && ctx.Err() != nil:
				return
			case c.err != nil:
				err = out.Encode(client.KVWatchEnd{Error: problemOf(c.err, who)})
			default:
				err = out.Encode(client.KVChangeOf(c.change))
			}
		case <-heartbeat.C:
			setWriteDeadline(control, a.limits.Stall)
			_, err = w.Write([]byte("\n"))
		}
		if err != nil {
			return
		}
		if len(changes) == 0 && control.Flush() != nil {
			return
		}
	}
}

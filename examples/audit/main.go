// Command audit keeps notes, and a log of every change that anybody makes to them, by whatever way: a function, the
// command line, a Redis client, or time.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/kv"
)

// Prefixes of keys. The log is not among what it is a log of.
const (
	notes = "note/"
	log   = "audit/"
)

// entry is a line of the log.
type entry struct {
	Kind string `json:"kind"`
	Key  string `json:"key"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

func init() {
	sett.HTTP("PUT /notes/{id}", put)
	sett.HTTP("GET /audit", show)
	sett.Handle("write", func(ctx context.Context, batch events.Stream) (events.Failures, error) {
		return batch.Each(func(c events.Change) error { return write(ctx, c) })
	})
}

func put(w sett.ResponseWriter, r *sett.Request) {
	if err := kv.Set(r.Context(), notes+r.PathValue("id"), r.Body); err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.WriteHeader(204)
}

// write appends a change to the log. A change may come twice: its entry has its number, and the second time is there.
func write(ctx context.Context, c events.Change) error {
	line, err := json.Marshal(entry{c.Kind, c.Key(), string(c.Old()), string(c.New())})
	if err != nil {
		return err
	}
	if err = kv.Set(ctx, log+c.Detail.Sequence, line, kv.IfAbsent); errors.Is(err, kv.ErrConflict) {
		return nil // written before
	}
	return err
}

func show(w sett.ResponseWriter, r *sett.Request) {
	for item, err := range kv.List(r.Context(), log) {
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "%s\n", item.Value)
	}
}

func main() { sett.Main() }

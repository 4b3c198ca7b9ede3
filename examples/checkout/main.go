// Command checkout takes orders at once and charges them in the background. A worker gets them in batches and reports
// those that it could not charge: they come again, twice at most, and then wait with the refused ones until somebody has
// them tried again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/queue"
)

// order is what is charged. The customer's id for it keeps it from being charged twice.
type order struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

// limit is where the bank's limit stands, in cents. Absent: there is none.
const limit = "bank/limit"

// total is where the sum of all charges stands.
const total = "total"

func init() {
	sett.HTTP("POST /orders", place)
	sett.HTTP("GET /total", sum)
	sett.Handle("charge", func(ctx context.Context, batch events.Queue) (events.Failures, error) {
		return batch.Each(func(m events.Message) error { return charge(ctx, m.Body) })
	})
}

func place(w sett.ResponseWriter, r *sett.Request) {
	var o order
	if err := json.Unmarshal(r.Body, &o); err != nil || o.ID == "" || o.Cents <= 0 {
		w.WriteHeader(400)
		w.WriteString("want an order with id and cents\n")
		return
	}
	if _, err := queue.SendJSON(r.Context(), "orders", o); err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.WriteHeader(202)
	w.WriteString("thank you\n")
}

// charge charges an order once, however often its message comes, also twice at once: the mark and the sum change
// together, or not at all.
func charge(ctx context.Context, body string) error {
	var o order
	if err := json.Unmarshal([]byte(body), &o); err != nil {
		return err
	}
	if done, err := kv.Exists(ctx, "charged/"+o.ID); done || err != nil {
		return err
	}
	if most, err := number(ctx, limit); err != nil {
		return err
	} else if most > 0 && o.Cents > most {
		return fmt.Errorf("the bank refuses %d cents", o.Cents)
	}
	_, err := new(kv.Txn).Set("charged/"+o.ID, []byte(body), kv.IfAbsent).Incr(total, o.Cents).Commit(ctx)
	if errors.Is(err, kv.ErrConflict) {
		return nil // it was charged meanwhile
	}
	return err
}

// number reads a key; absent is 0.
func number(ctx context.Context, key string) (int64, error) {
	text, err := kv.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

func sum(w sett.ResponseWriter, r *sett.Request) {
	cents, err := number(r.Context(), total)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(w, "%d\n", cents)
}

func main() { sett.Main() }

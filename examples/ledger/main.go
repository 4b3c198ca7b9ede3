// Command ledger moves money between accounts. A transfer is a message in a queue, and its worker's effects are
// transactional: what it writes and publishes happens in one step with the end of the message, all of it or none. So a
// transfer that comes twice, is tried again, or meets another one at the same account, moves its money once.
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
	"github.com/sett-run/sett/sdk/go/topic"
)

type transfer struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Cents int64  `json:"cents"`
}

func init() {
	sett.HTTP("PUT /accounts/{name}", open)
	sett.HTTP("GET /accounts/{name}", show)
	sett.HTTP("POST /transfers", ask)
	sett.Handle("move", move)
}

// move moves the money of one transfer. An error leaves nothing behind: the transfer comes again, and after three times it
// is with the refused ones.
func move(ctx context.Context, batch events.Queue) (struct{}, error) {
	for _, m := range batch.Records {
		var t transfer
		if err := json.Unmarshal([]byte(m.Body), &t); err != nil {
			return struct{}{}, err
		}
		if err := add(ctx, t.To, t.Cents); err != nil {
			return struct{}{}, err
		}
		if err := add(ctx, t.From, -t.Cents); err != nil {
			return struct{}{}, err // the money that To got goes back, since none of it has happened
		}
		if _, err := topic.PublishJSON(ctx, "moved", t); err != nil {
			return struct{}{}, err
		}
	}
	return struct{}{}, nil
}

// add changes an account. Others may change it at the same time: then the invocation is repeated.
func add(ctx context.Context, name string, cents int64) error {
	has, err := balance(ctx, name)
	if err != nil {
		return err
	}
	if has+cents < 0 {
		return fmt.Errorf("%s has %d cents and is to give %d", name, has, -cents)
	}
	return kv.Set(ctx, "account/"+name, []byte(strconv.FormatInt(has+cents, 10)))
}

func balance(ctx context.Context, name string) (int64, error) {
	text, err := kv.Get(ctx, "account/"+name)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, fmt.Errorf("there is no account %s", name)
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

func open(w sett.ResponseWriter, r *sett.Request) {
	cents, err := strconv.ParseInt(string(r.Body), 10, 64)
	if err != nil || cents < 0 {
		w.WriteHeader(400)
		w.WriteString("want cents\n")
		return
	}
	if err := kv.Set(r.Context(), "account/"+r.PathValue("name"), []byte(strconv.FormatInt(cents, 10))); err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.WriteHeader(204)
}

func show(w sett.ResponseWriter, r *sett.Request) {
	cents, err := balance(r.Context(), r.PathValue("name"))
	if err != nil {
		w.WriteHeader(404)
		w.WriteString(err.Error() + "\n")
		return
	}
	fmt.Fprintf(w, "%d\n", cents)
}

func ask(w sett.ResponseWriter, r *sett.Request) {
	var t transfer
	if err := json.Unmarshal(r.Body, &t); err != nil || t.Cents <= 0 || t.From == t.To {
		w.WriteHeader(400)
		w.WriteString("want from, to and cents\n")
		return
	}
	if _, err := queue.SendJSON(r.Context(), "transfers", t); err != nil {
		panic(err)
	}
	w.WriteHeader(202)
}

func main() { sett.Main() }

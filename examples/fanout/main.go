// Command fanout tells a customer of an order in three ways. The order is published once; each way is a function with a
// queue of its own, so that one that fails holds up no other, and what it cannot deliver waits in its dead letters.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/topic"
)

// order is what is published.
type order struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Phone string `json:"phone"`
	Push  bool   `json:"push"` // the customer has the app
}

func init() {
	sett.HTTP("POST /fanout/orders", place)
	sett.HTTP("GET /fanout/orders/{id}", told)
	sett.Handle("email", each(func(ctx context.Context, o order) error { return note(ctx, "email", o.ID, o.Email) }))
	sett.Handle("sms", each(sms))
	sett.Handle("push", each(func(ctx context.Context, o order) error { return note(ctx, "push", o.ID, "app") }))
}

func place(w sett.ResponseWriter, r *sett.Request) {
	var o order
	if err := json.Unmarshal(r.Body, &o); err != nil || o.ID == "" {
		w.WriteHeader(400)
		w.WriteString("want an order with an id\n")
		return
	}
	push := "no"
	if o.Push {
		push = "yes"
	}
	if _, err := topic.PublishJSON(r.Context(), "placed", o, topic.Text("push", push)); err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.WriteHeader(202)
	w.WriteString("thank you\n")
}

// each handles the orders of an event. An error has the event come again, as often as the function's settings say.
func each(do func(ctx context.Context, o order) error) func(context.Context, events.Topic) (struct{}, error) {
	return func(ctx context.Context, e events.Topic) (struct{}, error) {
		for _, record := range e.Records {
			var o order
			if err := json.Unmarshal([]byte(record.Notification.Message), &o); err != nil {
				return struct{}{}, err
			}
			if err := do(ctx, o); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	}
}

// sms cannot reach numbers of another country. With maximumRetryAttempts: 0 in sett.yaml its first error is its last.
func sms(ctx context.Context, o order) error {
	if !strings.HasPrefix(o.Phone, "+49") {
		return errors.New("no route to " + o.Phone)
	}
	return note(ctx, "sms", o.ID, o.Phone)
}

// note stands for the call of a provider: it keeps whom it would have told. An event may come twice; this is the same
// key then, as with a provider it would be the same idempotency key.
func note(ctx context.Context, way, id, whom string) error {
	return kv.Set(ctx, "told/"+id+"/"+way, []byte(whom))
}

// told lists how the customer of an order was told.
func told(w sett.ResponseWriter, r *sett.Request) {
	prefix := "told/" + r.PathValue("id") + "/"
	for item, err := range kv.List(r.Context(), prefix) {
		if err != nil {
			panic(err)
		}
		w.WriteString(strings.TrimPrefix(item.Key, prefix) + " " + string(item.Value) + "\n")
	}
}

func main() { sett.Main() }

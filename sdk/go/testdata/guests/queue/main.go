// Command queue sends, publishes and receives messages, and handles batches of them.
package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/queue"
	"github.com/sett-run/sett/sdk/go/topic"
)

func init() {
	sett.HTTP("POST /send", func(w sett.ResponseWriter, r *sett.Request) {
		sent, err := queue.SendAll(r.Context(), "orders", queue.Message{Body: r.Body, Attributes: []queue.Attribute{queue.Text("kind", "new")}},
			queue.Message{Body: []byte("later"), Delay: time.Minute})
		answer(w, strconv.Itoa(len(sent)), err)
	})
	sett.HTTP("POST /publish", func(w sett.ResponseWriter, r *sett.Request) {
		id, err := topic.Publish(r.Context(), "news", topic.Message{Subject: "hello", Body: r.Body})
		answer(w, id, err)
	})
	sett.HTTP("POST /work", func(w sett.ResponseWriter, r *sett.Request) {
		received, err := queue.Receive(r.Context(), "orders", queue.Options{Max: 10, Wait: queue.MaxWait})
		text := ""
		for _, m := range received {
			text += string(m.Body) + " " + strconv.Itoa(m.Receives) + " " + string(m.Attributes[0].Value)
			err = errors.Join(err, queue.Delete(r.Context(), "orders", m.Receipt))
		}
		stats, more := queue.Count(r.Context(), "orders")
		answer(w, text+" "+strconv.Itoa(int(stats.Messages)), errors.Join(err, more))
	})
	sett.HTTP("POST /many", func(w sett.ResponseWriter, r *sett.Request) {
		for {
			if _, err := queue.Count(r.Context(), "orders"); err != nil {
				answer(w, "", err)
				return
			}
		}
	})
	sett.Handle("ship", func(ctx context.Context, batch events.Queue) (events.Failures, error) {
		return batch.Each(func(m events.Message) error {
			if m.Body == "bad" {
				return errors.New("no stock")
			}
			return nil
		})
	})
	sett.Handle("attempt", func(ctx context.Context, _ any) (int, error) { return sett.Invocation(ctx).Attempt, nil })
}

func answer(w sett.ResponseWriter, text string, err error) {
	if err != nil {
		text += err.Error()
	}
	w.WriteString(text)
}

func main() {}

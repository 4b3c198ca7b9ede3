package events_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/invoke"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/queue"
	"github.com/sett-run/sett/sdk/go/settest"
	"github.com/sett-run/sett/sdk/go/topic"
)

// The code of docs/QUEUES.md, docs/ASYNC.md and docs/UPLOADS.md, which TestDocumentedCode finds here.

func place(w sett.ResponseWriter, r *sett.Request) {
	id, err := queue.Send(r.Context(), "orders", r.Body)
	if err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.WriteHeader(202)
	w.WriteString(id + "\n")
}

func welcomes(ctx context.Context, user string, welcome, terms []byte) error {
	_, err := queue.SendAll(ctx, "mail.fifo",
		queue.Message{Body: welcome, Group: user, Dedup: user + "/welcome"},
		queue.Message{Body: terms, Group: user, Dedup: user + "/terms", Attributes: []queue.Attribute{queue.Text("kind", "legal")}})
	return err
}

func placed(ctx context.Context, order []byte) error {
	_, err := topic.Publish(ctx, "placed", topic.Message{Subject: "order placed", Body: order,
		Attributes: []topic.Attribute{topic.Text("kind", "gift")}})
	return err
}

func init() {
	sett.Handle("ship", func(ctx context.Context, batch events.Queue) (events.Failures, error) {
		return batch.Each(func(m events.Message) error { return ship(ctx, m.Body) })
	})
}

func drain(ctx context.Context) error {
	for {
		received, err := queue.Receive(ctx, "reports", queue.Options{Max: 100, Visibility: time.Minute, Wait: time.Second})
		if err != nil || len(received) == 0 {
			return err
		}
		for _, m := range received {
			if err = report(ctx, m.Body); err != nil {
				err = queue.Release(ctx, "reports", time.Minute, m.Receipt) // again in a minute
			} else {
				err = queue.Delete(ctx, "reports", m.Receipt)
			}
			if err != nil && !errors.Is(err, queue.ErrReceipt) {
				return err
			}
		}
	}
}

func welcome(ctx context.Context, user string) (id string, err error) {
	return invoke.Async(ctx, "mail", []byte(`{"to":"`+user+`"}`))
}

func init() {
	sett.Handle("audit", func(ctx context.Context, o events.Outcome) (struct{}, error) {
		return struct{}{}, kv.Set(ctx, "mail/"+o.Request.ID, []byte(o.Request.Condition)) // Success, RetriesExhausted, ...
	})
}

func init() {
	sett.Handle("index", func(ctx context.Context, e events.Upload) (struct{}, error) {
		r := e.Records[0]
		if r.Removed() {
			return struct{}{}, kv.Delete(ctx, r.Key())
		}
		return struct{}{}, kv.Set(ctx, r.Key(), []byte(strconv.FormatInt(r.S3.Object.Size, 10)))
	})
}

func init() { sett.HTTP("POST /orders", place) }

func ship(_ context.Context, order string) error {
	if order == "bad" {
		return errors.New("no stock")
	}
	return nil
}

func report(ctx context.Context, body []byte) error { return ship(ctx, string(body)) }

func TestDocumentedPlace(t *testing.T) {
	settest.Queues(t, "orders")
	settest.Do(t, settest.Request{Method: "POST", Target: "/orders", Body: "one"})
	if m := settest.Messages(t, "orders"); len(m) != 1 || string(m[0].Body) != "one" {
		t.Errorf("orders has %v", m)
	}
}

func TestDocumentedRest(t *testing.T) {
	settest.Queues(t, "mail.fifo", "reports")
	settest.Topics(t, "placed")
	ctx := settest.Context(t)
	for range 2 {
		if err := errors.Join(welcomes(ctx, "ada", []byte("welcome"), []byte("terms")), placed(ctx, []byte("order"))); err != nil {
			t.Error(err)
		}
	}
	if mail, placed := settest.Messages(t, "mail.fifo"), settest.Published(t, "placed"); len(mail) != 2 || len(placed) != 2 || placed[0].Subject != "order placed" {
		t.Errorf("%d messages, published %+v", len(mail), placed)
	}
	queue.SendAll(ctx, "reports", queue.Message{Body: []byte("good")}, queue.Message{Body: []byte("bad")})
	if err := drain(ctx); err != nil {
		t.Error(err)
	}
	if left := settest.Messages(t, "reports"); len(left) != 1 || string(left[0].Body) != "bad" || left[0].Receives != 1 {
		t.Errorf("reports has %+v", left)
	}
	var failures events.Failures
	batch := events.Queue{Records: []events.Message{{ID: "a", Body: "good"}, {ID: "b", Body: "bad"}}}
	if err := settest.Invoke(t, "ship", batch, &failures); err != nil || len(failures.Items) != 1 || failures.Items[0].ID != "b" {
		t.Errorf("ship = %+v, %v", failures, err)
	}
}

// TestDocumentedStream: the Go code of docs/STREAMS.md is that of the example audit, which a test runs.
func TestDocumentedStream(t *testing.T) {
	page, err := os.ReadFile("../../../docs/STREAMS.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("../../../examples/audit/main.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 || !strings.Contains(string(code), blocks[0][1]) {
		t.Errorf("examples/audit has not the code of docs/STREAMS.md: %q", blocks)
	}
}

func TestDocumentedAsync(t *testing.T) {
	settest.Invocations(t, func(_ context.Context, i settest.Invocation) ([]byte, error) {
		if !i.Async || i.Function != "mail" || string(i.Payload) != `{"to":"ada"}` {
			t.Errorf("invoked %+v", i)
		}
		return []byte("id"), nil
	})
	id, err := welcome(settest.Context(t), "ada")
	if err != nil || id != "id" {
		t.Errorf("welcome = %q, %v", id, err)
	}
	outcome := events.Outcome{Request: events.OutcomeRequest{ID: id, Condition: "Success"}}
	if err := settest.Invoke(t, "audit", outcome, nil); err != nil {
		t.Error(err)
	}
	if how, err := kv.Get(settest.Context(t), "mail/id"); err != nil || string(how) != "Success" {
		t.Errorf("audit wrote %q, %v", how, err)
	}
}

func TestDocumentedUploads(t *testing.T) {
	entity := events.UploadEntity{Object: events.UploadObject{Key: "in/my+cat.png", Size: 5}}
	for _, tt := range []struct{ name, want string }{{"ObjectCreated:Put", "5"}, {"ObjectRemoved:Delete", ""}} {
		e := events.Upload{Records: []events.UploadRecord{{Name: tt.name, S3: entity}}}
		if err := settest.Invoke(t, "index", e, nil); err != nil {
			t.Error(err)
		}
		if got, _ := kv.Get(settest.Context(t), "in/my cat.png"); string(got) != tt.want {
			t.Errorf("after %s there is %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestDocumentedCode: the Go code of docs/QUEUES.md for functions, of docs/ASYNC.md and of docs/UPLOADS.md is in this file, and so it
// compiles and runs.
func TestDocumentedCode(t *testing.T) {
	code, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for page, heading := range map[string]string{"QUEUES.md": "\n## From functions\n", "ASYNC.md": "\n## In Go\n", "UPLOADS.md": "\n## What a function gets\n"} {
		text, err := os.ReadFile("../../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(text), heading)
		section, _, _ = strings.Cut(section, "\n## ")
		blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(section, -1)
		if len(blocks) == 0 {
			t.Errorf("docs/%s has no Go code for functions", page)
		}
		for _, b := range blocks {
			if !strings.Contains(string(code), b[1]) {
				t.Errorf("no test has this code of docs/%s:\n%s", page, b[1])
			}
		}
	}
}

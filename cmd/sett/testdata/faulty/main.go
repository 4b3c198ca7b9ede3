// Command faulty is what TestFaults deploys, with a handle for each kind of work. Handle work is the worker of queueWork. It
// handles messages whose bodies are numbers: it counts an attempt of each, marks those that succeed and reports the others.
// Those that end in "x" never succeed; of the others one attempt in ten fails. Handle exact is the worker of effectWork, and
// handle follow that of streamWork. Handle note marks what has come, for eventWork.
package main

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/blob"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/queue"
)

const chunk = 60 // messages whose marks make one transaction

type record struct {
	ID         string `json:"messageId"`
	Body       string `json:"body"`
	Attributes struct {
		Receives string `json:"ApproximateReceiveCount"`
	} `json:"attributes"`
}

type event struct{ Records []record }

type failure struct {
	ID string `json:"itemIdentifier"`
}

type report struct {
	Failures []failure `json:"batchItemFailures"`
}

func init() {
	sett.Handle("work", work)
	sett.Handle("note", note)
	sett.Handle("exact", exact)
	sett.Handle("follow", follow)
}

// publication is the part of a topic's or the bus's event that note looks at.
type publication struct {
	ID      string // of one on the bus
	Records []struct {
		Sns struct{ Message string }
	}
}

// note marks an event: a publication by its text, one on the bus by its id, others by their invocation's.
func note(ctx context.Context, p publication) (struct{}, error) {
	i := sett.Invocation(ctx)
	what := i.ID
	switch {
	case len(p.Records) > 0:
		what = p.Records[0].Sns.Message
	case i.Trigger == "event":
		what = p.ID
	}
	_, err := kv.Incr(ctx, "noted/"+i.Function+"/"+i.Trigger+"/"+what, 1)
	return struct{}{}, err
}

// follow copies counters that grow by one, and counts what it finds out of order. One attempt in ten fails.
func follow(ctx context.Context, batch events.Stream) (events.Failures, error) {
	i := sett.Invocation(ctx)
	h := fnv.New32a()
	h.Write([]byte(i.ID + "/" + strconv.Itoa(i.Attempt)))
	if h.Sum32()%10 == 0 {
		return events.Failures{}, errors.New("one in ten")
	}
	return batch.Each(func(c events.Change) error {
		copied := "followed/" + strings.TrimPrefix(c.Key(), "counter/")
		last, err := kv.GetItem(ctx, copied)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		before, _ := strconv.Atoi(string(last.Value))
		old, _ := strconv.Atoi(string(c.Old()))
		n, err := strconv.Atoi(string(c.New()))
		if err != nil || n <= before {
			return err // it has come before
		}
		t := new(kv.Txn).Set(copied, c.New(), kv.IfRevision(last.Revision))
		if n != before+1 || old != before {
			t.Incr("faults/"+c.Key(), 1)
		}
		_, err = t.Commit(ctx)
		return err
	})
}

func work(ctx context.Context, e event) (r report, err error) {
	for len(e.Records) > 0 {
		n := min(chunk, len(e.Records))
		failures, err := handle(ctx, e.Records[:n])
		if err != nil {
			return report{}, err // all of them come again
		}
		r.Failures = append(r.Failures, failures...)
		e.Records = e.Records[n:]
	}
	return r, nil
}

// exact is work whose effects are transactional: each message that it does not report counts once in the sum, and sends one
// to queue done.
func exact(ctx context.Context, e event) (report, error) {
	r, err := work(ctx, e)
	if err != nil {
		return r, err
	}
	failed := map[string]bool{}
	for _, f := range r.Failures {
		failed[f.ID] = true
	}
	done, bodies := []queue.Message{}, []string{}
	for _, m := range e.Records {
		if !failed[m.ID] {
			done = append(done, queue.Message{Body: []byte(m.Body)})
			bodies = append(bodies, m.Body)
		}
	}
	if len(done) == 0 {
		return r, nil
	}
	if _, err = queue.SendAll(ctx, "done", done...); err != nil {
		return r, err
	}
	sum, err := kv.Incr(ctx, "sum", int64(len(done)))
	if err == nil {
		_, err = blob.Bucket("done").Put(ctx, strconv.FormatInt(sum, 10), strings.NewReader(strings.Join(bodies, "\n")))
	}
	return r, err
}

func handle(ctx context.Context, records []record) (failures []failure, err error) {
	var t kv.Txn
	for _, r := range records {
		t.Incr("attempts/"+r.Body, 1)
		if fails(r) {
			failures = append(failures, failure{r.ID})
		} else {
			t.Incr("handled/"+r.Body, 1)
		}
	}
	_, err = t.Commit(ctx)
	return failures, err
}

func fails(r record) bool {
	h := fnv.New32a()
	h.Write([]byte(r.ID + "/" + r.Attributes.Receives))
	return strings.HasSuffix(r.Body, "x") || h.Sum32()%10 == 0
}

func main() {}

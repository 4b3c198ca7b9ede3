package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// effectWork is queueWork with a worker whose effects are transactional, an object for each batch among them: although
// messages come more than once, what is done for each has happened exactly once.
func effectWork(t *testing.T, f *faultRun) (load, check func(*testing.T)) {
	f.deployFaulty(t, registry.Settings{Handler: "exact", Effects: registry.EffectsTransactional, Reserved: 4})
	if _, err := f.client.Objects().PutBucket(t.Context(), f.app, "done", client.BucketRequest{}); err != nil {
		t.Fatal(err)
	}
	return f.sendAll, f.checkExact
}

// checkExact compares how often each message had its effects with how often it was sent.
func (f *faultRun) checkExact(t *testing.T) {
	f.settle(t)
	handled, sum := f.counts(t, "handled/"), f.counts(t, "sum")
	done, written, twice := f.received(t, "done", ""), f.written(t, "done"), 0
	total := 0
	for n := range f.plan.messages {
		body := f.plan.body(n)
		total += handled[body]
		if handled[body] != done[body] {
			t.Errorf("message %s was counted %d times and told of %d times", body, handled[body], done[body])
		}
		if handled[body] != written[body] {
			t.Errorf("message %s was counted %d times and is in %d objects", body, handled[body], written[body])
		}
		if handled[body] > 1 {
			twice++
		}
		if (handled[body] > 0) == f.plan.hopeless(n) {
			t.Errorf("message %s was handled %d times", body, handled[body])
		}
	}
	if sum[""] != total {
		t.Errorf("the sum is %d, and %d were handled", sum[""], total)
	}
	if again := int(f.again.Load()) * faultBatch; twice > again {
		t.Errorf("%d messages had their effects more than once, and at most %d were sent more than once", twice, again)
	}
	t.Logf("%d messages, %d effects, %d of messages that were sent more than once", f.plan.messages, total, twice)
}

// written reads a bucket: how many lines of its objects there are of each body.
func (f *faultRun) written(t *testing.T, bucket string) (all map[string]int) {
	t.Helper()
	eventually(t, "bucket "+bucket+" is read", func(ctx context.Context) (err error) { // it is not while nobody leads
		all, err = f.lines(ctx, bucket)
		return err
	})
	return all
}

func (f *faultRun) lines(ctx context.Context, bucket string) (map[string]int, error) {
	objects, all := f.nodes[0].client.Objects(), map[string]int{}
	for q := (op.ObjectQuery{}); ; {
		page, err := objects.List(ctx, f.app, bucket, q)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			_, body, err := objects.Get(ctx, op.ObjectName{App: f.app, Bucket: bucket, Key: o.Key}, nil)
			if err != nil {
				return nil, err
			}
			text, err := io.ReadAll(body)
			if err = errors.Join(err, body.Close()); err != nil {
				return nil, err
			}
			for line := range strings.Lines(string(text)) {
				all[strings.TrimSpace(line)]++
			}
		}
		if q.Token = page.Token; q.Token == "" {
			return all, nil
		}
	}
}

package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// verify says what was wrong or lost.
func (t *traffic) verify(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "%d requests and calls, %d failed\n", t.asked.Load(), t.failed.Load())
	if t.first != nil {
		return fmt.Errorf("%d of %d requests and calls failed, the first: %w", t.failed.Load(), t.asked.Load(), t.first)
	}
	counts := int64(0)
	for connection := range clients {
		n, err := t.number(ctx, "count/"+strconv.Itoa(connection))
		if err != nil {
			return err
		}
		counts += n
	}
	err := same("counts over HTTP", counts, t.done["kv"])
	n, err2 := t.number(ctx, "admin")
	err = errors.Join(err, err2, same("counts by the admin plane", n, t.done["admin"]))
	for _, what := range []string{"worked", "sum", "changed", "uploaded"} {
		err = errors.Join(err, t.until(ctx, what, func() (int64, error) { return t.number(ctx, "handled/"+what) }, t.done[what]))
	}
	err = errors.Join(err, t.until(ctx, "changes that a watch has seen", func() (int64, error) { return t.watched.Load(), nil }, t.done["changed"]))
	ticks, err2 := t.number(ctx, "handled/ticks")
	// It has ticked since the deployment, and while all was waited for; not all that time it must have.
	if took := time.Since(t.deployed); ticks < int64(t.length/time.Minute) || ticks > int64(took/time.Minute)+1 {
		err2 = errors.Join(err2, fmt.Errorf("the schedule has ticked %d times in %v", ticks, took))
	}
	return errors.Join(err, err2, t.verifyObjects(ctx))
}

func same(what string, got, want int64) error {
	if got != want {
		return fmt.Errorf("%s: %d, want %d", what, got, want)
	}
	return nil
}

// until waits until a number is what it should be.
func (t *traffic) until(ctx context.Context, what string, number func() (int64, error), want int64) error {
	for end := time.Now().Add(drainTime); ; {
		n, err := number()
		if err == nil {
			err = same(what, n, want)
		}
		if err == nil || n > want || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// number answers what a key counts, 0 without it.
func (t *traffic) number(ctx context.Context, key string) (int64, error) {
	item, err := t.client.KV().Get(ctx, app, key, op.Read{Consistency: op.Strong})
	if abi.CodeOf(err) == abi.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(item.Value), 10, 64)
}

func (t *traffic) verifyObjects(ctx context.Context) error {
	for k, want := range t.objects {
		_, in, err := t.client.Objects().Get(ctx, op.ObjectName{App: app, Bucket: bucket, Key: strconv.Itoa(k)}, nil)
		if want == nil && abi.CodeOf(err) == abi.NotFound {
			continue
		}
		if err != nil {
			return fmt.Errorf("object %d: %w", k, err)
		}
		got, err := io.ReadAll(in)
		if err = errors.Join(err, in.Close()); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("object %d has %d bytes, want others, %d: %w", k, len(got), len(want), err)
		}
	}
	return nil
}

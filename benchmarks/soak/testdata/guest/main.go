// The functions of the soak: each counts what it has handled, in the same step in which that is done.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/sett-run/sett/benchmarks/work/answer"
	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/blob"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/log"
)

var logger = slog.New(log.NewHandler(slog.LevelInfo))

func init() {
	sett.HTTP("GET /hello", func(w sett.ResponseWriter, _ *sett.Request) { w.WriteString(answer.Hello) })
	sett.HTTP("POST /kv/{key}", count)
	sett.Handle("work", work)
	sett.Handle("changed", func(ctx context.Context, batch events.Stream) (struct{}, error) {
		return struct{}{}, add(ctx, "changed", len(batch.Records))
	})
	sett.Handle("uploaded", uploaded)
	sett.Handle("tick", func(ctx context.Context, _ events.Schedule) (struct{}, error) {
		return struct{}{}, add(ctx, "ticks", 1)
	})
}

func count(w sett.ResponseWriter, r *sett.Request) {
	n, err := kv.Incr(r.Context(), "count/"+r.PathValue("key"), 1)
	if err != nil {
		panic(err)
	}
	logger.InfoContext(r.Context(), "counted", "key", r.PathValue("key"), "n", n)
	w.WriteString(strconv.FormatInt(n, 10))
}

// work counts messages, and adds up the numbers that are in them.
func work(ctx context.Context, batch events.Queue) (struct{}, error) {
	sum := 0
	for _, m := range batch.Records {
		n, err := strconv.Atoi(m.Body)
		if err != nil {
			return struct{}{}, err
		}
		sum += n
	}
	if err := add(ctx, "sum", sum); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, add(ctx, "worked", len(batch.Records))
}

// uploaded reads what was uploaded, unless something else is there by now.
func uploaded(ctx context.Context, e events.Upload) (struct{}, error) {
	for _, r := range e.Records {
		in, err := blob.Bucket(r.Bucket()).Get(ctx, r.Key(), blob.IfMatch(r.S3.Object.ETag))
		if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrPrecondition) {
			continue
		}
		if err != nil {
			return struct{}{}, err
		}
		n, err := io.Copy(io.Discard, in)
		if err == nil && n != r.S3.Object.Size {
			err = fmt.Errorf("%s has %d bytes, want %d", r.Key(), n, r.S3.Object.Size)
		}
		if in.Close(); err != nil {
			return struct{}{}, err
		}
	}
	return struct{}{}, add(ctx, "uploaded", len(e.Records))
}

func add(ctx context.Context, key string, n int) error {
	_, err := kv.Incr(ctx, "handled/"+key, int64(n))
	return err
}

func main() {}

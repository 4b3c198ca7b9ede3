package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

const (
	// WatchHeartbeat is how often a node writes an empty line to a watch that has nothing else to tell, so that both
	// ends notice when the other is gone.
	WatchHeartbeat = 10 * time.Second
	// watchSilence is how long a node may write nothing before it counts as gone; less would give up during a pause.
	watchSilence = 4 * WatchHeartbeat
	// maxChangeBytes bounds one line: a value of op.MaxValueBytes where each byte takes six, and its key.
	maxChangeBytes = 6*(op.MaxValueBytes+op.MaxKeyBytes) + 1<<10
)

// errSilent ends a watch whose node says nothing.
var errSilent = errors.New("it has said nothing for " + watchSilence.String())

// Watch yields the changes of the keys that start with prefix: those after a revision first, then new ones as they
// come, until ctx ends. After 0 means from now on. An error ends it: op.ErrCompacted when the revision is too old,
// abi.Unavailable when the node goes away. Then the next watch begins after the last revision seen less one: a
// transaction may have been cut in the middle, and what was seen of it comes again.
func (k KV) Watch(ctx context.Context, app, prefix string, after uint64) iter.Seq2[op.Change, error] {
	return func(yield func(op.Change, error) bool) {
		if err := k.watch(ctx, app, prefix, after, yield); err != nil {
			yield(op.Change{}, err)
		}
	}
}

// watch yields until an error, which it answers, or until the reader has enough.
func (k KV) watch(outer context.Context, app, prefix string, after uint64, yield func(op.Change, error) bool) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	query := url.Values{}
	if prefix != "" {
		query.Set("prefix", prefix)
	}
	if after != 0 {
		query.Set("from", strconv.FormatUint(after, 10))
	}
	req, err := k.client.newRequest(ctx, request{method: http.MethodGet, path: path("apps", app, "kv", "watch"), query: query}, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/x-ndjson, application/problem+json")
	silence := time.AfterFunc(watchSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	res, err := k.client.send(req)
	if err != nil {
		return k.watchError(outer, ctx, err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxChangeBytes)
	for lines.Scan() {
		silence.Reset(watchSilence)
		if len(lines.Bytes()) == 0 {
			continue
		}
		change, err := k.readChange(lines.Bytes())
		if err != nil {
			return err
		}
		silence.Stop() // the reader takes its time
		if !yield(change, nil) {
			return nil
		}
		silence.Reset(watchSilence)
	}
	if err := lines.Err(); err != nil {
		return k.watchError(outer, ctx, err)
	}
	return k.watchError(outer, ctx, io.ErrUnexpectedEOF)
}

func (k KV) readChange(line []byte) (op.Change, error) {
	var shown struct {
		KVChange
		Error *Problem `json:"error"`
	}
	if err := json.Unmarshal(line, &shown); err != nil {
		return op.Change{}, k.client.unknown(err)
	}
	if shown.Error != nil {
		return op.Change{}, shown.Error.asError(shown.Error.Status)
	}
	change, err := shown.Change()
	if err != nil {
		return op.Change{}, k.client.unknown(err)
	}
	return change, nil
}

// watchError says why a watch ended before its reader had enough.
func (k KV) watchError(outer, ctx context.Context, err error) error {
	var answered *Error
	switch {
	case outer.Err() != nil:
		return outer.Err()
	case context.Cause(ctx) == errSilent: //nolint:errorlint // the very value
		err = errSilent
	case errors.As(err, &answered):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the node ended it")
	}
	return newError(abi.Unavailable, 0, fmt.Errorf("node %s: watch ended: %w", k.client.Node(), err))
}

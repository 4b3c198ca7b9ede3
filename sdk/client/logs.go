package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// maxLineBytes bounds one line of a log on the wire; a node's own limit on a message is far below.
const maxLineBytes = 1 << 20

// Limits of LogQuery.Limit.
const (
	DefaultLogLines = 1000
	MaxLogLines     = 10_000 // more in one answer takes more memory
)

// LogQuery chooses lines. The zero value is everything the node still has and the token may see.
type LogQuery struct {
	App        string
	Function   string    // needs App
	Invocation string    // one invocation's lines
	Since      time.Time // zero: from the beginning
	Limit      int       // the newest so many, up to MaxLogLines; 0: DefaultLogLines
	Follow     bool      // then go on with new lines until the context ends
	Local      bool      // of the node that is asked alone; else of all nodes
}

func (q LogQuery) values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{"app": q.App, "function": q.Function, "invocation": q.Invocation} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Follow {
		v.Set("follow", "true")
	}
	if q.Local {
		v.Set("local", "true")
	}
	return v
}

// Logs yields lines, oldest first, as they come. An error ends the sequence: the context's when it is
// cancelled while following, abi.Unavailable when the node goes away. Breaking off the loop ends the request.
func (c *Client) Logs(ctx context.Context, q LogQuery) iter.Seq2[abi.Line, error] {
	return func(yield func(abi.Line, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		req, err := c.newRequest(ctx, request{method: http.MethodGet, path: path("logs"), query: q.values()}, nil)
		if err != nil {
			yield(abi.Line{}, err)
			return
		}
		req.Header.Set("Accept", "application/x-ndjson, application/problem+json")
		res, err := c.send(req)
		if err != nil {
			yield(abi.Line{}, err)
			return
		}
		defer res.Body.Close()
		if err := c.readLines(ctx, res, yield); err != nil {
			yield(abi.Line{}, err)
		}
	}
}

// readLines yields until the stream ends or the reader has enough; it answers nil for both.
func (c *Client) readLines(ctx context.Context, res *http.Response, yield func(abi.Line, error) bool) error {
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var line abi.Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return newError(abi.Internal, 0, fmt.Errorf("node %s: log line is not what this client knows: %w", c.Node(), err))
		}
		if !yield(line, nil) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := lines.Err(); err != nil {
		return newError(abi.Unavailable, 0, fmt.Errorf("node %s: log stream cut off: %w", c.Node(), err))
	}
	return nil
}

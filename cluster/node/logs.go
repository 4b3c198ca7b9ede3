package node

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/runtime/logs"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// nodeLogs reads the logs of all nodes for the admin plane. A node that does not answer is named in a line of its own.
type nodeLogs struct{ *Node }

// Read answers the newest lines of all nodes, or of this one.
func (n nodeLogs) Read(ctx context.Context, q client.LogQuery) []abi.Line {
	lines := n.mark(n.logs.Read(query(q)))
	if q.Local {
		return lines
	}
	for _, others := range askOthers(ctx, n.Node, func(ctx context.Context, m client.Member) []abi.Line { return n.readFrom(ctx, m, q) }) {
		lines = append(lines, others...)
	}
	slices.SortStableFunc(lines, func(a, b abi.Line) int { return a.Time.Compare(b.Time) })
	if q.Limit > 0 {
		lines = lines[max(0, len(lines)-q.Limit):]
	}
	return lines
}

func (n nodeLogs) readFrom(ctx context.Context, m client.Member, q client.LogQuery) (lines []abi.Line) {
	q.Local, q.Follow = true, false
	for line, err := range n.adminOf(m.ID).Logs(ctx, q) {
		if err != nil {
			return append(lines, silent(q, m, err))
		}
		lines = append(lines, line)
	}
	return lines
}

// mark says in lines of this node where they were written, where they go among those of others.
func (n nodeLogs) mark(lines []abi.Line) []abi.Line {
	for i := range lines {
		lines[i].Node = n.Name()
	}
	return lines
}

// Follow yields the lines of all nodes, or of this one, and goes on with new ones.
func (n nodeLogs) Follow(ctx context.Context, q client.LogQuery) iter.Seq[abi.Line] {
	here := n.logs.Follow(ctx, query(q))
	if q.Local {
		return func(yield func(abi.Line) bool) {
			for line := range here {
				line.Node = n.Name()
				if !yield(line) {
					return
				}
			}
		}
	}
	return func(yield func(abi.Line) bool) {
		ctx, cancel := context.WithCancel(ctx)
		lines := make(chan abi.Line)
		var following sync.WaitGroup
		defer following.Wait()
		defer cancel()
		send := func(line abi.Line) bool {
			select {
			case lines <- line:
				return true
			case <-ctx.Done():
				return false
			}
		}
		following.Go(func() {
			for line := range here {
				if line.Node = n.Name(); !send(line) {
					return
				}
			}
			cancel()
		})
		for _, m := range n.otherMembers() {
			following.Go(func() { n.followFrom(ctx, m, q, send) })
		}
		for {
			select {
			case line := <-lines:
				if !yield(line) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// followFrom sends another node's lines until it ends.
func (n nodeLogs) followFrom(ctx context.Context, m client.Member, q client.LogQuery, send func(abi.Line) bool) {
	q.Local, q.Follow = true, true
	for line, err := range n.adminOf(m.ID).Logs(ctx, q) {
		if err != nil && ctx.Err() == nil {
			send(silent(q, m, err))
		}
		if err != nil || !send(line) {
			return
		}
	}
}

// silent is the line that says that a node did not answer.
func silent(q client.LogQuery, m client.Member, err error) abi.Line {
	return abi.Line{Time: time.Now().UTC(), App: q.App, Function: q.Function, Invocation: q.Invocation, Node: m.Name,
		Stream: abi.StreamPlatform, Level: "WARN", Message: fmt.Sprintf("no lines of node %s: %v", m.Name, err)}
}

func query(q client.LogQuery) logs.Query {
	return logs.Query{App: q.App, Function: q.Function, Invocation: q.Invocation, Since: q.Since, Limit: q.Limit}
}

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/client"
)

// Times of following a deployment to all nodes. It is live before: nodes that have not loaded it yet pass requests on.
const (
	rolloutTime  = 30 * time.Second // how long nodes are waited for
	rolloutPause = 100 * time.Millisecond
)

// awaitNodes shows how far what was deployed is on each node, until all that live run it themselves. What is missing
// after a while is said and no error.
func (c *cli) awaitNodes(ctx context.Context, done []client.Deployed) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	line := c.progress("loading on other nodes")
	defer line.done()
	for end := time.Now().Add(rolloutTime); ; {
		var late []string
		for _, d := range done {
			nodes, err := node.Rollout(ctx, client.VersionName{App: d.App, Function: d.Function, Version: d.Version}, false)
			if err != nil {
				return err
			}
			late = append(late, lateText(d.Function, nodes)...)
		}
		if len(late) == 0 {
			return nil
		}
		if time.Now().After(end) {
			fmt.Fprintf(c.err, "live, and not loaded everywhere yet: %s\n", strings.Join(late, ", "))
			return nil
		}
		line.set("loading on other nodes: %s", strings.Join(late, ", "))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rolloutPause):
		}
	}
}

// lateText says which living nodes do not run a function yet.
func lateText(function string, nodes []client.NodeVersion) (late []string) {
	for _, n := range nodes {
		switch n.State {
		case client.VersionServing, client.VersionSilent:
			continue
		case client.VersionLoading:
			if n.ReceivedBytes > 0 {
				late = append(late, fmt.Sprintf("%s on %s (%s)", function, printable(n.Node), sizeText(n.ReceivedBytes)))
				continue
			}
		}
		late = append(late, function+" on "+printable(n.Node))
	}
	return late
}

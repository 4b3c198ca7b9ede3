package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/sdk/client"
)

// clearScreen moves a terminal's cursor to the top and forgets what is below. Source: ECMA-48, CUP and ED.
const clearScreen = "\x1b[H\x1b[2J"

// top is a live table of nodes and functions.
func (c *cli) top() *cobra.Command {
	var every time.Duration
	once := false
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch nodes and functions: invocations a second, failures, time, CPU, memory",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			if every < 100*time.Millisecond {
				return usage("top: --every %s: it is at least 100ms", every)
			}
			if _, live := terminal(c.out); !live || c.format == formatJSON {
				once = true
			}
			if err := c.watchTop(cmd.Context(), node, every, once); err != nil && cmd.Context().Err() == nil {
				return fmt.Errorf("top: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "`TIME` how long between two looks")
	cmd.Flags().BoolVar(&once, "once", false, "print one table and end, as in a pipe")
	return cmd
}

// watchTop shows the difference of two looks again and again.
func (c *cli) watchTop(ctx context.Context, node *client.Client, every time.Duration, once bool) error { //nolint:revive // once ends the loop
	before, err := node.Top(ctx, false)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
		now, err := node.Top(ctx, false)
		if err != nil {
			return err
		}
		if once && c.format == formatJSON {
			return c.json(client.Top{Nodes: now})
		}
		text := topText(before, now)
		if !once {
			text = clearScreen + text
		}
		if _, err := io.WriteString(c.out, text); err != nil || once {
			return err
		}
		before = now
	}
}

// functionRate is what a function did between two looks, on all nodes.
type functionRate struct {
	name                               string
	invocations, failed, cold, seconds float64
	running                            int64
}

// topText is the two tables.
func topText(before, now []client.NodeTotals) string {
	var nodes [][]string
	byName := map[string]*functionRate{}
	var order []string
	for _, n := range now {
		was := find(before, n.ID)
		if n.UptimeSeconds < was.UptimeSeconds {
			was = client.NodeTotals{} // it was started anew, and counts from nothing
		}
		took := max(n.UptimeSeconds-was.UptimeSeconds, 1e-3)
		if n.State != client.StateAlive {
			nodes = append(nodes, []string{n.Node, n.State, "-", "-", "-", "-"})
			continue
		}
		total := 0.0
		for _, f := range n.Functions {
			key := f.App + "/" + f.Function
			if byName[key] == nil {
				byName[key] = &functionRate{name: key}
				order = append(order, key)
			}
			total += byName[key].add(findFunction(was, f), f, took)
		}
		nodes = append(nodes, []string{n.Node, n.State, fmt.Sprintf("%.0f", total), fmt.Sprintf("%d of %d", n.Running, n.Capacity),
			fmt.Sprintf("%.0f %%", 100*max(n.CPUSeconds-was.CPUSeconds, 0)/took), sizeText(n.MemoryBytes)})
	}
	var functions [][]string
	for _, key := range order {
		functions = append(functions, byName[key].row())
	}
	right := []string{"PER SECOND", "FAILED", "COLD", "MEAN", "RUNNING", "CPU", "MEMORY"}
	var b strings.Builder
	b.WriteString(renderTable([]string{"NODE", "STATE", "PER SECOND", "RUNNING", "CPU", "MEMORY"}, nodes, right...))
	b.WriteString("\n")
	b.WriteString(renderTable([]string{"FUNCTION", "PER SECOND", "FAILED", "COLD", "MEAN", "RUNNING"}, functions, right...))
	return b.String()
}

// add counts what a node did in so many seconds, and answers its invocations a second. Totals that shrank are those of
// a function that was made anew.
func (r *functionRate) add(was, now client.FunctionTotals, seconds float64) float64 {
	if now.Invocations < was.Invocations {
		was = client.FunctionTotals{}
	}
	rate := float64(now.Invocations-was.Invocations) / seconds
	r.invocations += rate
	r.failed += float64(now.Failed-min(was.Failed, now.Failed)) / seconds
	r.cold += float64(now.Cold-min(was.Cold, now.Cold)) / seconds
	r.seconds += (now.DurationSeconds - was.DurationSeconds) / seconds
	r.running += now.Running
	return rate
}

func (r *functionRate) row() []string {
	mean := "-"
	if r.invocations > 0 {
		mean = microText(1e6 * r.seconds / r.invocations)
	}
	return []string{r.name, fmt.Sprintf("%.0f", r.invocations), fmt.Sprintf("%.0f", r.failed), fmt.Sprintf("%.0f", r.cold), mean, fmt.Sprint(r.running)}
}

func find(nodes []client.NodeTotals, id string) client.NodeTotals {
	for _, n := range nodes {
		if n.ID == id {
			return n
		}
	}
	return client.NodeTotals{}
}

func findFunction(n client.NodeTotals, f client.FunctionTotals) client.FunctionTotals {
	for _, was := range n.Functions {
		if was.App == f.App && was.Function == f.Function {
			return was
		}
	}
	return client.FunctionTotals{}
}

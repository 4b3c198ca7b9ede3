package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// logs prints what functions wrote and what the node said of their invocations.
func (c *cli) logs() *cobra.Command {
	var query client.LogQuery
	var since string
	cmd := &cobra.Command{
		Use:   "logs [NAME]",
		Short: "Show what functions wrote, oldest first",
		Args:  arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			query.App = c.app
			if len(args) == 1 {
				query.Function = args[0]
				if _, err := node.Function(cmd.Context(), c.app, args[0]); err != nil {
					return fmt.Errorf("logs %s: %w", args[0], err)
				}
			}
			if query.Limit < 1 || query.Limit > client.MaxLogLines {
				return usage("logs: --limit %d: it is between 1 and %d", query.Limit, client.MaxLogLines)
			}
			if query.Since, err = pastTime(since, time.Now(), time.Time{}); err != nil {
				return usage("logs: --since %w", err)
			}
			return c.showLogs(cmd.Context(), node, query)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&query.Follow, "follow", "f", false, "go on with new lines until interrupted")
	f.StringVar(&since, "since", "", "`TIME` only lines of this time or later: 10m for so long ago, or 2026-11-26T09:00:00Z")
	f.StringVar(&query.Invocation, "invocation", "", "`ID` only lines of this invocation")
	f.IntVar(&query.Limit, "limit", client.DefaultLogLines, fmt.Sprintf("at most the newest `N` lines, up to %d", client.MaxLogLines))
	return cmd
}

func (c *cli) showLogs(ctx context.Context, node *client.Client, query client.LogQuery) error {
	for line, err := range node.Logs(ctx, query) {
		if err != nil && query.Follow && errors.Is(err, context.Canceled) {
			return nil // following ends when the reader has seen enough
		}
		if err != nil {
			return fmt.Errorf("logs: %w", err)
		}
		if err := c.showLine(line); err != nil {
			return err
		}
	}
	return nil
}

// showLine prints one line; as JSON it is one document a line, so that following can be piped.
func (c *cli) showLine(line abi.Line) error {
	if c.format == formatJSON {
		text, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("encode log line: %w", err)
		}
		_, err = c.out.Write(append(text, '\n'))
		return err
	}
	source := line.Stream
	if source == abi.StreamLog && line.Level != "" {
		source = line.Level
	}
	attrs := ""
	if line.Attrs != "" {
		attrs = " " + printable(line.Attrs)
	}
	version := "-" // of a line about a node
	if line.Version != 0 {
		version = fmt.Sprintf("v%d", line.Version)
	}
	_, err := fmt.Fprintf(c.out, "%s %s %s %s %-8s %s%s\n", line.Time.Local().Format("15:04:05.000"), cmp.Or(printable(line.Function), "-"),
		version, cmp.Or(printable(line.Invocation), "-"), printable(source), printable(line.Message), attrs)
	return err
}

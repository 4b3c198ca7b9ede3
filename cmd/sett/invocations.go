package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// invocations lists what ran lately, on all nodes.
func (c *cli) invocations() *cobra.Command {
	var query client.InvocationQuery
	cmd := &cobra.Command{
		Use:   "invocations [NAME]",
		Short: "List recent invocations on all nodes, oldest first",
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
					return fmt.Errorf("invocations %s: %w", args[0], err)
				}
			}
			if query.Limit < 1 || query.Limit > client.MaxInvocations {
				return usage("invocations: --limit %d: it is between 1 and %d", query.Limit, client.MaxInvocations)
			}
			list, err := node.Invocations(cmd.Context(), query)
			if err != nil {
				return fmt.Errorf("invocations: %w", err)
			}
			if c.format == formatJSON {
				return c.json(list)
			}
			if query.Waiting {
				return c.showWaiting(list.Waiting)
			}
			if len(list.Silent) > 0 {
				fmt.Fprintf(c.err, "no answer from %s\n", printable(strings.Join(list.Silent, ", ")))
			}
			rows := make([][]string, 0, len(list.Invocations))
			for _, i := range list.Invocations {
				rows = append(rows, invocationRow(i))
			}
			return c.table([]string{"TIME", "INVOCATION", "NODE", "FUNCTION", "STATUS", "START", "TOOK", "REQUEST"}, rows, "TOOK")
		},
	}
	cmd.Flags().BoolVar(&query.Failed, "failed", false, "only those answered with 4xx or 5xx")
	cmd.Flags().BoolVar(&query.Waiting, "waiting", false, "those that are asynchronous or of schedules and have not ended")
	cmd.Flags().IntVar(&query.Limit, "limit", client.DefaultInvocations, fmt.Sprintf("at most the newest `N`, up to %d", client.MaxInvocations))
	return cmd
}

// showWaiting lists invocations that are kept until they succeed or are given up.
func (c *cli) showWaiting(waiting []client.WaitingInvocation) error {
	rows := make([][]string, 0, len(waiting))
	for _, w := range waiting {
		next := "-"
		if !w.Next.IsZero() {
			next = w.Next.Local().Format(time.TimeOnly)
		}
		rows = append(rows, []string{agoText(w.Accepted), w.Invocation, w.Function, w.Trigger, w.State,
			strconv.Itoa(w.Attempts), next, cmp.Or(w.Error, "-")})
	}
	return c.table([]string{"ACCEPTED", "INVOCATION", "FUNCTION", "TRIGGER", "STATE", "FAILED", "NEXT", "LAST ERROR"}, rows, "FAILED")
}

func invocationRow(i client.Invocation) []string {
	request := strings.TrimSpace(i.Method + " " + i.Path)
	if i.Trigger != "" && i.Trigger != abi.TriggerHTTP && i.Trigger != abi.TriggerInvoke {
		request = i.Trigger
	}
	return []string{
		i.Time.Local().Format(time.TimeOnly), i.Invocation, i.Node, fmt.Sprintf("%s v%d", cmp.Or(i.Function, "-"), i.Version),
		strings.TrimSpace(strconv.Itoa(i.Status) + " " + string(i.Code)), cmp.Or(string(i.Start), "-"), microText(float64(i.TookUS)),
		cmp.Or(request, "-"),
	}
}

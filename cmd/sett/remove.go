package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/sdk/client"
)

// remove takes functions off the node, with all their versions.
func (c *cli) remove() *cobra.Command {
	var all, yes bool
	cmd := &cobra.Command{
		Use:   "remove NAME | --all --app NAME",
		Short: "Remove a function with its versions, or all of an app",
		Args:  arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case all == (len(args) == 1):
				return usage("remove: give either a function's NAME or --all")
			case all && !c.appGiven:
				return usage("remove: --all needs --app, so that it is clear whose functions go")
			}
			node, err := c.client()
			if err != nil {
				return err
			}
			if all {
				return c.removeAll(cmd, node, yes)
			}
			return c.removeOne(cmd, node, args[0], yes)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every function of the app")
	cmd.Flags().BoolVar(&yes, "yes", false, yesUsage)
	return cmd
}

func (c *cli) removeOne(cmd *cobra.Command, node *client.Client, name string, yes bool) error {
	if _, asks := terminal(c.in); asks && !yes && !c.confirm("remove %s of app %s with all its versions?", name, c.app) {
		return fmt.Errorf("remove %s: not confirmed", name)
	}
	if err := node.Remove(cmd.Context(), c.app, name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return c.removed([]string{name})
}

func (c *cli) removeAll(cmd *cobra.Command, node *client.Client, yes bool) error {
	if !yes {
		if _, asks := terminal(c.in); !asks {
			return usage("remove: --all asks first and there is no terminal to ask on; add --yes")
		}
		list, err := node.Functions(cmd.Context(), c.app)
		if err != nil {
			return fmt.Errorf("remove all of %s: %w", c.app, err)
		}
		if !c.confirm("remove all %d functions of app %s?", len(list), c.app) {
			return fmt.Errorf("remove all of %s: not confirmed", c.app)
		}
	}
	names, err := node.RemoveAll(cmd.Context(), c.app)
	if err != nil {
		return fmt.Errorf("remove all of %s: %w", c.app, err)
	}
	if kept := c.queueNames(cmd.Context(), node.Queues()); len(kept) > 0 {
		fmt.Fprintf(c.err, "sett: note: queues of app %s stay, with their messages; to remove one: sett queue delete %s --app %s\n", c.app, kept[0], c.app)
	}
	return c.removed(names)
}

func (c *cli) removed(names []string) error {
	if c.format == formatJSON {
		return c.json(client.RemoveResponse{Functions: notNil(names)})
	}
	for _, name := range names {
		if _, err := fmt.Fprintf(c.out, "%s removed\n", printable(name)); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks a question on stderr; only y or yes is yes.
func (c *cli) confirm(format string, args ...any) bool {
	fmt.Fprintf(c.err, format+" [y/N] ", args...)
	answer, _ := bufio.NewReader(c.in).ReadString('\n') // no answer is no
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// rollback makes an earlier version live.
func (c *cli) rollback() *cobra.Command {
	return &cobra.Command{
		Use:   "rollback NAME [VERSION]",
		Short: "Make an earlier version live, by default the one before",
		Args:  arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			number := 0
			if len(args) == 2 {
				var err error
				if number, err = parseVersion(args[1]); err != nil {
					return fmt.Errorf("rollback %s: %w", args[0], err)
				}
			}
			node, err := c.client()
			if err != nil {
				return err
			}
			f, err := node.Rollback(cmd.Context(), c.app, args[0], number)
			if err != nil {
				return fmt.Errorf("rollback %s: %w", args[0], err)
			}
			if c.format == formatJSON {
				return c.json(f)
			}
			_, err = fmt.Fprintf(c.out, "%s v%d is live\n", f.Name, f.Version)
			return err
		},
	}
}

// parseVersion reads a version's number, written 3 or v3.
func parseVersion(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "v"))
	if err != nil || n < 1 {
		return 0, usage("version %q: it is a number such as 3 or v3", s)
	}
	return n, nil
}

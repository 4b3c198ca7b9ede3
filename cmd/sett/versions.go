package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/sdk/client"
)

// versions lists the versions a node keeps of a function, newest first.
func (c *cli) versions() *cobra.Command {
	return &cobra.Command{
		Use:   "versions NAME",
		Short: "List a function's versions, newest first",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			list, err := node.Versions(cmd.Context(), c.app, args[0])
			if err != nil {
				return fmt.Errorf("versions %s: %w", args[0], err)
			}
			if c.format == formatJSON {
				return c.json(client.VersionList{Versions: notNil(list)})
			}
			rows := make([][]string, 0, len(list))
			for _, v := range list {
				aliases := "-"
				if len(v.Aliases) > 0 {
					aliases = strings.Join(v.Aliases, ", ")
				}
				rows = append(rows, []string{fmt.Sprintf("v%d", v.Number), aliases, string(v.Kind), routesText(v.Routes),
					v.Digest[:min(12, len(v.Digest))], sizeText(v.SizeBytes), agoText(v.Created)})
			}
			return c.table([]string{"VERSION", "ALIASES", "KIND", "ROUTES", "MODULE", "SIZE", "DEPLOYED"}, rows, "SIZE")
		},
	}
}

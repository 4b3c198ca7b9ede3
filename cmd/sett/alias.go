package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// alias shows, sets or removes a function's aliases.
func (c *cli) alias() *cobra.Command {
	remove := false
	cmd := &cobra.Command{
		Use:   "alias NAME [ALIAS vN[=WEIGHT]...]",
		Short: "Show a function's aliases, or set one to versions with weights",
		Example: "  sett alias hello                       show all\n" +
			"  sett alias hello live v4=90 v5=10      a tenth of the requests to v5\n" +
			"  sett alias hello beta v5               a name of its own: sett invoke hello:beta\n" +
			"  sett alias hello beta --remove",
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			f, err := changeAlias(cmd, node, c.app, args, remove)
			if err != nil {
				return fmt.Errorf("alias %s: %w", args[0], err)
			}
			return c.showAliases(f)
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the alias")
	return cmd
}

// changeAlias does what the words ask for and answers the function as it is then.
func changeAlias(cmd *cobra.Command, node *client.Client, app string, args []string, remove bool) (client.Function, error) {
	switch {
	case len(args) == 1 && !remove:
		return node.Function(cmd.Context(), app, args[0])
	case remove && len(args) != 2:
		return client.Function{}, usage("--remove needs the alias alone; it is: sett alias NAME ALIAS --remove")
	case remove:
		at := client.Alias{App: app, Function: args[0], Name: args[1]}
		if err := node.RemoveAlias(cmd.Context(), at); err != nil {
			return client.Function{}, err
		}
		return node.Function(cmd.Context(), app, args[0])
	case len(args) == 2:
		return client.Function{}, usage("which versions? it is: sett alias NAME ALIAS vN[=WEIGHT]...")
	}
	weights, err := parseWeights(args[2:])
	if err != nil {
		return client.Function{}, err
	}
	return node.SetAlias(cmd.Context(), client.Alias{App: app, Function: args[0], Name: args[1]}, weights)
}

// parseWeights reads "v4=90" "v5=10"; a version alone weighs 100.
func parseWeights(words []string) ([]registry.Weight, error) {
	weights := make([]registry.Weight, 0, len(words))
	for _, w := range words {
		version, share, given := strings.Cut(w, "=")
		number, err := parseVersion(version)
		if err != nil {
			return nil, err
		}
		weight := 100
		if given {
			if weight, err = strconv.Atoi(share); err != nil || weight < 1 || weight > 100 {
				return nil, usage("weight %q of v%d: it is a number from 1 to 100", share, number)
			}
		}
		weights = append(weights, registry.Weight{Version: number, Weight: weight})
	}
	return weights, nil
}

func (c *cli) showAliases(f client.Function) error {
	if c.format == formatJSON {
		return c.json(f)
	}
	rows := make([][]string, 0, len(f.Aliases))
	for _, name := range slices.Sorted(maps.Keys(f.Aliases)) {
		rows = append(rows, []string{f.Name, name, weightsText(f.Aliases[name])})
	}
	return c.table([]string{"FUNCTION", "ALIAS", "VERSIONS"}, rows)
}

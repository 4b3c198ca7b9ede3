package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/sdk/client"
)

// tokens makes, lists and ends the tokens of the admin plane.
func (c *cli) tokens() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke tokens for the admin plane",
		Example: "  sett token create ci --app shop      for one app alone\n" +
			"  sett token list\n" +
			"  sett token revoke ID",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(c.createToken(), c.listTokens(), c.revokeToken())
	return cmd
}

func (c *cli) createToken() *cobra.Command {
	s3 := false
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Create an admin's token, or with --app one for that app alone, and print it",
		Args:  arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			request := client.TokenRequest{Name: "cli"}
			if len(args) == 1 {
				request.Name = args[0]
			}
			scope := "an admin's, it may do everything"
			if c.appGiven {
				request.App = c.app
				scope = "for app " + c.app
			}
			if request.S3 = s3; s3 && !c.appGiven {
				return usage("token create: an access key for S3 is an app's: give --app APP")
			}
			t, err := node.CreateToken(cmd.Context(), request)
			if err != nil {
				return fmt.Errorf("token create: %w", err)
			}
			if c.format == formatJSON {
				return c.json(t)
			}
			fmt.Fprintf(c.err, "token %s (%s), %s; its secret is shown this once:\n", t.ID, printable(t.Name), scope)
			if s3 {
				_, err = fmt.Fprintf(c.out, "AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", t.ID, t.Secret)
				return err
			}
			_, err = fmt.Fprintln(c.out, t.Secret)
			return err
		},
	}
	cmd.Flags().BoolVar(&s3, "s3", false, "an access key for S3 clients, for the objects of --app alone")
	return cmd
}

func (c *cli) listTokens() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List tokens, without their secrets",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			list, err := node.Tokens(cmd.Context())
			if err != nil {
				return fmt.Errorf("token list: %w", err)
			}
			if c.format == formatJSON {
				return c.json(client.TokenList{Tokens: notNil(list)})
			}
			rows := make([][]string, 0, len(list))
			for _, t := range list {
				scope := "admin"
				if t.App != "" {
					scope = "app " + t.App
				}
				if t.S3 {
					scope += ", S3"
				}
				rows = append(rows, []string{t.ID, t.Name, scope, "..." + t.Last4, timeText(t.Created)})
			}
			return c.table([]string{"ID", "NAME", "MAY", "SECRET", "CREATED"}, rows)
		},
	}
}

func (c *cli) revokeToken() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a token; requests that carry it are refused from then on",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			if err := node.RevokeToken(cmd.Context(), args[0]); err != nil {
				return fmt.Errorf("token revoke %s: %w", args[0], err)
			}
			if c.format == formatJSON {
				return c.json(map[string]string{"revoked": args[0]})
			}
			_, err = fmt.Fprintf(c.out, "%s revoked\n", printable(args[0]))
			return err
		},
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/client"
)

func (c *cli) kvList(flags *kvFlags) *cobra.Command {
	query := op.Query{KeysOnly: true}
	cmd := &cobra.Command{
		Use:               "list [PREFIX]",
		Short:             "List keys, or those that start with PREFIX, in the order of their bytes",
		Args:              arguments(0, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().IntVar(&query.Limit, "limit", op.MaxPageKeys, "at most `N` keys")
	cmd.Flags().StringVar(&query.Cursor, "cursor", "", "`CURSOR` go on behind the list that told this cursor, as of the same moment")
	flags.addConsistency(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if query.Limit < 1 || query.Limit > op.MaxPageKeys {
			return usage("kv list: --limit %d: it is between 1 and %d", query.Limit, op.MaxPageKeys)
		}
		if len(args) == 1 {
			if query.Prefix, err = flags.bytes(cmd, args[0]); err != nil {
				return err
			}
		}
		if query.Read, err = flags.read(cmd); err != nil {
			return err
		}
		node, err := c.client()
		if err != nil {
			return err
		}
		page, err := node.KV().List(cmd.Context(), c.app, query)
		if err != nil {
			return fmt.Errorf("kv list: %w", err)
		}
		return c.showPage(page)
	}
	return cmd
}

func (c *cli) showPage(page op.Page) error {
	if c.format == formatJSON {
		out := client.KVPage{Keys: make([]client.KVItem, 0, len(page.Items)), Cursor: page.Cursor, Revision: page.Revision}
		for _, i := range page.Items {
			out.Keys = append(out.Keys, client.KVItemOf(i))
		}
		return c.json(out)
	}
	rows := make([][]string, 0, len(page.Items))
	for _, i := range page.Items {
		rows = append(rows, []string{keyText(i.Key), strconv.FormatUint(i.Revision, 10),
			sizeText(int64(i.Size)), untilText(i.Expires)})
	}
	err := c.table([]string{"KEY", "REVISION", "SIZE", "EXPIRES"}, rows, "REVISION", "SIZE")
	if page.Cursor != "" {
		fmt.Fprintf(c.err, "there are more keys; go on with --cursor %s\n", printable(page.Cursor))
	}
	return err
}

// untilText says how soon t is, to the nearest unit: a key that is to live for 12 hours says so a moment later, too.
func untilText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	switch d := time.Until(t).Round(time.Second); {
	case d <= 0:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("in %ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("in %dm", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("in %dh", int(d.Round(time.Hour).Hours()))
	default:
		return fmt.Sprintf("in %dd", int(d.Round(24*time.Hour).Hours()/24))
	}
}

func (c *cli) kvWatch(flags *kvFlags) *cobra.Command {
	var from uint64
	cmd := &cobra.Command{
		Use:   "watch [PREFIX]",
		Short: "Print changes as they happen, a line of JSON each, until interrupted",
		Long: "--from goes on after a revision, such as that of a list or the last one seen. After a break give the\n" +
			"last one seen less one: a transaction may have been cut in the middle, and what was seen of it comes\n" +
			"again.",
		Args:              arguments(0, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "`REVISION` only changes after this revision (default now)")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		prefix := ""
		if len(args) == 1 {
			if prefix, err = flags.bytes(cmd, args[0]); err != nil {
				return err
			}
		}
		node, err := c.client()
		if err != nil {
			return err
		}
		return c.showChanges(cmd.Context(), node.KV(), prefix, from)
	}
	return cmd
}

func (c *cli) showChanges(ctx context.Context, node client.KV, prefix string, from uint64) error {
	out := json.NewEncoder(c.out)
	out.SetEscapeHTML(false)
	for change, err := range node.Watch(ctx, c.app, prefix, from) {
		if errors.Is(err, context.Canceled) {
			return nil // the reader has seen enough
		}
		if err != nil {
			return fmt.Errorf("kv watch: %w", err)
		}
		if err := out.Encode(client.KVChangeOf(change)); err != nil {
			return fmt.Errorf("kv watch: %w", err)
		}
	}
	return nil
}

func (c *cli) kvUsage() *cobra.Command {
	return &cobra.Command{
		Use:   "usage",
		Short: "Show how much the app keeps, and how much it may keep",
		Long:  "Each message of the app's queues counts as a key.",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			u, err := node.KV().Usage(cmd.Context(), c.app)
			if err != nil {
				return fmt.Errorf("kv usage: %w", err)
			}
			return c.showUsage(u)
		},
	}
}

func (c *cli) showUsage(u op.Usage) error {
	if c.format == formatJSON {
		return c.json(client.KVUsageOf(u))
	}
	keys, bytes := number(u.Keys)+", no limit", sizeText(u.Bytes)+", no limit"
	if u.Quota.Keys != 0 {
		keys = fmt.Sprintf("%d of %d", u.Keys, u.Quota.Keys)
	}
	if u.Quota.Bytes != 0 {
		bytes = fmt.Sprintf("%s of %s", sizeText(u.Bytes), sizeText(u.Quota.Bytes))
	}
	return c.facts([][2]string{{"app", c.app}, {"keys", keys}, {"size", bytes}})
}

func (c *cli) kvQuota() *cobra.Command {
	var quota op.Quota
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Limit how much the app may keep",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, bytes := cmd.Flags().Changed("keys"), cmd.Flags().Changed("bytes")
			if !keys && !bytes || quota.Keys < 0 || quota.Bytes < 0 {
				return usage("kv quota: give --keys N, --bytes N or both; 0 is no limit")
			}
			node, err := c.client()
			if err != nil {
				return err
			}
			now, err := node.KV().Usage(cmd.Context(), c.app)
			if err != nil {
				return fmt.Errorf("kv quota: %w", err)
			}
			if keys {
				now.Quota.Keys = quota.Keys
			}
			if bytes {
				now.Quota.Bytes = quota.Bytes
			}
			if err := node.KV().SetQuota(cmd.Context(), c.app, now.Quota); err != nil {
				return fmt.Errorf("kv quota: %w", err)
			}
			return c.showUsage(now)
		},
	}
	cmd.Flags().Int64Var(&quota.Keys, "keys", 0, "at most `N` keys; 0 is no limit")
	cmd.Flags().Int64Var(&quota.Bytes, "bytes", 0, "at most `N` bytes, keys and values together; 0 is no limit")
	return cmd
}

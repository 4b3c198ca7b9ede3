package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// buckets works on an app's buckets.
func (c *cli) buckets() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bucket",
		Short:   "Create, list and delete buckets of objects",
		Example: "  sett bucket create pics\n  sett bucket list",
		Args:    cobra.ArbitraryArgs,
		RunE:    unknownCommand,
	}
	cmd.AddCommand(c.bucketCreate(), c.bucketList(), c.bucketShow(), c.bucketDelete())
	return cmd
}

// noBucket tells of a bucket that is not there.
func (c *cli) noBucket(ctx context.Context, node client.Objects, bucket string, err error) error {
	if !errors.Is(err, op.ErrNoBucket) {
		return err
	}
	all, _ := node.Buckets(ctx, c.app) // no names are no hint
	var names []string
	for _, b := range all {
		names = append(names, b.Name)
	}
	return c.absent("bucket", bucket, names, err)
}

func (c *cli) bucketCreate() *cobra.Command {
	var ask client.BucketRequest
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a bucket, or change whether it tells of its objects",
		Args:  arguments(1, 1),
		RunE: c.on(c.bucket(), func(k call) error {
			change := changeCreated
			there, err := k.node.Objects().Bucket(k.ctx(), c.app, k.name)
			switch {
			case err == nil && (!k.cmd.Flags().Changed("events") || ask.Events == there.Events):
				change, ask.Events = changeUnchanged, there.Events
			case err == nil:
				change = changeUpdated
			case !errors.Is(err, op.ErrNoBucket):
				return err
			}
			b, err := k.node.Objects().PutBucket(k.ctx(), c.app, k.name, ask)
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(b)
			}
			_, err = fmt.Fprintf(c.out, "bucket %s %s\n", k.name, change)
			return err
		}),
	}
	cmd.Flags().BoolVar(&ask.Events, "events", false, "tell of its objects before a trigger that listens is deployed")
	return cmd
}

func (c *cli) bucketList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the app's buckets",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			all, err := node.Objects().Buckets(cmd.Context(), c.app)
			if err != nil {
				return fmt.Errorf("bucket list: %w", err)
			}
			if c.format == formatJSON {
				return c.json(client.BucketList{Buckets: notNil(all)})
			}
			var rows [][]string
			for _, b := range all {
				rows = append(rows, []string{b.Name, timeText(b.Created), yesText(b.Events)})
			}
			return c.table([]string{"BUCKET", "CREATED", "EVENTS"}, rows)
		},
	}
}

func (c *cli) bucketShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a bucket and what it holds",
		Args:  arguments(1, 1),
		RunE: c.on(c.bucket(), func(k call) error {
			b, err := k.node.Objects().Bucket(k.ctx(), c.app, k.name)
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(b)
			}
			return c.facts([][2]string{{"bucket", b.Name}, {"app", c.app}, {"created", timeText(b.Created)}, {"events", yesText(b.Events)},
				{"objects", fmt.Sprintf("%d (%s)", b.Usage.Objects, sizeText(b.Usage.Bytes))}})
		}),
	}
}

func (c *cli) bucketDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a bucket, which must be empty",
		Args:  arguments(1, 1),
		RunE: c.on(c.bucket(), func(k call) error {
			if err := k.node.Objects().DeleteBucket(k.ctx(), c.app, k.name); err != nil {
				if errors.Is(err, op.ErrNotEmpty) {
					err = abi.WithCode(abi.Conflict, fmt.Errorf("%w; empty it with: sett object delete --recursive %s/", op.ErrNotEmpty, k.name))
				}
				return err
			}
			return c.deleted("bucket", k.name)
		}),
	}
}

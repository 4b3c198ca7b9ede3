package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// buckets works on an app's buckets.
func (c *cli) buckets() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bucket create|list|show|delete",
		Short:   "Make, list and delete buckets of objects",
		Example: "  sett bucket create pics\n  sett bucket list",
		Args:    cobra.ArbitraryArgs,
		RunE:    unknownCommand,
	}
	cmd.AddCommand(c.bucketCreate(), c.bucketList(), c.bucketShow(), c.bucketDelete())
	return cmd
}

// onBucket makes a verb's run of what it does with its bucket.
func (c *cli) onBucket(do func(cmd *cobra.Command, node client.Objects, bucket string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := op.ValidateBucket(args[0]); err != nil {
			return usageError{fmt.Errorf("bucket %s: %w", cmd.Name(), err)}
		}
		node, err := c.client()
		if err != nil {
			return err
		}
		if err := do(cmd, node.Objects(), args[0]); err != nil {
			return fmt.Errorf("bucket %s %s: %w", cmd.Name(), args[0], c.bucketError(cmd, node.Objects(), args[0], err))
		}
		return nil
	}
}

// bucketError names the app, and the nearest bucket there is when there is none of the name.
func (c *cli) bucketError(cmd *cobra.Command, node client.Objects, bucket string, err error) error {
	if !errors.Is(err, op.ErrNoBucket) {
		return err
	}
	hint := "; make it with: sett bucket create " + bucket
	all, listErr := node.Buckets(cmd.Context(), c.app)
	var names []string
	for _, b := range all {
		names = append(names, b.Name)
	}
	if near := manifest.Nearest(bucket, names); listErr == nil && near != "" {
		hint = fmt.Sprintf(", did you mean %s?", near)
	}
	return abi.WithCode(abi.NotFound, fmt.Errorf("%w in app %s%s", op.ErrNoBucket, c.app, hint))
}

func (c *cli) bucketCreate() *cobra.Command {
	var ask client.BucketRequest
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a bucket, or change whether it tells of its objects",
		Args:  arguments(1, 1, "NAME"),
		RunE: c.onBucket(func(cmd *cobra.Command, node client.Objects, bucket string) error {
			change := "created"
			there, err := node.Bucket(cmd.Context(), c.app, bucket)
			switch {
			case err == nil && (!cmd.Flags().Changed("events") || ask.Events == there.Events):
				change, ask.Events = "unchanged", there.Events
			case err == nil:
				change = "updated"
			case !errors.Is(err, op.ErrNoBucket):
				return err
			}
			b, err := node.PutBucket(cmd.Context(), c.app, bucket, ask)
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(b)
			}
			_, err = fmt.Fprintf(c.out, "bucket %s %s\n", bucket, change)
			return err
		}),
	}
	cmd.Flags().BoolVar(&ask.Events, "events", false, "tell triggers what becomes of its objects before one of them is deployed")
	return cmd
}

func (c *cli) bucketList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the app's buckets",
		Args:  arguments(0, 0, ""),
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
				rows = append(rows, []string{b.Name, b.Created.Local().Format(time.DateTime), strconv.FormatBool(b.Events)})
			}
			return c.table([]string{"BUCKET", "CREATED", "EVENTS"}, rows)
		},
	}
}

func (c *cli) bucketShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a bucket and what it holds",
		Args:  arguments(1, 1, "NAME"),
		RunE: c.onBucket(func(cmd *cobra.Command, node client.Objects, bucket string) error {
			b, err := node.Bucket(cmd.Context(), c.app, bucket)
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(b)
			}
			return c.table([]string{"BUCKET", "OBJECTS", "SIZE", "CREATED", "EVENTS"}, [][]string{{b.Name, strconv.FormatInt(b.Usage.Objects, 10),
				sizeText(b.Usage.Bytes), b.Created.Local().Format(time.DateTime), strconv.FormatBool(b.Events)}}, "OBJECTS", "SIZE")
		}),
	}
}

func (c *cli) bucketDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a bucket, which must be empty",
		Args:  arguments(1, 1, "NAME"),
		RunE: c.onBucket(func(cmd *cobra.Command, node client.Objects, bucket string) error {
			if err := node.DeleteBucket(cmd.Context(), c.app, bucket); err != nil {
				if errors.Is(err, op.ErrNotEmpty) {
					err = abi.WithCode(abi.Conflict, fmt.Errorf("%w; empty it with: sett object delete --recursive %s/", op.ErrNotEmpty, bucket))
				}
				return err
			}
			if c.format == formatJSON {
				return c.json(map[string]string{"deleted": bucket})
			}
			_, err := fmt.Fprintf(c.out, "bucket %s deleted\n", bucket)
			return err
		}),
	}
}

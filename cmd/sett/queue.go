package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// queues works on an app's queues.
func (c *cli) queues() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Create queues, send and receive messages, bring dead letters back",
		Example: "  sett queue create orders --visibility 2m --dead-letter orders-dead\n" +
			"  sett queue send orders '{\"id\":7}' --attr kind=gift\n" +
			"  sett queue send orders --lines < orders.ndjson\n" +
			"  sett queue receive orders --limit 10 --wait 20s --ack\n" +
			"  sett queue redrive orders-dead",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(c.queueCreate(), c.queueList(), c.queueShow(), c.queueSend(), c.queueReceive(), c.queueDeleteMessage(),
		c.queuePurge(), c.queueRedrive(), c.queueDelete())
	return cmd
}

// noQueue tells of a queue that is not there.
func (c *cli) noQueue(k call, err error) error {
	if !errors.Is(err, op.ErrNoQueue) {
		return err
	}
	return c.absent("queue", k.name, c.queueNames(k.ctx(), k.node.Queues()), err)
}

// noteDeadLetter says what happens until the queue of dead letters is there, if there is to be one and it is not.
func (c *cli) noteDeadLetter(k call, queue, until string) {
	if queue == "" {
		return
	}
	if _, err := k.node.Queues().Get(k.ctx(), c.app, queue); errors.Is(err, op.ErrNoQueue) {
		fmt.Fprintf(c.err, "sett: note: queue %s is not there, and until it is %s: sett queue create %s\n", queue, until, queue)
	}
}

// queueNames answers the names of some queues for a hint, none when they cannot be had.
func (c *cli) queueNames(ctx context.Context, node client.Queues) (names []string) {
	list, _, err := node.List(ctx, c.app, op.QueueQuery{})
	if err != nil {
		return nil
	}
	for _, q := range list {
		names = append(names, q.Name)
	}
	return names
}

// queueFlags are a queue's settings.
type queueFlags struct {
	visibility, delay, retention, wait time.Duration
	maxBytes, maxReceives              int
	deadLetter                         string
	contentDedup                       bool
}

func (f *queueFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.DurationVar(&f.visibility, "visibility", 0, "`TIME` how long until a message that was received comes again, up to 12h (default 30s)")
	flags.DurationVar(&f.delay, "delay", 0, "`TIME` how long until a message can be received, up to 15m (default 0s)")
	flags.DurationVar(&f.retention, "retention", 0, "`TIME` how long messages are kept, 1m to 336h (default 96h)")
	flags.DurationVar(&f.wait, "wait", 0, "`TIME` how long a receive waits for a first message, up to 20s (default 0s)")
	flags.IntVar(&f.maxBytes, "max-bytes", 0, "`BYTES` size of the largest message, 1024 to 262144 (default 262144)")
	flags.StringVar(&f.deadLetter, "dead-letter", "", "`NAME` queue for messages that were received too often; '' for none")
	flags.IntVar(&f.maxReceives, "max-receives", 0, "`N` receives before a message goes there, 1 to 1000 (default 10)")
	flags.BoolVar(&f.contentDedup, "content-dedup", false, "of a FIFO queue: messages with the same body are one, within 5 minutes")
}

// apply puts the flags that were given into q.
func (f *queueFlags) apply(cmd *cobra.Command, q *registry.Queue) error {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	for _, d := range []struct {
		name string
		from time.Duration
		to   *int
		zero bool // means what it says
	}{{"visibility", f.visibility, &q.VisibilitySeconds, false}, {"delay", f.delay, &q.DelaySeconds, true},
		{"retention", f.retention, &q.RetentionSeconds, false}, {"wait", f.wait, &q.WaitSeconds, true}} {
		if !given(d.name) {
			continue
		}
		if d.from%time.Second != 0 || d.from == 0 && !d.zero {
			return usage("queue create: --%s %v: it is whole seconds, such as 30s", d.name, d.from)
		}
		*d.to = int(d.from / time.Second)
	}
	if given("max-bytes") {
		q.MaxBytes = f.maxBytes
	}
	if given("dead-letter") {
		if q.DeadLetter = f.deadLetter; q.DeadLetter == "" {
			q.MaxReceives = 0
		}
	}
	if given("max-receives") {
		q.MaxReceives = f.maxReceives
	}
	if given("content-dedup") {
		q.ContentDedup = f.contentDedup
	}
	if err := q.Validate(); err != nil {
		return usageError{fmt.Errorf("queue create: %w", err)}
	}
	return nil
}

func (c *cli) queueCreate() *cobra.Command {
	var flags queueFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a queue, or change settings of one that is there",
		Example: "  sett queue create orders --visibility 2m --dead-letter orders-dead --max-receives 5\n" +
			"  sett queue create payments.fifo --content-dedup     a name that ends in .fifo makes a FIFO queue",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.add(cmd)
	cmd.RunE = c.on(c.queue(), func(k call) error {
		ctx := k.ctx()
		wanted := registry.Queue{Name: k.name, FIFO: strings.HasSuffix(k.name, ".fifo")}
		// Before anybody is asked, but for what depends on the dead letters that the queue may have already.
		asks := k.cmd.Flags().Changed("max-receives") && !k.cmd.Flags().Changed("dead-letter")
		if err := flags.apply(k.cmd, &wanted); err != nil && !asks {
			return err
		}
		there, err := k.node.Queues().Get(ctx, c.app, k.name)
		switch {
		case err == nil:
			wanted = there.Queue
		case !errors.Is(err, op.ErrNoQueue):
			return err
		}
		if err := flags.apply(k.cmd, &wanted); err != nil {
			return err
		}
		change, err := putQueue(ctx, putting{k.node.Queues(), c.app, wanted})
		if err != nil {
			return err
		}
		c.noteDeadLetter(k, wanted.DeadLetter, "messages stay")
		if c.format != formatJSON {
			_, err = fmt.Fprintf(c.out, "queue %s %s\n", k.name, change)
			return err
		}
		info, err := k.node.Queues().Get(ctx, c.app, k.name)
		if err != nil {
			return err
		}
		return c.json(client.QueueInfoOf(info))
	})
	return cmd
}

func (c *cli) queueList() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List the app's queues and what they hold",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			var all []registry.QueueInfo
			for q := (op.QueueQuery{}); ; {
				page, after, err := node.Queues().List(cmd.Context(), c.app, q)
				if err != nil {
					return fmt.Errorf("queue list: %w", err)
				}
				all = append(all, page...)
				if q.After = after; after == "" {
					return c.showQueues(all)
				}
			}
		},
	}
}

func (c *cli) showQueues(all []registry.QueueInfo) error {
	if c.format == formatJSON {
		out := client.QueuePage{Queues: []client.QueueInfo{}}
		for _, q := range all {
			out.Queues = append(out.Queues, client.QueueInfoOf(q))
		}
		return c.json(out)
	}
	rows := make([][]string, 0, len(all))
	for _, q := range all {
		s, dead := q.Stats, "-"
		if q.DeadLetter != "" {
			dead = fmt.Sprintf("%s after %d", q.DeadLetter, q.MaxReceives)
		}
		rows = append(rows, []string{q.Name, number(s.Visible), number(s.InFlight), number(s.Delayed), agoText(s.Oldest), dead})
	}
	return c.table([]string{"QUEUE", "VISIBLE", "IN FLIGHT", "DELAYED", "OLDEST", "DEAD LETTERS"}, rows, "VISIBLE", "IN FLIGHT", "DELAYED")
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func (c *cli) queueShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             "Show a queue's settings and what it holds",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.on(c.queue(), func(k call) error {
			info, err := k.node.Queues().Get(k.ctx(), c.app, k.name)
			if err != nil {
				return err
			}
			return c.showQueue(info)
		}),
	}
}

// showQueue prints everything about one queue, a line a fact.
func (c *cli) showQueue(q registry.QueueInfo) error {
	if c.format == formatJSON {
		return c.json(client.QueueInfoOf(q))
	}
	seconds := func(n int) string { return durationText(time.Duration(n) * time.Second) }
	s, kind, dead := q.Stats, "standard", "none"
	if q.FIFO {
		kind = "FIFO"
	}
	if q.ContentDedup {
		kind += ", the same body is the same message"
	}
	if q.DeadLetter != "" {
		dead = fmt.Sprintf("%s, after %d receives", q.DeadLetter, q.MaxReceives)
	}
	return c.facts([][2]string{
		{"queue", q.Name}, {"app", c.app}, {"created", timeText(q.Created)}, {"kind", kind},
		{"visibility", seconds(q.VisibilitySeconds)}, {"delay", seconds(q.DelaySeconds)}, {"retention", seconds(q.RetentionSeconds)},
		{"wait", seconds(q.WaitSeconds)}, {"largest", sizeText(int64(q.MaxBytes))}, {"dead letters", dead},
		{"messages", fmt.Sprintf("%d (%s): %d visible, %d in flight, %d delayed", s.Messages, sizeText(s.Bytes), s.Visible, s.InFlight, s.Delayed)},
		{"oldest", agoText(s.Oldest)},
	})
}

func (c *cli) queuePurge() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:               "purge NAME",
		Short:             "Delete all messages of a queue, also those in flight",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, yesUsage)
	cmd.RunE = c.on(c.queue(), func(k call) error {
		if err := c.sure(yes, k.cmd, fmt.Sprintf("delete all messages of queue %s of app %s?", k.name, c.app)); err != nil {
			return err
		}
		n, err := k.node.Queues().Purge(k.ctx(), c.app, k.name)
		if err != nil {
			return err
		}
		if c.format == formatJSON {
			return c.json(client.PurgeResponse{Messages: n})
		}
		_, err = fmt.Fprintf(c.out, "queue %s purged of %s\n", k.name, count(int(n), "message"))
		return err
	})
	return cmd
}

// sure asks whether to destroy, unless --yes says so; without a terminal to ask on it must.
func (c *cli) sure(yes bool, cmd *cobra.Command, question string) error {
	if yes {
		return nil
	}
	if _, asks := terminal(c.in); !asks {
		return usage("%s: it asks first and there is no terminal to ask on; add --yes", verb(cmd))
	}
	if !c.confirm("%s", question) {
		return errors.New("not confirmed")
	}
	return nil
}

func (c *cli) queueRedrive() *cobra.Command {
	var ask op.Redrive
	cmd := &cobra.Command{
		Use:               "redrive NAME",
		Short:             "Move messages of a dead-letter queue to the queues they came from, or to another",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&ask.To, "to", "", "`NAME` queue they move to (default for each the one it came from)")
	cmd.Flags().IntVar(&ask.Max, "limit", 0, "at most `N` messages (default all that are visible)")
	cmd.RunE = c.on(c.queue(), func(k call) error {
		if ask.Max < 0 {
			return usage("queue redrive: --limit %d: it is a number from 0", ask.Max)
		}
		n, err := k.node.Queues().Redrive(k.ctx(), c.app, k.name, ask)
		if abi.CodeOf(err) == abi.InvalidInput && ask.To == "" {
			return fmt.Errorf("%w; --to QUEUE says where to", err)
		}
		if err != nil {
			return err
		}
		if c.format == formatJSON {
			return c.json(client.RedriveResponse{Moved: n})
		}
		_, err = fmt.Fprintf(c.out, "%s moved\n", count(int(n), "message"))
		return err
	})
	return cmd
}

func (c *cli) queueDelete() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a queue with its messages",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, yesUsage)
	cmd.RunE = c.on(c.queue(), func(k call) error {
		if err := c.sure(yes, k.cmd, fmt.Sprintf("delete queue %s of app %s with all its messages?", k.name, c.app)); err != nil {
			return err
		}
		if err := k.node.Queues().Remove(k.ctx(), c.app, k.name); err != nil {
			return err
		}
		return c.deleted("queue", k.name)
	})
	return cmd
}

// deleted tells that something was deleted.
func (c *cli) deleted(kind, name string) error {
	if c.format == formatJSON {
		return c.json(map[string]string{"deleted": name})
	}
	_, err := fmt.Fprintf(c.out, "%s %s deleted\n", kind, name)
	return err
}

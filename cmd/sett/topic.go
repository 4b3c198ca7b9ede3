package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// topics works on an app's topics.
func (c *cli) topics() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic create|list|publish|subscribe|unsubscribe|subscriptions|delete",
		Short: "Make topics, publish to them, and say who gets what",
		Example: "  sett topic create placed\n" +
			"  sett topic subscribe placed queue:orders\n" +
			"  sett topic subscribe placed https://example.com/hook --filter '{\"kind\":[\"gift\"]}'\n" +
			"  sett topic publish placed '{\"id\":7}' --attr kind=gift",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(c.topicCreate(), c.topicList(), c.topicPublish(), c.topicSubscribe(), c.topicUnsubscribe(), c.topicSubscriptions(),
		c.topicDelete())
	return cmd
}

// topicCall is a call on one topic.
type topicCall struct {
	cmd  *cobra.Command
	node client.Topics
	name string
	args []string // behind the name
}

// onTopic makes a verb's run of what it does with its topic.
func (c *cli) onTopic(do func(topicCall) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := registry.CheckTopicName(args[0]); err != nil {
			return usageError{fmt.Errorf("topic %s: %w", cmd.Name(), err)}
		}
		node, err := c.client()
		if err != nil {
			return err
		}
		t := topicCall{cmd, node.Topics(), args[0], args[1:]}
		return c.topicError(t, do(t))
	}
}

// topicError names the topic, and the nearest there is when there is none of the name.
func (c *cli) topicError(t topicCall, err error) error {
	var wrong usageError
	if err == nil || errors.As(err, &wrong) {
		return err
	}
	if abi.CodeOf(err) == abi.NotFound {
		if topics, listErr := t.node.List(t.cmd.Context(), c.app); listErr == nil {
			if missing := c.noTopic(t.name, topics); missing != nil {
				err = missing
			}
		}
	}
	return fmt.Errorf("topic %s %s: %w", t.cmd.Name(), t.name, err)
}

// noTopic is the error for a topic that is not among those there are, nil for one that is.
func (c *cli) noTopic(name string, topics []registry.Topic) error {
	var names []string
	for _, t := range topics {
		if t.Name == name {
			return nil
		}
		names = append(names, t.Name)
	}
	hint := "; make it with: sett topic create " + name
	if near := manifest.Nearest(name, names); near != "" {
		hint = fmt.Sprintf(", did you mean %s?", near)
	}
	return abi.WithCode(abi.NotFound, fmt.Errorf("topic not found in app %s%s", c.app, hint))
}

func (c *cli) topicCreate() *cobra.Command {
	return &cobra.Command{
		Use:               "create NAME",
		Short:             "Make a topic; one that is there stays as it is",
		Args:              arguments(1, 1, "NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.onTopic(func(t topicCall) error {
			change, err := putTopic(t.cmd.Context(), t.node, c.app, registry.Topic{Name: t.name})
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(registry.Topic{Name: t.name})
			}
			_, err = fmt.Fprintf(c.out, "topic %s %s\n", t.name, change)
			return err
		}),
	}
}

func (c *cli) topicList() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List the app's topics",
		Args:              arguments(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			topics, err := node.Topics().List(cmd.Context(), c.app)
			if err != nil {
				return fmt.Errorf("list topics: %w", err)
			}
			if c.format == formatJSON {
				return c.json(client.TopicList{Topics: notNil(topics)})
			}
			rows := make([][]string, 0, len(topics))
			for _, t := range topics {
				rows = append(rows, []string{t.Name})
			}
			return c.table([]string{"TOPIC"}, rows)
		},
	}
}

func (c *cli) topicPublish() *cobra.Command {
	var flags messageFlags
	cmd := &cobra.Command{
		Use:   "publish NAME [BODY|-]",
		Short: "Publish a message, or one for each line; prints its id",
		Example: "  sett topic publish placed '{\"id\":7}' --attr kind=gift\n" +
			"  sett topic publish placed --lines < orders.ndjson",
		Args:              arguments(1, 2, "NAME [BODY|-]"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.add(cmd)
	cmd.RunE = c.onTopic(func(t topicCall) error {
		return c.sendAll(t.cmd, flags, t.args, func(ctx context.Context, messages ...op.Outgoing) ([]op.Sent, error) {
			return t.node.Publish(ctx, c.app, t.name, messages...)
		})
	})
	return cmd
}

func (c *cli) topicSubscribe() *cobra.Command {
	var s registry.Subscription
	filter, scope := "", ""
	cmd := &cobra.Command{
		Use:   "subscribe TOPIC queue:NAME|URL",
		Short: "Have a queue or a URL get what is published; functions subscribe by their deployment",
		Example: "  sett topic subscribe placed queue:orders\n" +
			"  sett topic subscribe placed https://example.com/hook --name shipping --filter '{\"kind\":[\"gift\"]}' --dead-letter lost",
		Args:              arguments(2, 2, "TOPIC queue:NAME|URL"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Name, "name", "", "subscription's name, unique in the topic (default: the queue's, or the URL's host and path)")
	flags.StringVar(&filter, "filter", "", "policy, as SNS has it, that messages must meet: '{\"kind\":[\"gift\"]}'")
	flags.StringVar(&scope, "filter-scope", "attributes", "where the filter looks: attributes or body")
	flags.StringVar(&s.DeadLetter, "dead-letter", "", "queue for what a URL could not be given")
	words := cobra.FixedCompletions([]cobra.Completion{"attributes", "body"}, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("filter-scope", words); err != nil {
		panic(err) // the flag was added above
	}
	cmd.RunE = c.onTopic(func(t topicCall) error {
		s.Topic, s.To = t.name, t.args[0]
		if s.Name == "" {
			s.Name = subscriptionName(s.To)
		}
		switch scope {
		case "attributes":
		case "body":
			s.FilterScope = registry.FilterBody
		default:
			return usage("topic subscribe: filter scope %q: it is attributes or body", scope)
		}
		if filter != "" {
			s.Filter = json.RawMessage(filter)
			if _, err := trigger.ParseFilter(s.Filter); err != nil {
				return usageError{fmt.Errorf("topic subscribe: %w", err)}
			}
		}
		if err := s.Validate(); err != nil {
			return usageError{fmt.Errorf("topic subscribe: %w", err)}
		}
		if err := t.node.Subscribe(t.cmd.Context(), c.app, s); err != nil {
			return err
		}
		if c.format == formatJSON {
			return c.json(s)
		}
		_, err := fmt.Fprintf(c.out, "%s is subscribed to %s as %s\n", printable(s.To), s.Topic, s.Name)
		return err
	})
	return cmd
}

// subscriptionName makes a name of what is subscribed: of a queue's name, or a URL's host and path, with - for all but
// letters, digits and _.
func subscriptionName(to string) string {
	name, isQueue := strings.CutPrefix(to, registry.DestinationQueue+":")
	if u, err := url.Parse(to); err == nil && !isQueue {
		name = u.Host + u.Path
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, name)
	return strings.Trim(name[:min(len(name), registry.MaxNameBytes)], "-")
}

func (c *cli) topicUnsubscribe() *cobra.Command {
	return &cobra.Command{
		Use:               "unsubscribe TOPIC NAME",
		Short:             "End a subscription; what was not delivered to it is gone",
		Args:              arguments(2, 2, "TOPIC NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.onTopic(func(t topicCall) error {
			err := t.node.Unsubscribe(t.cmd.Context(), c.app, t.name, t.args[0])
			if abi.CodeOf(err) == abi.NotFound {
				return c.noSubscription(t, err)
			}
			if err != nil {
				return err
			}
			return c.gone("subscription", t.args[0])
		}),
	}
}

// noSubscription is the error for a subscription that is not there: the nearest there is, if it can be had.
func (c *cli) noSubscription(t topicCall, err error) error {
	list, listErr := t.node.Subscriptions(t.cmd.Context(), c.app, t.name)
	if listErr != nil {
		return err
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	near := manifest.Nearest(t.args[0], names)
	if near == "" {
		return err
	}
	return abi.WithCode(abi.NotFound, fmt.Errorf("there is no subscription %s, did you mean %s?", t.args[0], near))
}

func (c *cli) topicSubscriptions() *cobra.Command {
	return &cobra.Command{
		Use:               "subscriptions TOPIC",
		Short:             "List who gets what is published to a topic",
		Args:              arguments(1, 1, "TOPIC"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.onTopic(func(t topicCall) error {
			list, err := t.node.Subscriptions(t.cmd.Context(), c.app, t.name)
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(client.SubscriptionList{Subscriptions: notNil(list)})
			}
			rows := make([][]string, 0, len(list))
			for _, s := range list {
				filter, dead := "-", "-"
				if len(s.Filter) > 0 {
					filter = string(s.Filter)
				}
				if s.DeadLetter != "" {
					dead = s.DeadLetter
				}
				rows = append(rows, []string{s.Name, s.To, filter, dead})
			}
			return c.table([]string{"SUBSCRIPTION", "TO", "FILTER", "DEAD LETTERS"}, rows)
		}),
	}
}

func (c *cli) topicDelete() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Remove a topic with its subscriptions, and what was not delivered",
		Args:              arguments(1, 1, "NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = c.onTopic(func(t topicCall) error {
		if err := c.sure(yes, t.cmd, fmt.Sprintf("remove topic %s of app %s with its subscriptions?", t.name, c.app)); err != nil {
			return err
		}
		if err := t.node.Remove(t.cmd.Context(), c.app, t.name); err != nil {
			return err
		}
		return c.gone("topic", t.name)
	})
	return cmd
}

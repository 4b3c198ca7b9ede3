package main

import (
	"context"
	"encoding/json"
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
		Use:   "topic",
		Short: "Create topics, publish to them, and say who gets what",
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

// noTopic tells of a topic that is not there.
func (c *cli) noTopic(k call, err error) error {
	topics, listErr := k.node.Topics().List(k.ctx(), c.app)
	if abi.CodeOf(err) != abi.NotFound || listErr != nil {
		return err
	}
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	return c.absent("topic", k.name, names, err)
}

func (c *cli) topicCreate() *cobra.Command {
	return &cobra.Command{
		Use:               "create NAME",
		Short:             "Create a topic; one that is there stays as it is",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.on(c.topic(), func(k call) error {
			change, err := putTopic(k.ctx(), k.node.Topics(), c.app, registry.Topic{Name: k.name})
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(registry.Topic{Name: k.name})
			}
			_, err = fmt.Fprintf(c.out, "topic %s %s\n", k.name, change)
			return err
		}),
	}
}

func (c *cli) topicList() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List the app's topics",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			topics, err := node.Topics().List(cmd.Context(), c.app)
			if err != nil {
				return fmt.Errorf("topic list: %w", err)
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
		Short: "Publish a message, or one for each line, and print its id",
		Example: "  sett topic publish placed '{\"id\":7}' --attr kind=gift\n" +
			"  sett topic publish placed --lines < orders.ndjson",
		Args:              arguments(1, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.add(cmd)
	cmd.RunE = c.on(c.topic(), func(k call) error {
		return c.sendAll(k.cmd, flags, k.args, func(ctx context.Context, messages ...op.Outgoing) ([]op.Sent, error) {
			return k.node.Topics().Publish(ctx, c.app, k.name, messages...)
		})
	})
	return cmd
}

func (c *cli) topicSubscribe() *cobra.Command {
	var s registry.Subscription
	filter, scope := "", ""
	cmd := &cobra.Command{
		Use:   "subscribe TOPIC queue:NAME|URL",
		Short: "Subscribe a queue or a URL to a topic; functions are subscribed by their deployment",
		Example: "  sett topic subscribe placed queue:orders\n" +
			"  sett topic subscribe placed https://example.com/hook --name shipping --dead-letter lost",
		Args:              arguments(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Name, "name", "", "`NAME` name of the subscription, unique in the topic (default the queue's, or the URL's host and path)")
	flags.StringVar(&filter, "filter", "", "`JSON` policy, as SNS has it, that messages must meet: '{\"kind\":[\"gift\"]}'")
	flags.StringVar(&scope, "filter-scope", "attributes", "`PART` where the filter looks: attributes or body")
	flags.StringVar(&s.DeadLetter, "dead-letter", "", "`NAME` queue for messages that the URL did not take")
	words := cobra.FixedCompletions([]cobra.Completion{"attributes", "body"}, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("filter-scope", words); err != nil {
		panic(err) // the flag was added above
	}
	cmd.RunE = c.on(c.topic(), func(k call) error {
		s.Topic, s.To = k.name, k.args[0]
		if s.Name == "" {
			s.Name = subscriptionName(s.To)
		}
		switch scope {
		case "attributes":
		case "body":
			s.FilterScope = registry.FilterBody
		default:
			return usage("topic subscribe: --filter-scope %q: it is attributes or body", scope)
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
		if err := k.node.Topics().Subscribe(k.ctx(), c.app, s); err != nil {
			return err
		}
		c.noteDeadLetter(k, s.DeadLetter, "what the URL does not take is lost")
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
		Short:             "Delete a subscription; what was not delivered to it is gone",
		Args:              arguments(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.on(c.topic(), func(k call) error {
			err := k.node.Topics().Unsubscribe(k.ctx(), c.app, k.name, k.args[0])
			if abi.CodeOf(err) == abi.NotFound {
				return c.noSubscription(k, err)
			}
			if err != nil {
				return err
			}
			return c.deleted("subscription", k.args[0])
		}),
	}
}

// noSubscription is the error for a subscription that is not there: the nearest there is, if it can be had.
func (c *cli) noSubscription(k call, err error) error {
	list, listErr := k.node.Topics().Subscriptions(k.ctx(), c.app, k.name)
	if listErr != nil {
		return err
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	near := manifest.Nearest(k.args[0], names)
	if near == "" {
		return err
	}
	return abi.WithCode(abi.NotFound, fmt.Errorf("there is no subscription %s, did you mean %s?", k.args[0], near))
}

func (c *cli) topicSubscriptions() *cobra.Command {
	return &cobra.Command{
		Use:               "subscriptions TOPIC",
		Short:             "List who gets what is published to a topic",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.on(c.topic(), func(k call) error {
			list, err := k.node.Topics().Subscriptions(k.ctx(), c.app, k.name)
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
		Short:             "Delete a topic with its subscriptions, and what was not delivered",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, yesUsage)
	cmd.RunE = c.on(c.topic(), func(k call) error {
		if err := c.sure(yes, k.cmd, fmt.Sprintf("delete topic %s of app %s with its subscriptions?", k.name, c.app)); err != nil {
			return err
		}
		if err := k.node.Topics().Remove(k.ctx(), c.app, k.name); err != nil {
			return err
		}
		return c.deleted("topic", k.name)
	})
	return cmd
}

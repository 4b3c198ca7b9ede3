package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// call is a verb's call on one thing of an app, such as a queue.
type call struct {
	cmd  *cobra.Command
	node *client.Client
	name string
	args []string // behind the name
}

func (k call) ctx() context.Context { return k.cmd.Context() }

// noun is a kind of thing that verbs work on.
type noun struct {
	check   func(name string) error
	explain func(call, error) error // says more of what the node refused
}

func (c *cli) queue() noun { return noun{registry.CheckQueueName, c.noQueue} }
func (c *cli) topic() noun { return noun{registry.CheckTopicName, c.noTopic} }
func (c *cli) bucket() noun {
	return noun{op.ValidateBucket, func(k call, err error) error {
		return c.noBucket(k.ctx(), k.node.Objects(), k.name, err)
	}}
}
func (c *cli) archive() noun { return noun{registry.CheckArchiveName, c.noArchive} }
func (c *cli) schedule() noun {
	return noun{func(string) error { return nil }, func(_ call, err error) error { return err }}
}

// on makes a verb's run of what it does with the thing that its first word names.
func (c *cli) on(n noun, do func(call) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := n.check(args[0]); err != nil {
			return usageError{fmt.Errorf("%s: %w", verb(cmd), err)}
		}
		node, err := c.client()
		if err != nil {
			return err
		}
		k := call{cmd, node, args[0], args[1:]}
		err = do(k)
		var wrong usageError
		if err == nil || errors.As(err, &wrong) {
			return err
		}
		return fmt.Errorf("%s %s: %w", verb(cmd), k.name, n.explain(k, err))
	}
}

// absent is the error for a thing that is not there: the nearest of those that are, else what to do. When it is among them
// something else is not there, which err names. Group is the command that creates such things.
func (c *cli) absent(group, name string, names []string, err error) error {
	if slices.Contains(names, name) {
		return err
	}
	kind := group[strings.LastIndexByte(group, ' ')+1:]
	hint := fmt.Sprintf("; create it with: sett %s create %s", group, name)
	if !c.appGiven {
		hint += ", or say whose it is: --app NAME"
	}
	if near := manifest.Nearest(name, names); near != "" {
		hint = fmt.Sprintf(", did you mean %s?", near)
	}
	return abi.WithCode(abi.NotFound, fmt.Errorf("%s not found in app %s%s", kind, c.app, hint))
}

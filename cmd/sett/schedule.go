package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// schedules works on the schedules of an app's functions.
func (c *cli) schedules() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "List schedules, fire one, enable and disable them",
		Example: "  sett schedule list\n" +
			"  sett schedule fire dailyReport\n" +
			"  sett schedule disable cleanup#2",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(c.scheduleList(), c.scheduleFire(), c.scheduleTurn("enable", "Enable a schedule, also one that was deployed as disabled"),
		c.scheduleTurn("disable", "Disable a schedule until it is enabled; deployments do not change that"))
	return cmd
}

func (c *cli) scheduleList() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List the app's schedules and when they fire next",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			list, err := node.Schedules().List(cmd.Context(), c.app)
			if err != nil {
				return fmt.Errorf("schedule list: %w", err)
			}
			if c.format == formatJSON {
				return c.json(client.ScheduleList{Schedules: notNil(list)})
			}
			rows := make([][]string, 0, len(list))
			for _, s := range list {
				rows = append(rows, []string{s.Function, s.Name, s.Expression, s.Timezone, nextText(s)})
			}
			return c.table([]string{"FUNCTION", "SCHEDULE", "EXPRESSION", "TIMEZONE", "NEXT"}, rows)
		},
	}
}

// nextText says when a schedule fires next, by this machine's clock.
func nextText(s client.Schedule) string {
	switch {
	case !s.Enabled:
		return "disabled"
	case s.Next.IsZero():
		return "never"
	}
	return fmt.Sprintf("%s (%s)", timeText(s.Next), untilText(s.Next))
}

// scheduleOf finds what FUNCTION[#NAME] names. The name may be left out when the function has one schedule.
func (c *cli) scheduleOf(k call) (id registry.ScheduleID, err error) {
	function, name, named := strings.Cut(k.name, "#")
	list, err := k.node.Schedules().List(k.ctx(), c.app)
	if err != nil {
		return id, fmt.Errorf("list schedules: %w", err)
	}
	var functions, names []string
	for _, s := range list {
		if functions = append(functions, s.Function); s.Function != function {
			continue
		}
		names = append(names, s.Name)
		if id = s.ID(); named && s.Name == name {
			return id, nil
		}
	}
	refuse := func(format string, args ...any) (registry.ScheduleID, error) {
		return registry.ScheduleID{}, abi.WithCode(abi.NotFound, fmt.Errorf(format, args...))
	}
	switch {
	case len(names) == 0:
		hint := ""
		if near := manifest.Nearest(function, functions); near != "" {
			hint = fmt.Sprintf(", did you mean %s?", near)
		}
		return refuse("function %s of app %s has no schedule%s", function, c.app, hint)
	case named:
		return refuse("function %s has no schedule %q; it has %s#%s", function, name, function, strings.Join(names, ", "+function+"#"))
	case len(names) > 1:
		return registry.ScheduleID{}, usage("%s %s: function %s has several schedules: say which: %s#%s", verb(k.cmd), k.name, function, function, strings.Join(names, ", "+function+"#"))
	}
	return id, nil
}

func (c *cli) scheduleFire() *cobra.Command {
	return &cobra.Command{
		Use:               "fire FUNCTION[#SCHEDULE]",
		Short:             "Invoke a function as its schedule would, and print the invocation's id",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.on(c.schedule(), func(k call) error {
			id, err := c.scheduleOf(k)
			if err != nil {
				return err
			}
			invocation, err := k.node.Schedules().Fire(k.ctx(), id)
			if err != nil {
				return err
			}
			return c.showInvocation(invocation)
		}),
	}
}

// showInvocation prints the id of an invocation that runs later.
func (c *cli) showInvocation(id string) error {
	if c.format == formatJSON {
		return c.json(client.AsyncResponse{Invocation: id})
	}
	_, err := fmt.Fprintln(c.out, id)
	return err
}

// scheduleTurn makes the verbs enable and disable.
func (c *cli) scheduleTurn(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " FUNCTION[#SCHEDULE]",
		Short:             short,
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.on(c.schedule(), func(k call) error {
			id, err := c.scheduleOf(k)
			if err != nil {
				return err
			}
			turn := k.node.Schedules().Enable
			if verb == "disable" {
				turn = k.node.Schedules().Disable
			}
			if err := turn(k.ctx(), id); err != nil {
				return err
			}
			if c.format == formatJSON {
				return c.json(map[string]string{"function": id.Function, "schedule": id.Name, "state": verb + "d"})
			}
			_, err = fmt.Fprintf(c.out, "%s#%s %sd\n", id.Function, id.Name, verb)
			return err
		}),
	}
}

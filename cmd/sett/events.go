package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// events works on an app's event bus.
func (c *cli) events() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Put events on the app's bus, archive and replay them",
		Example: "  sett events put --source shop --detail-type placed --detail '{\"order\":7}'\n" +
			"  sett events archive create all --retention 168h\n" +
			"  sett events replay all --from 1h --function mail",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(c.eventsPut(), c.eventsTest(), c.eventsArchive(), c.eventsReplay())
	return cmd
}

func (c *cli) eventsPut() *cobra.Command {
	var e registry.BusEvent
	detail, lines := "", false
	cmd := &cobra.Command{
		Use:   "put",
		Short: "Put an event, or one for each line of stdin, and print its id",
		Example: "  sett events put --source shop --detail-type placed --detail '{\"order\":7}'\n" +
			"  echo '{\"source\":\"shop\",\"detail_type\":\"placed\",\"detail\":{\"order\":7}}' | sett events put --lines",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVar(&e.Source, "source", "", "`NAME` who puts it, such as shop.orders")
	flags.StringVar(&e.DetailType, "detail-type", "", "`NAME` what has happened, such as placed")
	flags.StringVar(&detail, "detail", "{}", "`JSON` object that says more; - is stdin")
	flags.StringArrayVar(&e.Resources, "resource", nil, "`NAME` what it is about (repeatable)")
	flags.BoolVar(&lines, "lines", false, "each line of stdin that is not empty is an event: JSON with source, detail_type, detail, resources, time")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		node, err := c.client()
		if err != nil {
			return err
		}
		put := func(events []registry.BusEvent) ([]string, error) {
			return node.Events().Put(cmd.Context(), c.app, events...)
		}
		if lines {
			if cmd.Flags().Changed("detail") {
				e.Detail = json.RawMessage(detail)
			}
			if err := c.putLines(e, put); err != nil {
				return fmt.Errorf("events put: %w", err)
			}
			return nil
		}
		if e.Source == "" || e.DetailType == "" {
			return usage("events put: give --source and --detail-type")
		}
		e.Detail = json.RawMessage(detail)
		if detail == "-" {
			if e.Detail, err = io.ReadAll(io.LimitReader(c.in, registry.MaxMessageBytes)); err != nil {
				return fmt.Errorf("read detail: %w", err)
			}
		}
		if err := registry.CheckPut([]registry.BusEvent{e}); err != nil {
			return usageError{fmt.Errorf("events put: %w", err)}
		}
		ids, err := put([]registry.BusEvent{e})
		if err != nil {
			return fmt.Errorf("events put: %w", err)
		}
		return c.showPut(ids)
	}
	return cmd
}

// putLines puts an event a line, many at once. What a line does not say is as in like. After an error those before it
// are put.
func (c *cli) putLines(like registry.BusEvent, put func([]registry.BusEvent) ([]string, error)) error {
	lines := bufio.NewScanner(c.in)
	lines.Buffer(nil, registry.MaxMessageBytes)
	var all []string
	var batch []registry.BusEvent
	size, line := 0, 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		ids, err := put(batch)
		if all = append(all, ids...); err != nil {
			return fmt.Errorf("after %s put: %w", count(len(all), "event"), err)
		}
		batch, size = nil, 0
		return nil
	}
	for lines.Scan() {
		line++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		e := like
		e.Resources, e.Detail = slices.Clone(like.Resources), bytes.Clone(like.Detail) // a decoder writes over what is there
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		err := d.Decode(&e)
		if err == nil {
			err = registry.CheckPut([]registry.BusEvent{e})
		}
		if err != nil {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("line %d, after %s put: %w", line, count(len(all), "event"), err))
		}
		if len(batch) == registry.MaxEvents || size+len(lines.Bytes()) > maxSendBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, size = append(batch, e), size+len(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read line %d: %w", line+1, err)
	}
	if err := flush(); err != nil {
		return err
	}
	return c.showPut(all)
}

func (c *cli) showPut(ids []string) error {
	if c.format == formatJSON {
		return c.json(client.PutEventsResponse{IDs: notNil(ids)})
	}
	for _, id := range ids {
		if _, err := fmt.Fprintln(c.out, id); err != nil {
			return err
		}
	}
	return nil
}

// eventsTest needs no node.
func (c *cli) eventsTest() *cobra.Command {
	pattern, event := "", ""
	cmd := &cobra.Command{
		Use:   "test --pattern JSON --event JSON",
		Short: "Show whether a pattern matches an event, and what keeps it from doing so",
		Example: "  sett events test --pattern '{\"source\":[\"shop\"]}' --event '{\"source\":\"shop\"}'\n" +
			"  sett events test --pattern @pattern.json --event @event.json",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&pattern, "pattern", "", patternUsage)
	cmd.Flags().StringVar(&event, "event", "", "`JSON` event, as a function would get it, or @FILE, or - for stdin")
	cmd.RunE = func(*cobra.Command, []string) error {
		if pattern == "" || event == "" {
			return usage("events test: give --pattern and --event")
		}
		var texts [2][]byte
		for i, word := range []string{pattern, event} {
			var err error
			if texts[i], err = c.document(word); err != nil {
				return err
			}
		}
		f, err := trigger.ParseFilter(texts[0])
		if err != nil {
			return usageError{fmt.Errorf("events test: %w", err)}
		}
		place, err := f.Unmatched(texts[1])
		if err != nil {
			return usageError{fmt.Errorf("events test: %w", err)}
		}
		if c.format == formatJSON {
			err = c.json(map[string]any{"matches": place == "", "unmatched": place})
		} else if place == "" {
			_, err = fmt.Fprintln(c.out, "it matches")
		}
		if err != nil || place == "" {
			return err
		}
		return abi.WithCode(abi.Conflict, fmt.Errorf("events test: it does not match: %s is not as the pattern wants it", place))
	}
	return cmd
}

// document reads JSON that is given as a word, @FILE or - for stdin.
func (c *cli) document(word string) ([]byte, error) {
	file, isFile := strings.CutPrefix(word, "@")
	switch {
	case word == "-":
		return io.ReadAll(io.LimitReader(c.in, registry.MaxMessageBytes+1))
	case !isFile:
		return []byte(word), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, notThere(file, err)
	}
	return b, nil
}

func (c *cli) eventsArchive() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Create, list and delete archives, which keep events to replay",
		Example: "  sett events archive create all --retention 168h\n" +
			"  sett events archive list",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.AddCommand(c.archiveCreate(), c.archiveList(), c.archiveDelete())
	return cmd
}

func (c *cli) archiveCreate() *cobra.Command {
	pattern, retention, megabytes := "", time.Duration(0), int64(0)
	cmd := &cobra.Command{
		Use:               "create NAME",
		Short:             "Create an archive, which keeps the events put from now on, or change one",
		Example:           "  sett events archive create orders --pattern '{\"source\":[\"shop\"]}' --retention 168h",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&pattern, "pattern", "", patternUsage)
	cmd.Flags().DurationVar(&retention, "retention", op.MaxRetention, "`TIME` how long each is kept, 1m to 336h")
	cmd.Flags().Int64Var(&megabytes, "max-mb", registry.DefaultArchive>>20, "`MB` size at which it keeps no more until some have gone")
	cmd.RunE = c.on(c.archive(), func(k call) error {
		text, err := c.document(pattern)
		if err != nil {
			return err
		}
		a := registry.Archive{Name: k.name, Pattern: text, RetentionSeconds: int(retention / time.Second), MaxBytes: megabytes << 20}
		if len(text) > 0 {
			_, err = trigger.ParseFilter(text)
		}
		if err = errors.Join(a.Validate(), err); err != nil {
			return usageError{fmt.Errorf("events archive create: %w", err)}
		}
		if err := k.node.Events().PutArchive(k.ctx(), c.app, a); err != nil {
			return err
		}
		if c.format == formatJSON {
			return c.json(a)
		}
		_, err = fmt.Fprintf(c.out, "archive %s keeps events for %s\n", a.Name, durationText(retention))
		return err
	})
	return cmd
}

func (c *cli) archiveList() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List the app's archives",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			list, err := node.Events().Archives(cmd.Context(), c.app)
			if err != nil {
				return fmt.Errorf("events archive list: %w", err)
			}
			if c.format == formatJSON {
				return c.json(client.ArchiveList{Archives: notNil(list)})
			}
			rows := make([][]string, 0, len(list))
			for _, a := range list {
				pattern := "all"
				if len(a.Pattern) > 0 {
					pattern = string(a.Pattern)
				}
				rows = append(rows, []string{a.Name, fmt.Sprint(a.Events), sizeText(a.Bytes), timeText(a.Oldest),
					durationText(time.Duration(a.RetentionSeconds) * time.Second), pattern})
			}
			return c.table([]string{"ARCHIVE", "EVENTS", "SIZE", "OLDEST", "RETENTION", "PATTERN"}, rows, "EVENTS", "SIZE")
		},
	}
}

func (c *cli) archiveDelete() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete an archive with all it keeps",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, yesUsage)
	cmd.RunE = c.on(c.archive(), func(k call) error {
		if err := c.sure(yes, k.cmd, fmt.Sprintf("delete archive %s of app %s with all it keeps?", k.name, c.app)); err != nil {
			return err
		}
		if err := k.node.Events().RemoveArchive(k.ctx(), c.app, k.name); err != nil {
			return err
		}
		return c.deleted("archive", k.name)
	})
	return cmd
}

// noArchive tells of an archive that is not there.
func (c *cli) noArchive(k call, err error) error {
	list, listErr := k.node.Events().Archives(k.ctx(), c.app)
	if abi.CodeOf(err) != abi.NotFound || listErr != nil {
		return err
	}
	var names []string
	for _, a := range list {
		names = append(names, a.Name)
	}
	return c.absent("events archive", k.name, names, err)
}

func (c *cli) eventsReplay() *cobra.Command {
	var r registry.Replay
	from, to := "", ""
	cmd := &cobra.Command{
		Use:               "replay ARCHIVE",
		Short:             "Put an archive's events on the bus again",
		Example:           "  sett events replay all --from 2h --to 1h --function mail\n  sett events replay all --from 2026-11-26T09:00:00Z",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&from, "from", "", "`TIME` only events of this time or later: 10m for so long ago, or 2026-11-26T09:00:00Z")
	cmd.Flags().StringVar(&to, "to", "", "`TIME` only events before this time")
	cmd.Flags().StringVar(&r.Function, "function", "", "`NAME` function whose rules alone get them (default all rules)")
	cmd.RunE = c.on(c.archive(), func(k call) error {
		now := time.Now()
		r.To = now
		for _, at := range []struct {
			flag, text string
			time       *time.Time
		}{{"from", from, &r.From}, {"to", to, &r.To}} {
			var err error
			if *at.time, err = pastTime(at.text, now, *at.time); err != nil {
				return usage("events replay: --%s %w", at.flag, err)
			}
		}
		if err := r.Validate(); err != nil {
			return usageError{fmt.Errorf("events replay: %w", err)}
		}
		all := registry.Replayed{}
		for {
			done, err := k.node.Events().Replay(k.ctx(), c.app, k.name, r)
			if err != nil && all.Events > 0 {
				return fmt.Errorf("after %s: %w", count(all.Events, "event"), err)
			}
			if err != nil {
				return err
			}
			all.Events += done.Events
			if r.After = done.Next; r.After == 0 {
				break
			}
		}
		if c.format == formatJSON {
			return c.json(all)
		}
		_, err := fmt.Fprintf(c.out, "%s put again\n", count(all.Events, "event"))
		return err
	})
	return cmd
}

// pastTime reads a time, or how long it is ago; other when text is empty.
func pastTime(text string, now, other time.Time) (time.Time, error) {
	if text == "" {
		return other, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q: it is 10m for so long ago, or a time such as 2026-11-26T09:00:00Z", text)
	}
	return t, nil
}

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// functions lists what runs, or shows one function.
func (c *cli) functions() *cobra.Command {
	return &cobra.Command{
		Use:   "functions [NAME]",
		Short: "List the app's functions, or show one",
		Args:  arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				f, err := node.Function(cmd.Context(), c.app, args[0])
				if err != nil {
					return fmt.Errorf("functions %s: %w", args[0], err)
				}
				return c.showFunction(f)
			}
			list, err := node.Functions(cmd.Context(), c.app)
			if err != nil {
				return fmt.Errorf("functions: %w", err)
			}
			return c.listFunctions(list)
		},
	}
}

func (c *cli) listFunctions(list []client.Function) error {
	if c.format == formatJSON {
		return c.json(client.FunctionList{Functions: notNil(list)})
	}
	rows := make([][]string, 0, len(list))
	for _, f := range list {
		rows = append(rows, []string{f.Name, liveText(f), string(f.Kind), routesText(f.Routes), sizeText(f.SizeBytes), agoText(f.Created)})
	}
	return c.table([]string{"FUNCTION", "LIVE", "KIND", "ROUTES", "SIZE", "DEPLOYED"}, rows, "SIZE")
}

// liveText says which versions the alias live names.
func liveText(f client.Function) string {
	if weights := f.Aliases[registry.LiveAlias]; len(weights) > 1 {
		return weightsText(weights)
	}
	return fmt.Sprintf("v%d", f.Version)
}

func weightsText(weights []registry.Weight) string {
	if len(weights) == 1 {
		return fmt.Sprintf("v%d", weights[0].Version)
	}
	parts := make([]string, 0, len(weights))
	for _, w := range weights {
		parts = append(parts, fmt.Sprintf("v%d=%d", w.Version, w.Weight))
	}
	return strings.Join(parts, " ")
}

// showFunction prints everything about one function, a line a fact.
func (c *cli) showFunction(f client.Function) error {
	if c.format == formatJSON {
		return c.json(f)
	}
	s := f.Settings
	lines := [][2]string{
		{"function", f.Name}, {"app", f.App}, {"url", cmp.Or(f.URL, "none: it is invoked by events")},
		{"version", fmt.Sprintf("v%d of %d, deployed %s", f.Version, f.Latest, timeText(f.Created))},
		{"kind", string(f.Kind)}, {"module", fmt.Sprintf("%s (%s)", f.Digest, sizeText(f.SizeBytes))},
		{"memory", fmt.Sprintf("%d MB", s.MemoryMB)}, {"timeout", durationText(s.Timeout())},
		{"concurrency", fmt.Sprintf("%d at once, %d provisioned", s.Concurrency(), s.Provisioned)},
	}
	isolation := string(f.Isolation)
	if f.IsolationReason != "" {
		isolation += ": " + f.IsolationReason
	}
	lines = append(lines, [2]string{"isolation", isolation})
	for _, name := range f.Interfaces {
		lines = append(lines, [2]string{"interface", name})
	}
	if s.Effects != "" {
		lines = append(lines, [2]string{"effects", string(s.Effects)})
	}
	if s.Streaming {
		lines = append(lines, [2]string{"streaming", "on"})
	}
	if s.Handler != "" {
		lines = append(lines, [2]string{"handler", s.Handler})
	}
	for _, r := range f.Routes {
		lines = append(lines, [2]string{"route", r})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Aliases)) {
		lines = append(lines, [2]string{"alias", name + " " + weightsText(f.Aliases[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		lines = append(lines, [2]string{"env", name + "=" + s.Env[name]})
	}
	return c.facts(append(lines, triggerFacts(s)...))
}

// triggerFacts are what invokes a function besides HTTP, what becomes of its asynchronous invocations, and whom it may call.
func triggerFacts(s registry.Settings) (lines [][2]string) {
	for _, t := range s.Triggers {
		switch {
		case t.Schedule != nil:
			lines = append(lines, [2]string{"schedule", scheduleText(t.Schedule)})
		case t.Queue != nil:
			lines = append(lines, [2]string{"queue", queueSourceText(t.Queue)})
		case t.Stream != nil:
			lines = append(lines, [2]string{"stream", streamSourceText(t.Stream)})
		case t.Topic != nil:
			text := t.Topic.Topic
			if len(t.Topic.Filter) > 0 {
				text += ", filtered by " + string(t.Topic.Filter)
			}
			if t.Topic.DeadLetter != "" {
				text += ", dead letters to " + t.Topic.DeadLetter
			}
			lines = append(lines, [2]string{"topic", text})
		case t.Event != nil:
			text := string(t.Event.Pattern)
			if t.Event.Name != "" {
				text = t.Event.Name + " " + text
			}
			if t.Event.DeadLetter != "" {
				text += ", dead letters to " + t.Event.DeadLetter
			}
			lines = append(lines, [2]string{"rule", text})
		case t.Upload != nil:
			text := t.Upload.String()
			if !t.Upload.HasRules() {
				text += ", but not what it does itself"
			}
			lines = append(lines, [2]string{"upload", text})
		}
	}
	if a := s.Async; a != nil {
		retries, age := registry.MaxRetries, time.Duration(cmp.Or(a.MaxAgeSeconds, registry.MaxMaxAgeSeconds))*time.Second
		if a.Retries != nil {
			retries = *a.Retries
		}
		text := fmt.Sprintf("%d retries within %s", retries, durationText(age))
		if a.OnSuccess != "" {
			text += ", successes to " + a.OnSuccess
		}
		if a.OnFailure != "" {
			text += ", failures to " + a.OnFailure
		}
		lines = append(lines, [2]string{"async", text})
	}
	for _, host := range s.Egress {
		lines = append(lines, [2]string{"egress", host})
	}
	return lines
}

func scheduleText(s *registry.Schedule) string {
	text := strings.Join(s.Expressions, ", ")
	if s.Name != "" {
		text = s.Name + ": " + text
	}
	if s.Timezone != "" {
		text += " " + s.Timezone
	}
	if s.Disabled {
		text += ", deployed as disabled"
	}
	return text
}

func queueSourceText(q *registry.QueueSource) string {
	text := fmt.Sprintf("%s, %s at once", q.Queue, count(cmp.Or(q.BatchSize, registry.DefaultBatch), "message"))
	if q.WindowMS > 0 {
		text += fmt.Sprintf(" or after %s", durationText(time.Duration(q.WindowMS)*time.Millisecond))
	}
	if q.Concurrency > 0 {
		text += fmt.Sprintf(", %d batches at a time", q.Concurrency)
	}
	for _, f := range q.Filters {
		text += ", filtered by " + string(f)
	}
	return text
}

// streamSourceText is what a stream's changes are and how they are taken.
func streamSourceText(s *registry.StreamSource) string {
	text := "every key"
	if s.Prefix != "" {
		text = "keys that begin with " + s.Prefix
	}
	if s.Name != "" {
		text = s.Name + ": " + text
	}
	text += fmt.Sprintf(", %s at once", count(cmp.Or(s.BatchSize, registry.DefaultStreamBatch), "change"))
	if s.WindowMS > 0 {
		text += fmt.Sprintf(" or after %s", durationText(time.Duration(s.WindowMS)*time.Millisecond))
	}
	if s.Parallel > 1 {
		text += fmt.Sprintf(", %d batches at a time", s.Parallel)
	}
	for _, f := range s.Filters {
		text += ", filtered by " + string(f)
	}
	if s.OnFailure != "" {
		text += ", failures to " + s.OnFailure
	}
	return text
}

// notNil makes an empty list print as [] in JSON, not null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

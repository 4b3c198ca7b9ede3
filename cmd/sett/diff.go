package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// Changes of a function.
const (
	changeAdded   = "added"
	changeChanged = "changed"
	changeRemoved = "removed" // it is on the node alone
)

// difference is what a deployment would change of one function, queue, topic or bucket.
type difference struct {
	Function string        `json:"function,omitempty"` // one of the four is there
	Queue    string        `json:"queue,omitempty"`
	Topic    string        `json:"topic,omitempty"`
	Bucket   string        `json:"bucket,omitempty"`
	Change   string        `json:"change"`
	Fields   []fieldChange `json:"fields,omitempty"`
}

// fieldChange is one setting that differs, as its JSON name; empty values are defaults.
type fieldChange struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// diff builds a project and says what deploying it would change on a node.
func (c *cli) diff() *cobra.Command {
	var given variables
	cmd := &cobra.Command{
		Use:   "diff [DIR|MANIFEST]",
		Short: "Build a project and show what deploying it would change",
		Long: "It shows + functions, queues, topics and buckets that are new, ~ those that change and how, and\n" +
			"- functions of the app that the manifest has not: a deployment leaves them as they are. Values of\n" +
			"environment variables are not shown. Nothing is uploaded.",
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "."
			if len(args) == 1 {
				path = args[0]
			}
			p, err := openProject(path, given)
			if err != nil {
				return fmt.Errorf("diff: %w", err)
			}
			c.showNotes(p)
			c.useApp(p)
			changes, err := c.differences(cmd.Context(), p)
			if err != nil {
				return fmt.Errorf("diff: %w", err)
			}
			return c.showDifferences(changes)
		},
	}
	given.flags(cmd)
	return cmd
}

// differences compares a project with what the node has of its app.
func (c *cli) differences(ctx context.Context, p *project) ([]difference, error) {
	node, err := c.client()
	if err != nil {
		return nil, err
	}
	if _, err := c.buildProject(ctx, p); err != nil {
		return nil, err
	}
	list, err := node.Functions(ctx, c.app)
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	live := map[string]client.Function{}
	for _, f := range list {
		live[f.Name] = f
	}
	changes, err := c.channelDifferences(ctx, node, p)
	if err != nil {
		return nil, err
	}
	for _, f := range p.functions {
		old, ok := live[f.name]
		delete(live, f.name)
		if !ok {
			changes = append(changes, difference{Function: f.name, Change: changeAdded})
			continue
		}
		digest, err := digestOf(f.module.file)
		if err != nil {
			return nil, err
		}
		if fields := compare(old, digest, f.settings); len(fields) > 0 {
			changes = append(changes, difference{Function: f.name, Change: changeChanged, Fields: fields})
		}
	}
	if p.manifest != "" { // a single module says nothing of the app's others
		for _, name := range slices.Sorted(maps.Keys(live)) {
			changes = append(changes, difference{Function: name, Change: changeRemoved})
		}
	}
	return changes, nil
}

// compare answers the fields in which what is live differs from a module with settings.
func compare(old client.Function, digest string, settings registry.Settings) []fieldChange {
	var fields []fieldChange
	if weights := old.Aliases[registry.LiveAlias]; len(weights) > 1 {
		fields = append(fields, fieldChange{"live", weightsText(weights), "the new version alone"})
	}
	if old.Digest != digest {
		fields = append(fields, fieldChange{"module", short(old.Digest), short(digest)})
	}
	was, is := old.Settings.Complete(), settings.Complete()
	was.Env, is.Env = nil, nil
	fields = append(fields, differingFields(flatten(was), flatten(is))...)
	for _, name := range envChanges(old.Settings.Env, settings.Env) {
		fields = append(fields, fieldChange{"env." + name, hidden(old.Settings.Env, name), hidden(settings.Env, name)})
	}
	return fields
}

// differingFields answers the fields that differ, by name.
func differingFields(was, is map[string]string) (fields []fieldChange) {
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if was[name] != is[name] {
			fields = append(fields, fieldChange{name, was[name], is[name]})
		}
	}
	return fields
}

// flatten answers the values of a struct by their JSON names.
func flatten(s any) map[string]string {
	text, _ := json.Marshal(s) // documents in settings are checked, and what they hold always encodes
	var raw map[string]json.RawMessage
	if json.Unmarshal(text, &raw) != nil {
		return nil
	}
	fields := make(map[string]string, len(raw))
	for name, value := range raw {
		fields[name] = string(value)
		var word string
		if json.Unmarshal(value, &word) == nil {
			fields[name] = word
		}
	}
	return fields
}

// envChanges answers the names whose value differs, sorted.
func envChanges(was, is map[string]string) []string {
	changed := map[string]bool{}
	for _, pair := range [2][2]map[string]string{{was, is}, {is, was}} {
		for name, value := range pair[0] {
			if other, ok := pair[1][name]; !ok || other != value {
				changed[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

// hidden says whether a variable is set, and not to what: it may be a secret, and the output in somebody's log.
func hidden(env map[string]string, name string) string {
	if _, ok := env[name]; ok {
		return "***"
	}
	return ""
}

// short is as much of a digest as people compare.
func short(digest string) string { return digest[:min(len(digest), 12)] }

// digestOf answers the SHA-256 of a module, as the node names it.
func digestOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", notThere(file, err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// title is how a table names what differs.
func (d difference) title() string {
	switch {
	case d.Queue != "":
		return "queue " + d.Queue
	case d.Topic != "":
		return "topic " + d.Topic
	case d.Bucket != "":
		return "bucket " + d.Bucket
	}
	return d.Function
}

func (c *cli) showDifferences(changes []difference) error {
	if c.format == formatJSON {
		return c.json(struct {
			App     string       `json:"app"`
			Changes []difference `json:"changes"`
		}{c.app, notNil(changes)})
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintf(c.out, "app %s: nothing would change\n", c.app)
		return err
	}
	for _, d := range changes {
		sign := map[string]string{changeAdded: "+ %s\n", changeChanged: "~ %s\n", changeRemoved: "- %s  only on the node: a deployment leaves it\n"}[d.Change]
		if _, err := fmt.Fprintf(c.out, sign, printable(d.title())); err != nil {
			return err
		}
		for _, f := range d.Fields {
			if _, err := fmt.Fprintf(c.out, "    %s: %s -> %s\n", printable(f.Field), printable(cmp.Or(f.Old, "none")), printable(cmp.Or(f.New, "none"))); err != nil {
				return err
			}
		}
	}
	return nil
}

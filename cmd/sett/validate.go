package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// validate reads a manifest and tells every fault. It asks no node.
func (c *cli) validate() *cobra.Command {
	var given variables
	schema := false
	cmd := &cobra.Command{
		Use:   "validate [DIR|MANIFEST]",
		Short: "Check a manifest, and show every fault at once, with its place",
		Long: "It also checks that the modules which the manifest names are there. No node is asked, so what only a\n" +
			"node knows is found by sett deploy: whether a module has the handler, routes of other apps.",
		Args: arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if schema {
				_, err := c.out.Write(manifest.Schema())
				return err
			}
			path := "."
			if len(args) == 1 {
				path = args[0]
			}
			p, err := openProject(path, given)
			if err != nil {
				return fmt.Errorf("validate: %w", err)
			}
			if p.manifest == "" {
				return abi.WithCode(abi.NotFound, fmt.Errorf("validate: %s has no manifest: %s or %s", path, manifest.File, manifest.ServerlessFile))
			}
			return c.showValid(p)
		},
	}
	given.flags(cmd)
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON schema of manifests instead, for editors")
	return cmd
}

// showValid tells what a manifest without faults describes.
func (c *cli) showValid(p *project) error {
	names := make([]string, 0, len(p.functions))
	for _, f := range p.functions {
		names = append(names, f.name)
	}
	if c.format == formatJSON {
		return c.json(struct {
			Manifest  string           `json:"manifest"`
			App       string           `json:"app"` // empty: the file names none
			Functions []string         `json:"functions"`
			Queues    []registry.Queue `json:"queues"`
			Topics    []registry.Topic `json:"topics"`
			Buckets   []string         `json:"buckets"`
			Notes     []string         `json:"notes"`
		}{p.manifest, p.app, names, notNil(p.queues), notNil(p.topics), notNil(p.buckets), notNil(p.notes)})
	}
	c.showNotes(p)
	what := fmt.Sprintf("%s, %s, %s", count(len(names), "function"), count(len(p.queues), "queue"), count(len(p.topics), "topic"))
	if len(p.buckets) > 0 {
		what += ", " + count(len(p.buckets), "bucket")
	}
	_, err := fmt.Fprintf(c.out, "%s has no faults: %s\n", p.manifest, what)
	return err
}

// count writes a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

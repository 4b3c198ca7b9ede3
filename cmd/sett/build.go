package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// built is one module after building.
type built struct {
	Module    string   `json:"module"`
	Functions []string `json:"functions"` // that it is for
	Source    string   `json:"source,omitempty"`
	File      string   `json:"file"`
	SizeBytes int64    `json:"size_bytes"`
	TookMS    int64    `json:"took_ms"` // 0 for a module that was there as it is
}

// build builds a project's functions.
func (c *cli) build() *cobra.Command {
	var given variables
	cmd := &cobra.Command{
		Use:   "build [DIR|MANIFEST]",
		Short: "Build a project's functions with the toolchains of their languages",
		Args:  arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			p, err := openProject(dir, given)
			if err != nil {
				return fmt.Errorf("build: %w", err)
			}
			c.showNotes(p)
			modules, err := c.buildProject(cmd.Context(), p)
			if err != nil {
				return fmt.Errorf("build: %w", err)
			}
			return c.showBuilt(modules)
		},
	}
	given.flags(cmd)
	return cmd
}

// buildProject builds each module of a project once, in the order of the functions.
func (c *cli) buildProject(ctx context.Context, p *project) ([]built, error) {
	var modules []built
	at := map[string]int{} // by file
	for _, f := range p.functions {
		if i, done := at[f.module.file]; done {
			modules[i].Functions = append(modules[i].Functions, f.name)
			continue
		}
		b := built{Module: f.module.name, Functions: []string{f.name}, Source: f.module.source, File: f.module.file}
		if f.module.source != "" {
			start := time.Now()
			line := c.progress("building %s", f.module.name)
			_, err := buildModule(ctx, p.dir, f.module)
			line.done()
			if err != nil {
				return nil, err
			}
			b.TookMS = time.Since(start).Milliseconds()
		}
		info, err := os.Stat(f.module.file)
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", f.module.name, err)
		}
		b.SizeBytes = info.Size()
		at[f.module.file] = len(modules)
		modules = append(modules, b)
	}
	return modules, nil
}

func (c *cli) showBuilt(modules []built) error {
	if c.format == formatJSON {
		return c.json(map[string][]built{"modules": modules})
	}
	rows := make([][]string, 0, len(modules))
	for _, m := range modules {
		took := "as it is"
		if m.Source != "" {
			took = milliText(m.TookMS)
		}
		rows = append(rows, []string{m.Module, filepath.ToSlash(m.File), sizeText(m.SizeBytes), took})
	}
	return c.table([]string{"MODULE", "FILE", "SIZE", "TOOK"}, rows, "SIZE", "TOOK")
}

// showNotes tells on stderr what of a manifest has no effect.
func (c *cli) showNotes(p *project) {
	if c.format == formatJSON {
		return
	}
	for _, note := range p.notes {
		fmt.Fprintf(c.err, "sett: note: %s\n", printable(note))
	}
}

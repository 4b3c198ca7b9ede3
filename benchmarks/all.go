package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
)

// all is the command that runs every benchmark.
func all(out *record.Output, finish func() error) *cobra.Command {
	return &cobra.Command{
		Use: "all", Short: "Everything, one after the other", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "sett-benchmarks-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			var failed []error
			for _, b := range benchmarks() {
				if b.args == nil {
					continue
				}
				if err := part(c, b.args, filepath.Join(dir, b.args[0]+".json"), out); err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", strings.Join(b.args, " "), err))
				}
				if err := c.Context().Err(); err != nil {
					return err
				}
			}
			return errors.Join(append(failed, finish())...)
		},
	}
}

// part runs one benchmark in a process of its own, as it may choose processors for itself and what it starts, and adds
// what it wrote to file.
func part(c *cobra.Command, args []string, file string, out *record.Output) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(out.Out, "\n== %s\n", strings.Join(args, " "))
	args = append([]string{}, args...)
	args = append(args, "--json", file)
	if out.Small {
		args = append(args, "--small")
	}
	cmd := exec.CommandContext(c.Context(), self, args...)
	cmd.Stdout, cmd.Stderr = out.Out, out.Err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		return err
	}
	measured, err := record.ReadFile(file)
	if err != nil {
		return err
	}
	out.File.Merge(measured)
	fmt.Fprintf(out.Out, "== took %v\n", time.Since(began).Round(time.Second))
	return nil
}

// Command benchmarks measures Sett beside what people would take instead, on this machine.
//
//	go run ./benchmarks all            # everything, in under 15 minutes on two cores
//	go run ./benchmarks http           # one of them; go run ./benchmarks help lists all
//	go run ./benchmarks compare A B    # of two runs' files, what became better or worse
//
// Servers are processes of their own, on loopback. Rounds of different servers alternate, so that a noisy machine is noisy
// for all of them: trust ratios. A program that is not installed is left out, and how to get it is said.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/cluster"
	"github.com/sett-run/sett/benchmarks/component"
	"github.com/sett-run/sett/benchmarks/density"
	"github.com/sett-run/sett/benchmarks/http"
	"github.com/sett-run/sett/benchmarks/kv"
	"github.com/sett-run/sett/benchmarks/latency"
	"github.com/sett-run/sett/benchmarks/neighbour"
	"github.com/sett-run/sett/benchmarks/picture"
	"github.com/sett-run/sett/benchmarks/queue"
	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/server"
	"github.com/sett-run/sett/benchmarks/soak"
	"github.com/sett-run/sett/benchmarks/subject"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if code, is := subject.Child(ctx, args); is {
		return code
	}
	out := &record.Output{In: stdin, Out: stdout, Err: stderr, File: record.New()}
	out.File.Commands = []string{"go run ./benchmarks " + strings.Join(args, " ")}
	return record.Execute(ctx, root(out), args, out)
}

// root is the program's command with all others.
func root(out *record.Output) *cobra.Command {
	cmd := &cobra.Command{Use: "benchmarks", Short: "Measure Sett beside what people would take instead", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return c.Help()
	}}
	cmd.CompletionOptions.DisableDefaultCmd = true
	var file, pictures string
	flags := cmd.PersistentFlags()
	flags.StringVar(&file, "json", "", "write what was measured to this file")
	flags.StringVar(&pictures, "pictures", "", "draw PNG and SVG into this directory")
	flags.BoolVar(&out.Small, "small", false, "the shortest run that goes everywhere: it measures little")
	finish := func() error { return finish(out, file, pictures) }
	for _, b := range benchmarks() {
		sub := b.command(out)
		measure := sub.RunE
		sub.RunE = func(c *cobra.Command, args []string) error {
			return errors.Join(measure(c, args), finish()) // what was measured until then says why
		}
		cmd.AddCommand(sub)
	}
	cmd.AddCommand(all(out, finish), compare(out))
	cmd.AddCommand(serve())
	return cmd
}

// benchmark is a sub-command, and its arguments when everything is measured; none: it is not among that.
type benchmark struct {
	command func(*record.Output) *cobra.Command
	args    []string
}

func benchmarks() []benchmark {
	return []benchmark{
		{latency.Command, []string{"latency", "--rounds", "3"}},
		{http.Command, []string{"http", "--time", "500ms"}},
		{density.Command, []string{"density"}},
		{kv.Command, []string{"kv", "--time", "500ms", "--run", "load,failover,lag"}},
		{queue.Command, []string{"queue", "--time", "500ms"}},
		{cluster.Command, []string{"cluster"}},
		{neighbour.Command, []string{"neighbour", "--rounds", "3"}},
		{component.Command, nil}, // of a file
		{soak.Command, nil},      // an hour
	}
}

// serve is the process of a server that this program is itself.
func serve() *cobra.Command {
	return &cobra.Command{Use: "serve NAME ADDRESS DIR", Hidden: true, Args: cobra.ExactArgs(3), RunE: func(c *cobra.Command, args []string) error {
		return server.Serve(c.Context(), args[0], args[1], args[2])
	}}
}

// finish shows and keeps what was measured.
func finish(out *record.Output, file, pictures string) error {
	if len(out.File.Series) == 0 {
		return nil // a process of a benchmark's own
	}
	out.File.Table(out.Out)
	if file != "" {
		if err := out.File.Write(file); err != nil {
			return err
		}
	}
	if pictures != "" {
		names, err := picture.Draw(out.File, pictures)
		if err != nil {
			return err
		}
		for _, name := range names {
			fmt.Fprintf(out.Out, "drew %s.svg and .png\n", filepath.Join(pictures, name))
		}
	}
	return nil
}

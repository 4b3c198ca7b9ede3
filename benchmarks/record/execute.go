package record

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Execute runs a command with its arguments and answers the exit code: 0, 1 after an error, 2 after wrong usage. Errors
// are told on out.Err.
func Execute(ctx context.Context, cmd *cobra.Command, args []string, out *Output) int {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(out.Out)
	cmd.SetErr(out.Err)
	started := false
	before := cmd.PersistentPreRunE
	cmd.PersistentPreRunE = func(c *cobra.Command, args []string) error {
		started = true // the arguments were read
		if before != nil {
			return before(c, args)
		}
		return nil
	}
	ran, err := cmd.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(out.Err, "%s: %v\n", ran.CommandPath(), err)
	if !started || errors.Is(err, errUsage) {
		fmt.Fprintf(out.Err, "usage: %s\n", ran.UseLine())
		return 2
	}
	return 1
}

// Usage is an error of arguments.
func Usage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// Hide keeps flags out of help: those with which a benchmark starts processes of its own.
func Hide(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		flags.Lookup(name).Hidden = true
	}
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Output formats.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// cli is one run of the command line: where it reads and writes, and what the global flags say.
type cli struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	node, token, app, format string
	appGiven                 bool // by flag or environment, not the default
}

// usageError is a fault of how the command was called: status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage makes a usageError.
func usage(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// run is the whole program: it answers the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &cli{in: os.Stdin, out: stdout, err: stderr}
	root := c.root()
	root.SetArgs(behindDashes(args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	c.report(err, wantsJSON(args))
	var wrong usageError
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

// root joins the verbs.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sett",
		Short: "Turn machines into a serverless edge: upload a .wasm, every node answers for it",
		Example: "  sett demo            show everything on this machine\n" +
			"  sett up              run a node\n" +
			"  sett new my-app      create a project, then: sett deploy my-app",
		Args:              cobra.ArbitraryArgs,
		RunE:              unknownCommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.globals(cmd) },
		SilenceErrors:     true,
		SilenceUsage:      true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.node, "node", "", "`URL` admin address of the node (SETT_NODE, default "+client.DefaultNode+")")
	flags.StringVar(&c.token, "token", "", "`TOKEN` token for the admin plane (SETT_TOKEN)")
	flags.StringVar(&c.app, "app", "", "`NAME` app to work in (SETT_APP, default the one of this folder's manifest, else "+registry.DefaultApp+")")
	flags.StringVarP(&c.format, "output", "o", formatTable, "`FORMAT` how to print: table or json")
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(&cobra.Group{ID: groupNode, Title: "A node:"}, &cobra.Group{ID: groupProject, Title: "A project:"},
		&cobra.Group{ID: groupFunction, Title: "Functions on a node:"}, &cobra.Group{ID: groupState, Title: "State of an app:"})
	root.AddCommand(grouped(groupNode, c.up(), c.demo(), c.tokens(), c.cluster(), c.top())...)
	root.AddCommand(grouped(groupProject, c.new(), c.validate(), c.build(), c.dev(), c.diff(), c.deploy())...)
	root.AddCommand(grouped(groupFunction, c.functions(), c.versions(), c.rollback(), c.alias(), c.remove(), c.invoke(),
		c.logs(), c.invocations(), c.bench(), c.schedules())...)
	root.AddCommand(grouped(groupState, c.kv(), c.objects(), c.buckets(), c.queues(), c.topics(), c.events())...)
	root.AddCommand(c.version())
	addHelp(root)
	return root
}

// Groups of verbs in the help.
const (
	groupNode     = "node"
	groupProject  = "project"
	groupFunction = "function"
	groupState    = "state"
)

func grouped(group string, commands ...*cobra.Command) []*cobra.Command {
	for _, cmd := range commands {
		cmd.GroupID = group
	}
	return commands
}

// globals fills the global flags from the environment where they were not given, and checks them.
func (c *cli) globals(cmd *cobra.Command) error {
	c.appGiven = c.app != "" || os.Getenv("SETT_APP") != ""
	c.node = cmp.Or(c.node, os.Getenv("SETT_NODE"), client.DefaultNode)
	c.token = cmp.Or(c.token, os.Getenv("SETT_TOKEN"))
	if c.app = cmp.Or(c.app, os.Getenv("SETT_APP")); c.app == "" {
		var err error
		if c.app, err = folderApp(cmd); err != nil {
			return fmt.Errorf("which app? %w; --app NAME says it, too", err)
		}
	}
	if c.format != formatTable && c.format != formatJSON {
		return usage("%s--output %q: it is table or json", before(cmd), c.format)
	}
	if err := registry.CheckName("app", c.app); err != nil {
		return usageError{fmt.Errorf("%s%w", before(cmd), err)}
	}
	return nil
}

// client is the connection to the node that the global flags name.
func (c *cli) client() (*client.Client, error) {
	node, err := client.New(c.node, c.token)
	if err != nil {
		return nil, usageError{err}
	}
	return node, nil
}

// report writes an error the way scripts and people expect it.
func (c *cli) report(err error, asJSON bool) {
	if !asJSON {
		lines := strings.Split(strings.TrimRight(err.Error(), "\n"), "\n")
		for i, line := range lines { // it may quote a stranger's module or reply
			lines[i] = printable(line)
		}
		fmt.Fprintf(c.err, "sett: %s\n", strings.Join(lines, "\n"))
		return
	}
	type body struct {
		Code    abi.Code `json:"code"`
		Message string   `json:"message"`
	}
	code := abi.CodeOf(err)
	if wrong := (usageError{}); errors.As(err, &wrong) {
		code = abi.InvalidInput
	}
	text, _ := json.Marshal(map[string]body{"error": {code, err.Error()}}) // strings always encode
	fmt.Fprintf(c.err, "%s\n", text)
}

// wantsJSON reads -o before the flags are parsed, since parsing them may be what fails.
func wantsJSON(args []string) bool {
	for i, a := range args {
		switch {
		case a == "--":
			return false
		case a == "-ojson", a == "-o=json", a == "--output=json":
			return true
		case (a == "-o" || a == "--output") && i+1 < len(args) && args[i+1] == formatJSON:
			return true
		}
	}
	return false
}

// folderApp is the app that a command works in when nobody says: that of the manifest in this folder, for commands about
// functions and state. Those about projects read the manifest they are given.
func folderApp(cmd *cobra.Command) (string, error) {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	if cmd.GroupID == groupFunction || cmd.GroupID == groupState {
		for _, name := range []string{manifest.File, manifest.ServerlessFile} {
			app, err := manifestApp(name)
			if !errors.Is(err, fs.ErrNotExist) {
				return cmp.Or(app, registry.DefaultApp), err
			}
		}
	}
	return registry.DefaultApp, nil
}

// unknownCommand is what a command that only groups others does: show help, or refuse a word it does not know.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var known, inner []string // inner: of that name below one of known
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		known = append(known, sub.Name())
		for _, c := range sub.Commands() {
			if c.Name() == args[0] {
				inner = append(inner, c.CommandPath())
			}
		}
	}
	if len(inner) == 1 {
		return usage("unknown command %q for %s, did you mean %s?", args[0], cmd.CommandPath(), inner[0])
	}
	return usage("unknown command %q for %s%s", args[0], cmd.CommandPath(), didYouMean(cmd, args[0], known))
}

// flagError explains a flag that could not be read; an unknown one is answered with the nearest there is.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &wrong):
		return usage("%s--%s %q: it is %s", before(cmd), wrong.GetFlag().Name, wrong.GetValue(), kindOf(wrong.GetFlag()))
	case !errors.As(err, &missing):
		return usage("%s%w; see: %s --help", before(cmd), err, cmd.CommandPath())
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, "--"+f.Name)
		}
	})
	slices.Sort(known)
	name := missing.GetSpecifiedName()
	if missing.GetSpecifiedShortnames() != "" {
		return usage("%sunknown flag -%s; see: %s --help", before(cmd), name, cmd.CommandPath())
	}
	return usage("%sunknown flag --%s%s", before(cmd), name, didYouMean(cmd, "--"+name, known))
}

// kindOf says what a flag's values are, of those that can be wrong.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return "a time such as 90s or 24h"
	case "bool":
		return "true or false"
	case "uint64":
		return "a whole number from 0"
	}
	return "a whole number"
}

func didYouMean(cmd *cobra.Command, word string, known []string) string {
	if near := manifest.Nearest(word, known); near != "" {
		return fmt.Sprintf(", did you mean %s?", near)
	}
	return fmt.Sprintf("; see: %s --help", cmd.CommandPath())
}

// arguments checks how many words follow a verb. A negative most is no limit.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		problem := "too many words"
		if len(args) < least {
			problem = "too few words"
		}
		return usage("%s: %s; it is: %s", verb(cmd), problem, usageLine(cmd))
	}
}

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxWidth is how many columns help and tables have: what fits beside another window, and in a quoted mail.
const maxWidth = 100

// completionLong says how to load what the completion command prints.
const completionLong = "The script goes to stdout; load it into the shell that runs:\n\n" +
	"  source <(sett completion bash)\n" +
	"  sett completion zsh > \"${fpath[1]}/_sett\"\n" +
	"  sett completion fish | source\n" +
	"  sett completion powershell | Out-String | Invoke-Expression"

// addHelp gives root the help command, the help flag and the form of all help, and puts the words of cobra's own
// commands like ours.
func addHelp(root *cobra.Command) {
	root.PersistentFlags().BoolP("help", "h", false, "show this help")
	root.SetHelpFunc(showHelp)
	root.SetUsageFunc(func(cmd *cobra.Command) error { return writeUsage(cmd.OutOrStderr(), cmd) })
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usage("help: unknown command %q; see: sett --help", strings.Join(args, " "))
			}
			return cmd.Help()
		},
	})
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Short, cmd.Long = "Print a completion script for a shell", completionLong
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, unknownCommand
			for _, shell := range cmd.Commands() {
				shell.Short, shell.Long = "Print the completion script for "+shell.Name(), ""
			}
		}
	}
}

// showHelp prints what a command is for, then how it is used.
func showHelp(cmd *cobra.Command, _ []string) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s.\n\n", cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(out, "%s\n\n", cmd.Long)
	}
	_ = writeUsage(out, cmd) // help that nobody reads is no error
}

// writeUsage prints how a command is used. It is written out because cobra's templates would keep the linker from
// dropping what no one calls.
func writeUsage(w io.Writer, cmd *cobra.Command) error {
	var b strings.Builder
	line := usageLine(cmd)
	switch {
	case cmd.HasAvailableSubCommands():
		line += " COMMAND"
	case cmd.HasAvailableLocalFlags() && !strings.Contains(line, "--"):
		line += " [flags]"
	}
	fmt.Fprintf(&b, "Usage:\n  %s\n", line)
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	for _, g := range cmd.Groups() {
		writeCommands(&b, g.Title, cmd, g.ID)
	}
	if cmd.HasAvailableSubCommands() {
		writeCommands(&b, "Commands:", cmd, "")
	}
	writeFlags(&b, "Flags:", cmd.LocalFlags())
	writeFlags(&b, "Global flags:", cmd.InheritedFlags())
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nMore of a command: %s COMMAND --help\n", cmd.CommandPath())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCommands prints the commands of a group, a line each.
func writeCommands(b *strings.Builder, title string, of *cobra.Command, group string) {
	fmt.Fprintf(b, "\n%s\n", title)
	for _, cmd := range of.Commands() {
		if cmd.GroupID == group && (cmd.IsAvailableCommand() || cmd.Name() == "help") {
			fmt.Fprintf(b, "  %-*s %s\n", cmd.NamePadding(), cmd.Name(), cmd.Short)
		}
	}
}

// writeFlags prints flags: how each is written, then what it is, wrapped.
func writeFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	var forms, texts []string
	width := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		form, text := flagText(f)
		forms, texts, width = append(forms, form), append(texts, text), max(width, len(form))
	})
	fmt.Fprintf(b, "\n%s\n", title)
	for i, form := range forms {
		lines := strings.Split(text.WrapSoft(texts[i], maxWidth-width-3), "\n")
		fmt.Fprintf(b, "%-*s   %s\n", width, form, strings.TrimRight(lines[0], " "))
		for _, line := range lines[1:] {
			fmt.Fprintf(b, "%*s   %s\n", width, "", strings.TrimRight(line, " "))
		}
	}
}

// flagText is how a flag is written, with the word for its value that its usage quotes, and what it is. A usage that
// begins with that word explains it; elsewhere the word is part of the sentence.
func flagText(f *pflag.Flag) (form, usage string) {
	value, usage := pflag.UnquoteUsage(f)
	if form = "      --" + f.Name; f.Shorthand != "" {
		form = "  -" + f.Shorthand + ", --" + f.Name
	}
	if value != "" {
		form += " " + value
	}
	def := f.DefValue
	if d, err := time.ParseDuration(def); err == nil && f.Value.Type() == "duration" {
		def = durationText(d)
	}
	switch def {
	case "", "0", "0s", "false", "[]":
	default:
		usage += " (default " + def + ")"
	}
	return form, strings.TrimPrefix(usage, value+" ")
}

// usageLine is how a command is called, its flags left out: "sett rollback NAME [VERSION]".
func usageLine(cmd *cobra.Command) string {
	return strings.TrimSuffix(cmd.CommandPath(), cmd.Name()) + cmd.Use
}

// verb is a command as it was typed, without sett: "queue send".
func verb(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// before is what an error of a command begins with: its verb, and nothing for sett itself.
func before(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	return verb(cmd) + ": "
}

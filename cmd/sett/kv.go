package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// kvFlags are those that several verbs of kv share.
type kvFlags struct {
	base64      bool
	consistency string
	ttl         time.Duration
	ifRevision  uint64
	ifAbsent    bool
}

// kv works on an app's keys and values.
func (c *cli) kv() *cobra.Command {
	var flags kvFlags
	cmd := &cobra.Command{
		Use:   "kv",
		Short: "Read, change and follow the app's keys and values",
		Example: "  sett kv put greeting hello --ttl 1h\n" +
			"  sett kv put picture - < picture.png\n" +
			"  sett kv get greeting\n" +
			"  sett kv incr visits\n" +
			"  sett kv list user/\n" +
			"  sett kv watch user/",
		Args: cobra.ArbitraryArgs,
		RunE: unknownCommand,
	}
	cmd.PersistentFlags().BoolVar(&flags.base64, "base64", false, "keys and prefixes are given in base64: they may be any bytes")
	cmd.AddCommand(c.kvGet(&flags), c.kvPut(&flags), c.kvDelete(&flags), c.kvList(&flags), c.kvIncr(&flags), c.kvTouch(&flags),
		c.kvWatch(&flags), c.kvUsage(), c.kvQuota())
	return cmd
}

func (f *kvFlags) addConsistency(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.consistency, "consistency", "session", "`LEVEL` what to see at least: local (this node's state), session, or strong (every write done)")
	words := cobra.FixedCompletions([]cobra.Completion{"local", "session", "strong"}, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("consistency", words); err != nil {
		panic(err) // the flag was added above
	}
}

func (f *kvFlags) read(cmd *cobra.Command) (op.Read, error) {
	consistency, err := client.ParseConsistency(f.consistency)
	if err != nil {
		return op.Read{}, usageError{fmt.Errorf("%s: %w", verb(cmd), err)}
	}
	return op.Read{Consistency: consistency}, nil
}

func (f *kvFlags) addTTL(cmd *cobra.Command, usage string) {
	cmd.Flags().DurationVar(&f.ttl, "ttl", 0, usage)
}

func (f *kvFlags) addCondition(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&f.ifRevision, "if-revision", 0, "`REVISION` only if the key has this revision")
}

// condition makes options of what must hold of the key.
func (f *kvFlags) condition(cmd *cobra.Command) ([]client.Option, error) {
	given := cmd.Flags().Changed("if-revision")
	switch {
	case given && f.ifAbsent:
		return nil, usage("%s: --if-revision and --if-absent exclude each other", verb(cmd))
	case given && f.ifRevision == 0:
		return nil, usage("%s: --if-revision 0: a key that is there has a higher one", verb(cmd))
	case given:
		return []client.Option{client.IfRevision(f.ifRevision)}, nil
	case f.ifAbsent:
		return []client.Option{client.IfAbsent()}, nil
	}
	return nil, nil
}

// bytes reads a KEY or PREFIX as it was given.
func (f *kvFlags) bytes(cmd *cobra.Command, word string) (string, error) {
	if !f.base64 {
		return word, nil
	}
	b, err := base64.StdEncoding.DecodeString(word)
	if err != nil {
		return "", usage("%s: %q is not base64", verb(cmd), word)
	}
	return string(b), nil
}

// key is a call on one key.
type keyCall struct {
	cmd  *cobra.Command
	node client.KV
	key  string
	args []string // behind the key
}

// onKey makes a verb's run of what it does with its key.
func (c *cli) onKey(flags *kvFlags, do func(keyCall) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		key, err := flags.bytes(cmd, args[0])
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("ttl") && (flags.ttl < op.MinTTL || flags.ttl > op.MaxTTL) {
			return usage("%s: --ttl %s: it is between %s and %s", verb(cmd), durationText(flags.ttl), durationText(op.MinTTL), durationText(op.MaxTTL))
		}
		node, err := c.client()
		if err != nil {
			return err
		}
		return keyError(cmd, key, do(keyCall{cmd, node.KV(), key, args[1:]}))
	}
}

// keyError names the key, and says shorter what a person would ask about.
func keyError(cmd *cobra.Command, key string, err error) error {
	var wrong usageError
	switch {
	case err == nil || errors.As(err, &wrong):
		return err
	case errors.Is(err, op.ErrNotFound):
		err = abi.WithCode(abi.NotFound, op.ErrNotFound)
	case errors.Is(err, op.ErrConflict) && cmd.Flags().Changed("if-absent"):
		err = abi.WithCode(abi.Conflict, errors.New("it is there already"))
	case errors.Is(err, op.ErrConflict):
		err = abi.WithCode(abi.Conflict, errors.New("it has another revision, or is absent"))
	}
	return fmt.Errorf("%s %s: %w", verb(cmd), keyText(key), err)
}

func (c *cli) kvGet(flags *kvFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get KEY",
		Short:             "Print a key's value as it is",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.addConsistency(cmd)
	cmd.RunE = c.onKey(flags, func(k keyCall) error {
		read, err := flags.read(k.cmd)
		if err != nil {
			return err
		}
		item, err := k.node.Get(k.cmd.Context(), c.app, k.key, read)
		if err != nil {
			return err
		}
		if c.format == formatJSON {
			return c.json(client.KVItemOf(op.Listed{Item: item, Size: len(item.Value)}).WithValue(item.Value))
		}
		_, err = c.out.Write(item.Value)
		return err
	})
	return cmd
}

func (c *cli) kvPut(flags *kvFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "put KEY VALUE|-",
		Short: "Set a key's value; - reads it from stdin",
		Example: "  sett kv put greeting hello --ttl 30s\n" +
			"  sett kv put lock mine --if-absent\n" +
			"  sett kv put picture - < picture.png\n" +
			"  sett kv put option -- --verbose     what begins with a dash stands behind --",
		Args:              arguments(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.addTTL(cmd, "`TIME` how long the key lives, such as 30s or 12h (default until it is deleted)")
	flags.addCondition(cmd)
	cmd.Flags().BoolVar(&flags.ifAbsent, "if-absent", false, "only if the key is absent")
	cmd.RunE = c.onKey(flags, func(k keyCall) error {
		condition, err := flags.condition(k.cmd)
		if err != nil {
			return err
		}
		value := []byte(k.args[0])
		if k.args[0] == "-" {
			if value, err = c.readValue(); err != nil {
				return err
			}
		}
		done, err := k.node.Put(k.cmd.Context(), c.app, k.key, client.Put{Value: value, TTL: flags.ttl}, condition...)
		if err != nil {
			return err
		}
		return c.showWritten(k.key, done, fmt.Sprintf("%s set, revision %d", keyText(k.key), done.Revision))
	})
	return cmd
}

// readValue reads a value from stdin. One that is too large is refused before it is sent.
func (c *cli) readValue() ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(c.in, op.MaxValueBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read value: %w", err)
	}
	if len(value) > op.MaxValueBytes {
		return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("value is over the limit of %d bytes", op.MaxValueBytes))
	}
	return value, nil
}

func (c *cli) kvDelete(flags *kvFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete KEY",
		Short:             "Delete a key; one that is absent is no error",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.addCondition(cmd)
	cmd.RunE = c.onKey(flags, func(k keyCall) error {
		condition, err := flags.condition(k.cmd)
		if err != nil {
			return err
		}
		done, err := k.node.Delete(k.cmd.Context(), c.app, k.key, condition...)
		if err != nil {
			return err
		}
		what := "deleted"
		if !done.Found {
			what = "was not there"
		}
		return c.showWritten(k.key, done, keyText(k.key)+" "+what)
	})
	return cmd
}

func (c *cli) kvIncr(flags *kvFlags) *cobra.Command {
	var least, most int64
	cmd := &cobra.Command{
		Use:   "incr KEY [DELTA]",
		Short: "Add DELTA, 1 by default, to a number, and print the sum; an absent key counts as 0",
		Example: "  sett kv incr visits\n" +
			"  sett kv incr stock -3 --min 0\n" +
			"  sett kv incr calls/ada --ttl 1m     counts within a minute that the first call begins",
		Args:              arguments(1, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().Int64Var(&least, "min", 0, "refuse a sum below `N` (default none)")
	cmd.Flags().Int64Var(&most, "max", 0, "refuse a sum above `N` (default none)")
	flags.addTTL(cmd, "`TIME` how long a key lives that this makes (default until it is deleted)")
	cmd.RunE = c.onKey(flags, func(k keyCall) error {
		by := client.Incr{Delta: 1, TTL: flags.ttl}
		if len(k.args) == 1 {
			var err error
			if by.Delta, err = strconv.ParseInt(k.args[0], 10, 64); err != nil {
				return usage("kv incr: delta %q: it is a whole number such as 5 or -5", k.args[0])
			}
		}
		if k.cmd.Flags().Changed("min") {
			by.Min = &least
		}
		if k.cmd.Flags().Changed("max") {
			by.Max = &most
		}
		done, err := k.node.Incr(k.cmd.Context(), c.app, k.key, by)
		if err != nil {
			return err
		}
		return c.showWritten(k.key, done, strconv.FormatInt(*done.Integer, 10))
	})
	return cmd
}

// behindDashes lets a negative number be an argument of kv put and kv incr behind the key, which the flags' parser would
// take for a flag: it moves it to the end, behind --. One before the key is left where it is, for the parser to refuse.
func behindDashes(args []string) []string {
	group, verb, keyed := false, false, false
	for i, a := range args {
		switch {
		case a == "--":
			return args
		case a == "kv":
			group = true
		case group && !verb && (a == "incr" || a == "put"):
			verb = true
		case keyed && isNegative(a) && args[i-1] != "--min" && args[i-1] != "--max":
			rest := append(args[:i:i], args[i+1:]...)
			return append(rest, "--", a)
		case verb && !strings.HasPrefix(a, "-") && !takesNext(args[i-1]):
			keyed = true
		}
	}
	return args
}

// takesNext says whether a word is a flag of kv put or kv incr whose value is the next word.
func takesNext(word string) bool {
	return strings.HasPrefix(word, "-") && !isNegative(word) && !strings.Contains(word, "=") && word != "--if-absent" && word != "--base64"
}

func isNegative(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil && len(s) > 1 && s[0] == '-' && (s[1] == '.' || s[1] >= '0' && s[1] <= '9')
}

func (c *cli) kvTouch(flags *kvFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "touch KEY",
		Short:             "Set how long a key lives from now on; without --ttl it stays",
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.addTTL(cmd, "`TIME` how long the key lives from now on (default until it is deleted)")
	cmd.RunE = c.onKey(flags, func(k keyCall) error {
		done, err := k.node.Touch(k.cmd.Context(), c.app, k.key, flags.ttl)
		if err != nil {
			return err
		}
		what := "stays"
		if flags.ttl != 0 {
			what = "lives for " + durationText(flags.ttl)
		}
		return c.showWritten(k.key, done, keyText(k.key)+" "+what)
	})
	return cmd
}

// showWritten prints what a change did: a line for people, the whole as JSON.
func (c *cli) showWritten(key string, done client.KVWritten, line string) error {
	if c.format == formatJSON {
		return c.json(struct {
			client.KVKey
			client.KVWritten
		}{client.KVKeyOf(key), done})
	}
	_, err := fmt.Fprintln(c.out, line)
	return err
}

// keyText is a key for people: as it is when that can be read and typed, else quoted as in Go.
func keyText(key string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if key == "" || strings.IndexFunc(key, odd) >= 0 || strings.TrimSpace(key) != key || key[0] == '"' {
		return strconv.Quote(key)
	}
	return key
}

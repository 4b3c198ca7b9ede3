package redis

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// trait says where a command may be used and what it does.
type trait uint8

const (
	writes    trait = 1 << iota // it changes keys
	reads                       // it looks at keys
	stranger                    // it works before AUTH
	immediate                   // inside MULTI it is done at once
	outside                     // it is refused inside MULTI
)

// command is what a server knows of a command. Exactly one of plan, run and subcommands is set.
type command struct {
	name  string
	arity int // arguments, the name included; negative: at least so many
	flags trait

	// first, last and step say which arguments are keys; last -1 is the last one. 0: none.
	first, last, step int

	// plan says what the command asks of the store. It is pure.
	plan func(args [][]byte) (plan, error)

	// run does the command and writes its reply.
	run func(ctx context.Context, c *conn, args [][]byte)

	subcommands bool // they are in the table as "name|subcommand"

	done, failed prometheus.Counter
	took         prometheus.Observer
}

// accepts says whether the command can have n arguments.
func (c *command) accepts(n int) bool { return n == c.arity || c.arity < 0 && n >= -c.arity }

// commandTable makes the table of all commands.
func commandTable() map[string]*command {
	table := make(map[string]*command)
	for _, c := range []command{
		{name: "get", arity: 2, flags: reads, first: 1, plan: planGet},
		{name: "mget", arity: -2, flags: reads, first: 1, last: -1, plan: planMGet},
		{name: "exists", arity: -2, flags: reads, first: 1, last: -1, plan: planExists},
		{name: "strlen", arity: 2, flags: reads, first: 1, plan: planStrlen},
		{name: "type", arity: 2, flags: reads, first: 1, plan: planType},
		{name: "ttl", arity: 2, flags: reads, first: 1, plan: planTTL},
		{name: "pttl", arity: 2, flags: reads, first: 1, plan: planPTTL},
		{name: "expiretime", arity: 2, flags: reads, first: 1, plan: planExpireTime},
		{name: "pexpiretime", arity: 2, flags: reads, first: 1, plan: planPExpireTime},

		{name: "set", arity: -3, flags: writes, first: 1, plan: planSet},
		{name: "setex", arity: 4, flags: writes, first: 1, plan: planSetEx},
		{name: "psetex", arity: 4, flags: writes, first: 1, plan: planPSetEx},
		{name: "setnx", arity: 3, flags: writes, first: 1, plan: planSetNX},
		{name: "getset", arity: 3, flags: writes, first: 1, plan: planGetSet},
		{name: "getdel", arity: 2, flags: writes, first: 1, plan: planGetDel},
		{name: "getex", arity: -2, flags: writes, first: 1, plan: planGetEx},
		{name: "mset", arity: -3, flags: writes, first: 1, last: -1, step: 2, plan: planMSet},
		{name: "msetnx", arity: -3, flags: writes, first: 1, last: -1, step: 2, plan: planMSetNX},
		{name: "append", arity: 3, flags: writes, first: 1, plan: planAppend},
		{name: "del", arity: -2, flags: writes, first: 1, last: -1, plan: planDel},
		{name: "unlink", arity: -2, flags: writes, first: 1, last: -1, plan: planDel},
		{name: "incr", arity: 2, flags: writes, first: 1, plan: planIncr},
		{name: "decr", arity: 2, flags: writes, first: 1, plan: planDecr},
		{name: "incrby", arity: 3, flags: writes, first: 1, plan: planIncrBy},
		{name: "decrby", arity: 3, flags: writes, first: 1, plan: planDecrBy},
		{name: "expire", arity: -3, flags: writes, first: 1, plan: planExpire},
		{name: "pexpire", arity: -3, flags: writes, first: 1, plan: planPExpire},
		{name: "expireat", arity: -3, flags: writes, first: 1, plan: planExpireAt},
		{name: "pexpireat", arity: -3, flags: writes, first: 1, plan: planPExpireAt},
		{name: "persist", arity: 2, flags: writes, first: 1, plan: planPersist},

		{name: "keys", arity: 2, flags: reads | outside, run: runKeys},
		{name: "scan", arity: -2, flags: reads | outside, run: runScan},
		{name: "dbsize", arity: 1, flags: reads | outside, run: runDBSize},
		{name: "flushdb", arity: -1, flags: writes | outside, run: runFlush},
		{name: "flushall", arity: -1, flags: writes | outside, run: runFlush},

		{name: "multi", arity: 1, flags: immediate, run: runMulti},
		{name: "exec", arity: 1, flags: immediate, run: runExec},
		{name: "discard", arity: 1, flags: immediate, run: runDiscard},
		{name: "watch", arity: -2, flags: immediate | reads, first: 1, last: -1, run: runWatch},
		{name: "unwatch", arity: 1, run: runUnwatch},

		{name: "ping", arity: -1, run: runPing},
		{name: "echo", arity: 2, run: runEcho},
		{name: "time", arity: 1, run: runTime},
		{name: "quit", arity: -1, flags: stranger | immediate, run: runQuit},
		{name: "reset", arity: 1, flags: stranger | immediate, run: runReset},
		{name: "hello", arity: -1, flags: stranger | outside, run: runHello},
		{name: "auth", arity: -2, flags: stranger | outside, run: runAuth},
		{name: "select", arity: 2, run: runSelect},
		{name: "info", arity: -1, flags: outside, run: runInfo},

		{name: "client", arity: -2, subcommands: true},
		{name: "client|id", arity: 2, run: runClientID},
		{name: "client|getname", arity: 2, run: runClientGetName},
		{name: "client|setname", arity: 3, run: runClientSetName},
		{name: "client|setinfo", arity: 4, run: runClientSetInfo},
		{name: "client|info", arity: 2, run: runClientInfo},
		{name: "config", arity: -2, subcommands: true},
		{name: "config|get", arity: -3, run: runConfigGet},
		{name: "command", arity: -1, subcommands: true},
		{name: "command|count", arity: 2, run: runCommandCount},
		{name: "command|docs", arity: -2, run: runCommandDocs},
		{name: "command|info", arity: -2, run: runCommandInfo},
		{name: "command|list", arity: -2, run: runCommandList},
	} {
		if c.first > 0 {
			c.last, c.step = cmp.Or(c.last, c.first), cmp.Or(c.step, 1)
		}
		table[c.name] = &c
	}
	return table
}

// lookup finds the command that args ask for. With an error it still answers one: that which the attempt counts for.
func (s *Server) lookup(args [][]byte) (*command, error) {
	var buf [32]byte
	c := s.commands[string(lower(buf[:0], args[0]))]
	switch {
	case c == nil || strings.Contains(c.name, "|"):
		return s.unknown, unknownCommand(args)
	case !c.accepts(len(args)):
		return c, wrongArity(c.name)
	case !c.subcommands:
		return c, nil
	case len(args) == 1: // COMMAND alone
		return s.commands["command|info"], nil
	}
	sub := s.commands[c.name+"|"+strings.ToLower(string(args[1][:min(len(args[1]), 32)]))]
	switch {
	case sub == nil:
		return c, replyError(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try %s HELP.", args[1], strings.ToUpper(c.name)))
	case !sub.accepts(len(args)):
		return sub, wrongArity(sub.name)
	}
	return sub, nil
}

// isHTTP says whether a command's name is what a request's first line, or a line before its body, begins with.
func isHTTP(name []byte) bool { return is(name, "post") || is(name, "host:") }

// lower appends an ASCII name in lower case to b. Names too long for a command are cut.
func lower(b, name []byte) []byte {
	for _, c := range name[:min(len(name), cap(b))] {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// unknownCommand is told as Redis tells it: 128 bytes of the name, and of the arguments.
func unknownCommand(args [][]byte) replyError {
	var shown strings.Builder
	for _, a := range args[1:] {
		if shown.Len() >= 128 {
			break
		}
		fmt.Fprintf(&shown, "'%s' ", a[:min(len(a), 128-shown.Len())])
	}
	return replyError(fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s",
		args[0][:min(len(args[0]), 128)], shown.String()))
}

// is says whether an argument is a word, whatever its case.
func is(arg []byte, word string) bool { return strings.EqualFold(string(arg), word) }

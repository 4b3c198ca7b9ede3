package redis

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// redisVersion is the Redis whose words and commands these are; clients look at it to know what they may send.
const redisVersion = "7.0.15"

// section is a part of INFO.
type section struct {
	name string
	text func(ctx context.Context, c *conn) (string, error)
}

func sections() []section {
	return []section{
		{"Server", infoServer},
		{"Clients", infoClients},
		{"Memory", infoMemory},
		{"Persistence", infoPersistence},
		{"Replication", infoReplication},
		{"Keyspace", infoKeyspace},
	}
}

func runInfo(ctx context.Context, c *conn, args [][]byte) {
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	var parts []string
	for _, s := range sections() {
		wanted := len(args) == 1 || slices.ContainsFunc(args[1:], func(a []byte) bool {
			return is(a, s.name) || is(a, "all") || is(a, "default") || is(a, "everything")
		})
		if !wanted {
			continue
		}
		text, err := s.text(ctx, c)
		if err != nil {
			c.failRead(err)
			return
		}
		parts = append(parts, "# "+s.name+"\r\n"+text)
	}
	c.out.verbatim(strings.Join(parts, "\r\n"))
}

func infoServer(_ context.Context, c *conn) (string, error) {
	return fmt.Sprintf("redis_version:%s\r\nredis_mode:standalone\r\nsett_version:%s\r\nos:%s %s\r\nuptime_in_seconds:%d\r\n",
		redisVersion, c.server.config.Version, runtime.GOOS, runtime.GOARCH, int(time.Since(c.server.started).Seconds())), nil
}

func infoClients(_ context.Context, c *conn) (string, error) {
	return fmt.Sprintf("connected_clients:%d\r\nmaxclients:%d\r\n", c.server.connections(), c.server.config.MaxConnections), nil
}

// infoMemory tells what the app's keys and values take of its quota: what a client can do something about.
func infoMemory(ctx context.Context, c *conn) (string, error) {
	u, err := c.server.config.Store.Usage(ctx, c.app)
	return fmt.Sprintf("used_memory:%d\r\nmaxmemory:%d\r\nmaxmemory_policy:noeviction\r\n", u.Bytes, u.Quota.Bytes), err
}

func infoPersistence(context.Context, *conn) (string, error) {
	return "loading:0\r\naof_enabled:1\r\n", nil
}

func infoReplication(context.Context, *conn) (string, error) {
	return "role:master\r\nconnected_slaves:0\r\n", nil
}

func infoKeyspace(ctx context.Context, c *conn) (string, error) {
	u, err := c.server.config.Store.Usage(ctx, c.app)
	if err != nil || u.Keys == 0 {
		return "", err
	}
	return fmt.Sprintf("db0:keys=%d,expires=0,avg_ttl=0\r\n", u.Keys), nil
}

// runConfigGet answers the settings that benchmarks and clients ask for.
func runConfigGet(_ context.Context, c *conn, args [][]byte) {
	settings := map[string]string{"save": "", "appendonly": "yes", "databases": "1", "maxmemory": "0",
		"maxmemory-policy": "noeviction", "proto-max-bulk-len": "1048576", "timeout": "0"}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if slices.ContainsFunc(args[2:], func(pattern []byte) bool { return matches(strings.ToLower(string(pattern)), name) }) {
			names = append(names, name)
		}
	}
	c.out.pairs(len(names))
	for _, name := range names {
		c.out.text(name)
		c.out.text(settings[name])
	}
}

// visible answers the commands that are not subcommands, by name.
func (s *Server) visible() (all []*command) {
	for _, name := range slices.Sorted(maps.Keys(s.commands)) {
		if !strings.Contains(name, "|") {
			all = append(all, s.commands[name])
		}
	}
	return all
}

func runCommandCount(_ context.Context, c *conn, _ [][]byte) {
	c.out.integer(int64(len(c.server.visible())))
}

func runCommandList(_ context.Context, c *conn, args [][]byte) {
	if len(args) > 2 {
		c.out.fail(errSyntax)
		return
	}
	all := c.server.visible()
	c.out.array(len(all))
	for _, cmd := range all {
		c.out.text(cmd.name)
	}
}

// runCommandDocs has nothing to tell: redis-cli then uses its own hints.
func runCommandDocs(_ context.Context, c *conn, _ [][]byte) { c.out.pairs(0) }

// runCommandInfo is COMMAND INFO, and COMMAND alone.
func runCommandInfo(_ context.Context, c *conn, args [][]byte) {
	if len(args) <= 2 {
		all := c.server.visible()
		c.out.array(len(all))
		for _, cmd := range all {
			cmd.describe(&c.out)
		}
		return
	}
	c.out.array(len(args) - 2)
	for _, name := range args[2:] {
		if cmd := c.server.commands[strings.ToLower(string(name))]; cmd != nil {
			cmd.describe(&c.out)
		} else {
			c.out.null()
		}
	}
}

// describe writes what clients need to know of a command: how many arguments, which of them are keys, does it write.
func (c *command) describe(w *writer) {
	w.array(10)
	w.text(c.name)
	w.integer(int64(c.arity))
	switch {
	case c.flags&writes != 0:
		w.set(1)
		w.status("write")
	case c.flags&reads != 0:
		w.set(1)
		w.status("readonly")
	default:
		w.set(0)
	}
	w.integer(int64(c.first))
	w.integer(int64(c.last))
	w.integer(int64(c.step))
	w.set(0)   // categories of access
	w.array(0) // hints
	w.array(0) // key specifications
	w.array(0) // subcommands
}

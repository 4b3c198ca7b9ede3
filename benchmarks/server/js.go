package server

import (
	"context"
	"embed"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/sett-run/sett/benchmarks/subject"
)

// scripts are the works in JavaScript: works.mjs, which all runtimes share, what they differ in, and projects of components.
//
//go:embed testdata/js
var scripts embed.FS

// writeScripts writes the named files of testdata/js, and the works, into a server's directory.
func writeScripts(names ...string) func(context.Context, Site) error {
	return func(_ context.Context, at Site) error {
		for _, name := range append(names, "works.mjs") {
			text, err := scripts.ReadFile("testdata/js/" + name)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(at.Dir, name), text, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
}

// nodeJS is Node.js. It has no store of its own: the state is kept by a Redis, if there is one.
func nodeJS() Kind {
	const how = "node:http, one process, or a cluster's worker for each processor where there are more; "
	k := Kind{
		Name: "node", Program: "node", Version: []string{"--version"}, Get: "apt-get install nodejs, or https://nodejs.org",
		How:     how + "state in a Redis beside it over a socket, with appendfsync always",
		Works:   all(),
		State:   "disk, synced",
		Prepare: writeScripts("node.mjs"),
	}
	redis := true
	if _, err := exec.LookPath("redis-server"); err != nil {
		redis = false
		k.Works, k.State, k.How = []string{"hello", "json", "sha256"}, "", how+"no kv without redis-server"
	}
	k.Arguments = func(at Site) []string {
		host, port, _ := net.SplitHostPort(at.Address)
		args := []string{"node.mjs", host, port}
		if redis {
			args = append(args, filepath.Join(at.Dir, "redis.sock"))
		}
		return args
	}
	return k
}

func deno() Kind {
	return Kind{
		Name: "deno", Program: "deno", Version: []string{"--version"}, Get: "npm install -g deno",
		How:     "deno serve, with several processors --parallel; state in Deno.openKv on a local file",
		Works:   all(),
		State:   "disk, synced",
		Prepare: writeScripts("deno.mjs"),
		Arguments: func(at Site) []string {
			host, port, _ := net.SplitHostPort(at.Address)
			args := []string{"serve", "--allow-all", "--unstable-kv", "--no-config", "--host", host, "--port", port}
			if at.Processors > 1 {
				args = append(args, "--parallel")
			}
			return append(args, "deno.mjs")
		},
	}
}

func bun() Kind {
	return Kind{
		Name: "bun", Program: "bun", Version: []string{"--version"}, Get: "npm install -g bun",
		How:     "Bun.serve, a process for each processor on one port; state in bun:sqlite with WAL and synchronous=FULL",
		Works:   all(),
		State:   "disk, synced",
		Prepare: writeScripts("bun.mjs"),
		Arguments: func(at Site) []string {
			host, port, _ := net.SplitHostPort(at.Address)
			return []string{"bun.mjs", host, port, "kv.db", strconv.Itoa(at.Processors)}
		},
	}
}

func workerd() Kind {
	write := writeScripts("workerd.mjs", "workerd.capnp")
	return Kind{
		Name: "workerd", Program: "workerd", Version: []string{"--version"}, Get: "npm install -g workerd",
		How:   "a worker in JavaScript, in one thread as it has no more; a key's state in a Durable Object with SQLite on local disk",
		Works: all(),
		State: "disk, synced",
		Prepare: func(ctx context.Context, at Site) error {
			if err := os.Mkdir(filepath.Join(at.Dir, "state"), 0o755); err != nil {
				return err
			}
			return write(ctx, at)
		},
		Arguments: func(at Site) []string {
			return []string{"serve", "workerd.capnp", "--socket-addr=http=" + at.Address}
		},
	}
}

// workerdWasm is workerd with the naive servers' function in Go. Its state would have to answer at once.
func workerdWasm() Kind {
	write := writeScripts("wasm.mjs", "wasm.capnp")
	return Kind{
		Name: "workerd go", Program: "workerd", Version: []string{"--version"}, Get: "npm install -g workerd",
		How:   "a worker that hands requests to the naive servers' function in Go, in an instance that is never reset; no kv, as a Durable Object answers later",
		Works: []string{"hello", "json", "sha256"},
		Prepare: func(ctx context.Context, at Site) error {
			if _, err := subject.GoModule(ctx, at.Dir, naiveGuest); err != nil {
				return err
			}
			return write(ctx, at)
		},
		Arguments: func(at Site) []string {
			return []string{"serve", "wasm.capnp", "--socket-addr=http=" + at.Address}
		},
	}
}

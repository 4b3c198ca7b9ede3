package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/sdk/client"
)

// settDir is where sett keeps what it makes in a project.
const settDir = ".sett"

// devFlags say which node sett dev works with.
type devFlags struct {
	http, admin, data string // of a node of its own
	remote            bool   // no node of its own
}

// dev is a session of sett dev: a project that is deployed again whenever it changes. Its methods are called by one
// goroutine; out and err may be written to by any.
type dev struct {
	*cli
	given    variables
	path     string // folder or manifest, as it was given
	root     string // the folder, without links
	appAsked string // app where the manifest names none
	client   *client.Client
	alone    bool // the node is there for this project alone
	watcher  *watcher

	modules map[string]*devModule // by file
	served  *project              // nil: nothing yet, or not all of it
	notes   []string              // of the manifest, as they were shown
	urls    map[string]string     // of functions, as they were shown
	logs    *follower             // nil: no app yet
	fault   string                // what the last change came to; empty: nothing wrong
}

// dev deploys a project whenever it changes.
func (c *cli) dev() *cobra.Command {
	var flags devFlags
	var given variables
	cmd := &cobra.Command{
		Use:   "dev [DIR|MANIFEST]",
		Short: "Build, deploy and show logs, and do it again with every change",
		Long: "It runs a node for this project alone, builds and deploys what is here, prints its logs, and\n" +
			"deploys again whenever a file changes, until interrupted. What is faulty is told, and the last good\n" +
			"version goes on serving. State stays in .sett/dev for the next time. With --remote or --node it\n" +
			"works with a node that runs already.",
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "."
			if len(args) > 0 {
				path = args[0]
			}
			own := func(name string) bool { return cmd.Flags().Changed(name) }
			flags.remote = flags.remote || own("node")
			for _, name := range []string{"http", "admin", "data"} {
				if flags.remote && own(name) {
					return usage("dev: --%s is for a node of its own, and --remote and --node name one that runs", name)
				}
			}
			if !flags.remote && !own("token") {
				c.token = "" // SETT_TOKEN is another node's
			}
			if err := c.runDev(cmd.Context(), &dev{cli: c, given: given, path: path, appAsked: c.app}, flags); err != nil {
				return fmt.Errorf("dev: %w", err)
			}
			return nil
		},
	}
	given.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.http, "http", "", httpUsage)
	f.StringVar(&flags.admin, "admin", "", adminUsage)
	f.StringVar(&flags.data, "data", "", "`DIR` data directory (default .sett/dev in the project)")
	f.BoolVar(&flags.remote, "remote", false, "use the node of --node or SETT_NODE instead of one of its own")
	return cmd
}

// runDev prepares a session and runs it until it is interrupted, which is its good end.
func (c *cli) runDev(ctx context.Context, d *dev, flags devFlags) (err error) {
	c.out, c.err = shared(c.out, c.err)
	if err := d.find(); err != nil {
		return err
	}
	d.modules, d.urls = map[string]*devModule{}, map[string]string{}
	if d.watcher, err = watchTree(d.root); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.watcher.close()) }()
	failed := make(<-chan error) // a remote node's end shows where it is used
	if !flags.remote {
		var n *node.Node
		if n, err = d.startNode(ctx, flags); err != nil {
			return orEnded(ctx, err)
		}
		defer func() { err = closeNode(n, err) }()
		failed = n.Failed()
	}
	if d.client, err = c.client(); err != nil {
		return err
	}
	defer d.client.Close()
	return orEnded(ctx, d.run(ctx, failed))
}

// orEnded answers nil for what comes of being interrupted.
func orEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// find sets root. A folder without anything to deploy is a mistake; a manifest with faults is why one runs dev.
func (d *dev) find() error {
	info, err := os.Stat(d.path)
	if err != nil {
		return notThere(d.path, err)
	}
	folder := d.path
	if ext := filepath.Ext(d.path); !info.IsDir() {
		if ext != ".yaml" && ext != ".yml" {
			return usage("%s: it is a folder or a manifest that is watched", d.path)
		}
		folder = filepath.Dir(d.path)
	} else if !isFile(filepath.Join(folder, manifest.File)) && !isFile(filepath.Join(folder, manifest.ServerlessFile)) {
		if _, err := openProject(d.path, d.given); err != nil {
			return err
		}
	}
	d.root, err = whole(folder)
	return err
}

// startNode runs a node for the project, whose state stays in the project.
func (d *dev) startNode(ctx context.Context, flags devFlags) (*node.Node, error) {
	if d.alone = flags.data == ""; d.alone {
		if err := hideSettDir(d.root); err != nil {
			return nil, err
		}
		flags.data = filepath.Join(d.root, settDir, "dev")
	}
	limitMemory(slog.New(slog.DiscardHandler))
	n, err := node.Start(ctx, node.Config{
		Data: flags.data, HTTP: cmp.Or(flags.http, os.Getenv("SETT_HTTP")), Admin: cmp.Or(flags.admin, os.Getenv("SETT_ADMIN")),
		Cluster: "127.0.0.1:0", Version: buildVersion(), CompileWorkers: runtime.GOMAXPROCS(0),
		Log: slog.New(slog.NewTextHandler(d.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if errors.Is(err, node.ErrPortInUse) {
		err = fmt.Errorf("%w; sett dev --remote works with a node that runs already", err)
	}
	if err != nil {
		return nil, err
	}
	if err := awaitReady(ctx, n); err != nil {
		return nil, closeNode(n, err)
	}
	d.node = "http://" + n.AdminAddr()
	return n, d.showReady(n)
}

func (d *dev) showReady(n *node.Node) (err error) {
	if d.format == formatJSON {
		err = d.jsonLine(map[string]string{"node": n.Name(), "http": n.HTTPAddr(), "admin": n.AdminAddr()})
	} else {
		_, err = fmt.Fprintf(d.out, "sett: ready node=%s http=%s admin=%s\n", n.Name(), n.HTTPAddr(), n.AdminAddr())
	}
	if err != nil {
		return closeNode(n, fmt.Errorf("print ready line: %w", err))
	}
	return nil
}

// hideSettDir keeps what sett makes in a project out of version control, but for the SDK that a project is built with.
func hideSettDir(root string) error {
	dir := filepath.Join(root, settDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	name := filepath.Join(dir, ".gitignore")
	if isFile(name) {
		return nil
	}
	if err := os.WriteFile(name, []byte("/*\n!/sdk/\n"), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// run deploys, and again with every change, until the context ends or it cannot go on. What it starts has ended when it
// returns.
func (d *dev) run(ctx context.Context, failed <-chan error) error {
	ctx, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	defer func() { d.logs.end() }()
	paths, changes, ended := make(chan string), make(chan change), make(chan error, 1)
	group.Go(func() { gather(ctx, paths, changes) })
	group.Go(func() { ended <- d.watcher.run(ctx, paths) })

	d.turn(ctx, change{first: time.Now(), paths: map[string]bool{everything: true}})
	for {
		select {
		case c := <-changes:
			d.turn(ctx, c)
		case err := <-ended:
			return err
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shared makes writers that several goroutines may use at once, a write at a time. They are no terminals: lines of
// progress do not go with lines from elsewhere.
func shared(out, err io.Writer) (io.Writer, io.Writer) {
	var mu sync.Mutex
	return &sharedWriter{&mu, out}, &sharedWriter{&mu, err}
}

type sharedWriter struct {
	mu *sync.Mutex // guards w, and the other writer with it: both may be one terminal
	w  io.Writer
}

func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

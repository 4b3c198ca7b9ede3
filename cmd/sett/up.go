package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/sett-run/sett/cluster/node"
)

// drainTimeout is how long a node that was asked to stop waits for requests in flight. Raising it lets longer ones
// end and makes stopping slower; a second signal does not wait.
const drainTimeout = 30 * time.Second

// up runs a node until it is told to stop.
func (c *cli) up() *cobra.Command {
	var config upConfig
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a node",
		Long: "It runs until SIGINT or SIGTERM, which let requests in flight end; a second one ends it at once.\n" +
			"When it serves it prints one line:\n\n" +
			"  sett: ready node=NAME http=ADDR admin=ADDR cluster=ADDR\n\n" +
			"with redis=ADDR and s3=ADDR behind it when --redis and --s3 are given.",
		Example: "  sett up\n" +
			"  sett up --data /var/lib/sett --cluster 10.0.0.7:7946 --join TOKEN",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.runNode(cmd.Context(), config); err != nil {
				return fmt.Errorf("up: %w", err)
			}
			return nil
		},
	}
	for _, o := range config.options() {
		cmd.Flags().StringVar(o.value, o.name, "", o.usage)
	}
	cmd.Flags().BoolVar(&config.PrintToken, "print-token", false, "create the first admin token and print it on stderr, once")
	cmd.Flags().BoolVar(&config.FuelHeader, "fuel-header", false, "tell clients in Sett-Fuel how many instructions each reply took")
	cmd.Flags().StringVar(&config.File, "config", "", "`FILE` YAML file with these flags as keys (SETT_CONFIG)")
	return cmd
}

func (c *cli) runNode(ctx context.Context, config upConfig) error {
	config, err := config.complete(os.Environ())
	if err != nil {
		return err
	}
	logger := newLogger(c.err)
	limitMemory(logger)
	start := node.Config{
		Data: config.Data, HTTP: config.HTTP, Admin: config.Admin, Cluster: config.Cluster, Redis: config.Redis, S3: config.S3, S3Domain: config.S3Domain, Name: config.Name,
		Region: config.Region, Join: config.Join, Advertise: config.Advertise, Version: buildVersion(), FirstToken: config.PrintToken, FuelHeader: config.FuelHeader, Log: logger,
	}
	if err := start.Validate(); err != nil {
		return usageError{err}
	}
	n, err := node.Start(ctx, start)
	if err != nil {
		return err
	}
	if config.PrintToken {
		c.printToken(n)
	}
	if err := awaitReady(ctx, n); err != nil {
		return closeNode(n, err)
	}
	ready := fmt.Sprintf("sett: ready node=%s http=%s admin=%s cluster=%s", n.Name(), n.HTTPAddr(), n.AdminAddr(), n.ClusterAddr())
	if n.RedisAddr() != "" {
		ready += " redis=" + n.RedisAddr()
	}
	if n.S3Addr() != "" {
		ready += " s3=" + n.S3Addr()
	}
	if _, err = fmt.Fprintln(c.out, ready); err != nil {
		return closeNode(n, fmt.Errorf("print ready line: %w", err))
	}
	select {
	case <-ctx.Done():
		logger.Info("stop", "drain", drainTimeout)
		return closeNode(n, nil)
	case err := <-n.Failed():
		return closeNode(n, err)
	}
}

// awaitReady waits until the node is ready, however long that takes, or is told to stop, or fails.
func awaitReady(ctx context.Context, n *node.Node) error {
	waiting, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case err := <-n.Failed():
			end(err)
		case <-waiting.Done():
		}
	}()
	return n.WaitReady(waiting)
}

// closeNode drains and closes; err, when there is one, is the reason and comes first.
func closeNode(n *node.Node, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if closeErr := n.Close(ctx); err == nil && closeErr != nil {
		return fmt.Errorf("stop: %w", closeErr)
	}
	return err
}

// printToken shows the first admin token. It goes to stderr: stdout holds the ready line alone.
func (c *cli) printToken(n *node.Node) {
	if secret := n.FirstToken(); secret != "" {
		fmt.Fprintf(c.err, "sett: token %s\n", secret)
		return
	}
	fmt.Fprintln(c.err, "sett: --print-token: there are tokens already; make another with: sett token create")
}

// newLogger writes the node's log: coloured on a terminal, key=value in a pipe.
func newLogger(w io.Writer) *slog.Logger {
	if _, ok := terminal(w); ok {
		return slog.New(tint.NewTextHandler(w, &tint.Options{TimeFormat: "15:04:05.000"}))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// limitMemory tells Go's collector how much memory the control group or the machine has, so that it works harder near
// the limit instead of the kernel ending the node, and the runtime how much its instances may use. GOMEMLIMIT, when
// set, wins.
func limitMemory(logger *slog.Logger) {
	provider := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)
	if _, err := memlimit.Set(memlimit.WithRatio(0.9), memlimit.WithProvider(provider)); err != nil {
		logger.Debug("no memory limit found", "err", err)
	}
}

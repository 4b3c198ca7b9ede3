package subject

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sett-run/sett/cluster/node"
)

// nodeCommand is the first argument of the program's process that is a node: node DIR TOKEN.
const nodeCommand = "node"

// StartNode starts a whole node, as sett up does, with its data in dir. With a token it joins the cluster that made it.
func StartNode(ctx context.Context, dir, token string) (*Process, error) {
	return Start(ctx, nodeCommand, dir, token)
}

// Child runs the node that this process is, if its arguments say that it is one, and answers its exit code.
func Child(ctx context.Context, args []string) (code int, is bool) {
	if len(args) != 3 || args[0] != nodeCommand {
		return 0, false
	}
	if err := serveNode(ctx, args[1], args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 1, true
	}
	return 0, true
}

func serveNode(ctx context.Context, dir, token string) error {
	const free = "127.0.0.1:0"
	n, err := node.Start(ctx, node.Config{Data: dir, HTTP: free, Admin: free, Cluster: free, Join: token})
	if err != nil {
		return err
	}
	if err := n.WaitReady(ctx); err != nil {
		return errors.Join(err, n.Close(context.WithoutCancel(ctx)))
	}
	return serve(ctx, n, os.Stdin, os.Stdout)
}

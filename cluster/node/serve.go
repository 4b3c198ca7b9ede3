package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sett-run/sett/kv/redis"
	"github.com/sett-run/sett/router/admin"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

func (n *Node) openAdmin(ctx context.Context) (err error) {
	n.admin, err = admin.New(admin.Config{
		Modules: n.runtime.Modules(), Deployer: n, Registry: n.registry, Changes: n, Invoker: n.router,
		Bencher: n.runtime, Logs: nodeLogs{n}, Tokens: n.store, KV: n.store, Node: n, Cluster: n, Backuper: n, Activity: n,
		Queues: adminQueues{n.queues, n}, Subscriptions: n, Events: n, Schedules: n.scheduler, Async: n, Check: trigger.Check, Objects: n.objects,
		Gatherer: n.metrics, Metrics: n.metrics, Log: n.log, Loopback: loopback(n.config.Admin),
	})
	if err != nil {
		return err
	}
	wide := !loopback(n.config.Admin) || n.config.Redis != "" && !loopback(n.config.Redis)
	if (wide || n.config.FirstToken) && !n.alone() { // whether there are tokens, the others know
		if err := n.store.CaughtUp(ctx); err != nil {
			return fmt.Errorf("read tokens: %w", err)
		}
	}
	tokens, err := n.admin.Tokens(ctx)
	if err != nil {
		return fmt.Errorf("read tokens: %w", err)
	}
	if len(tokens) == 0 && n.config.FirstToken {
		created, err := n.admin.CreateToken(ctx, client.TokenRequest{Name: "first"})
		if err != nil {
			return fmt.Errorf("make the first token: %w", err)
		}
		n.firstToken = created.Secret
	}
	if len(tokens) > 0 || n.firstToken != "" {
		return nil
	}
	for _, l := range []struct{ flag, addr string }{{"admin", n.config.Admin}, {"redis", n.config.Redis}} {
		if l.addr != "" && !loopback(l.addr) {
			return fmt.Errorf("listen on %s (--%s): reachable from other machines, and there is no token yet: add --print-token, "+
				"or keep it on loopback", l.addr, l.flag)
		}
	}
	return nil
}

// openRedis makes the server of the Redis protocol. On loopback it asks for no token, as the admin plane does.
func (n *Node) openRedis(context.Context) (err error) {
	if n.config.Redis == "" {
		return nil
	}
	c := redis.Config{Store: n.store, Authorize: n.admin.Authorize, Version: n.config.Version, Log: n.log, Metrics: n.metrics}
	if loopback(n.config.Redis) {
		c.Anonymous = registry.DefaultApp
		c.Authorize = func(_ context.Context, app, _ string) error { return registry.CheckName("app", app) }
	}
	if n.redis, err = redis.New(c); err != nil {
		return err
	}
	n.push("redis listener", n.redis.Shutdown)
	return nil
}

// FirstToken is the secret of the admin token that Config.FirstToken asked for. It is empty when there was a
// token already, and cannot be had again.
func (n *Node) FirstToken() string { return n.firstToken }

// serve answers on the listeners. The admin plane drains before it closes, but after the data plane, so that
// /readyz and metrics can be read meanwhile.
func (n *Node) serve(context.Context) error {
	for _, work := range []func(){n.collectNowAndThen, n.watchStore, n.followStore, n.loadWaiting, n.lead, n.tell, n.renewNowAndThen, n.letIn, n.runTriggers, n.keepObjects, n.raiseAlarms} {
		n.group.Go(work)
	}
	n.push("background work", func(context.Context) error { n.group.Wait(); return nil })
	n.group.Go(func() { n.report("cluster", n.den.server.Serve(n.den.http)) })
	n.push("plane for nodes", n.den.server.Shutdown)
	if n.redis != nil {
		n.group.Go(func() { n.report("redis", n.redis.Serve(n.redisListener)) })
		n.push("redis", n.redis.Shutdown)
	}
	n.serveS3()
	n.group.Go(func() { n.report("admin", n.admin.Serve(lingering{n.adminListener})) })
	n.push("admin plane", n.admin.Shutdown)
	n.group.Go(func() { n.report("http", n.router.Serve(n.httpListener)) })
	n.push("data plane", n.router.Shutdown)
	n.push("triggers", n.awaitTriggers)
	n.push("followed logs", func(context.Context) error { n.admin.Drain(); return nil })
	if n.alone() {
		n.ready.set(nil)
	}
	n.group.Go(n.becomeReady)
	return nil
}

// report tells the end of a listener, or of the store, to whoever watches Failed, unless Close asked for it.
func (n *Node) report(plane string, err error) {
	if err == nil || n.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return
	}
	n.ready.end(plane + " failed")
	select {
	case n.failed <- fmt.Errorf("serve %s: %w", plane, err):
	default: // something else has failed before
	}
}

// watchStore tells when the store cannot go on.
func (n *Node) watchStore() {
	select {
	case <-n.store.Failed():
		n.report("store", n.store.Err())
	case <-n.ctx.Done():
	}
}

// Info says what the node is.
func (n *Node) Info() client.Node {
	return client.Node{
		Name: n.Name(), Region: n.config.Region, Version: n.config.Version,
		HTTP: n.HTTPAddr(), Admin: n.AdminAddr(), Cluster: n.ClusterAddr(), Redis: n.RedisAddr(), S3: n.S3Addr(),
		Started: n.started, UptimeSeconds: int64(time.Since(n.started).Seconds()), Generation: n.registry.Snapshot().Generation(),
	}
}

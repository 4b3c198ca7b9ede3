package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// sweepTimeout is how long the leader's node looks at buckets, at most, before it goes on with other triggers.
const sweepTimeout = 10 * time.Second

// What becomes of objects is written with the change, for buckets that a function listens to. The leader's node gives it to
// the queues of the functions, each of which has a worker.

// objectLog is where events of an app's objects wait, for package trigger.
type objectLog struct {
	*Node
	app string
}

// Events is for trigger.ObjectLog.
func (l objectLog) Events(ctx context.Context) ([]op.ObjectEvent, error) {
	return l.objects.Events(ctx, l.app)
}

// Happened is for trigger.ObjectLog.
func (l objectLog) Happened(ctx context.Context) iter.Seq2[struct{}, error] {
	return l.objects.Happened(ctx, l.app)
}

// Send is for trigger.ObjectLog.
func (l objectLog) Send(ctx context.Context, queue string, messages ...op.Outgoing) error {
	_, err := l.queues.Send(ctx, l.app, queue, messages...)
	return err
}

// Settle is for trigger.ObjectLog.
func (l objectLog) Settle(ctx context.Context, ids ...string) error {
	return l.objects.Settle(ctx, l.app, ids...)
}

// uploads gives an app's functions what becomes of its objects.
func (n *Node) uploads(app string) *trigger.Uploads {
	return &trigger.Uploads{App: app, Log: objectLog{n, app}, Delivery: n.delivery,
		Listeners: func(ctx context.Context) ([]trigger.UploadListener, error) { return n.listeners(ctx, app) }}
}

// addUploads adds the workers of functions that listen to buckets, and on the leader's node who gives them what they
// listen to: for apps that have no such function, too, since what nobody wants is to go.
func (n *Node) addUploads(all map[string]worker, there map[fsm.QueueName]bool) error {
	leads := n.store.Replica().Leading() != 0
	for _, f := range n.registry.Snapshot().Functions() {
		for bucket := range f.Uploads() {
			name := queue.UploadQueue(f.Name, bucket)
			if there[fsm.QueueName{Namespace: f.App, Name: name}] {
				all[keyOfWorker("upload "+bucket, f, nil)] = trigger.NewUploadWorker(n.workerConfig(f, name), bucket)
			}
			if leads {
				all["uploads "+f.App] = n.uploads(f.App)
			}
		}
	}
	if !leads {
		return nil
	}
	apps, err := n.objects.Apps(n.ctx, op.Local)
	for _, app := range apps {
		all["uploads "+app] = n.uploads(app)
	}
	return err
}

// listeners answers the functions that listen to buckets of an app, and makes the queues that they have not got yet.
func (n *Node) listeners(ctx context.Context, app string) (all []trigger.UploadListener, err error) {
	if err := n.refreshed(ctx); err != nil { // what was deployed before the event is here: reading that has seen both
		return nil, err
	}
	there, err := n.inner(ctx, app, queue.UploadPrefix)
	if err != nil {
		return nil, err
	}
	for _, f := range n.registry.Snapshot().Functions() {
		if f.App != app {
			continue
		}
		for bucket, sources := range f.Uploads() {
			l := trigger.UploadListener{Function: f.Name, Bucket: bucket, Sources: sources, Queue: queue.UploadQueue(f.Name, bucket)}
			if _, made := there[l.Queue]; !made {
				q := registry.Queue{Name: l.Queue, FIFO: true, RetentionSeconds: registry.MaxRetentionSeconds}
				if err := n.queues.PutInner(ctx, app, q); err != nil {
					return nil, err
				}
			}
			all = append(all, l)
		}
	}
	return all, nil
}

// heard says whether a function listens to a bucket, as far as this node knows.
func (n *Node) heard(app, bucket string) bool {
	for _, f := range n.registry.Snapshot().Functions() {
		if f.App == app && len(f.Uploads()[bucket]) > 0 {
			return true
		}
	}
	return false
}

// openBuckets has the buckets tell what becomes of their objects that new versions of functions will listen to, and makes
// those that are not there, unless they are to be. So nothing is missed that is put after the deployment.
func (n *Node) openBuckets(ctx context.Context, app string, changes []registry.Change) error {
	wanted := map[string]bool{} // whether it must be there
	for _, c := range changes {
		for _, t := range c.Settings.Triggers {
			if t.Upload != nil {
				wanted[t.Upload.Bucket] = wanted[t.Upload.Bucket] || t.Upload.Existing
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		err := n.openBucket(ctx, app, name)
		if errors.Is(err, op.ErrNoBucket) && wanted[name] {
			return abi.WithCode(abi.NotFound, fmt.Errorf("bucket %s in app %s: no such bucket", name, app))
		}
		if errors.Is(err, op.ErrNoBucket) {
			err = n.objects.CreateBucket(ctx, app, blob.Bucket{Name: name, Events: true})
		}
		if errors.Is(err, op.ErrBucketExists) { // since a moment ago
			err = n.openBucket(ctx, app, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// openBucket has a bucket tell what becomes of its objects.
func (n *Node) openBucket(ctx context.Context, app, name string) error {
	b, err := n.objects.Bucket(ctx, app, name)
	if err == nil && !b.Events {
		err = n.objects.ChangeBucket(ctx, app, blob.Bucket{Name: name, Events: true})
	}
	return err
}

// listenToBuckets has the buckets of an app tell what becomes of their objects that a function listens to. What fails, the
// leader's node does within lookPause.
func (n *Node) listenToBuckets(ctx context.Context, app string) {
	for _, f := range n.registry.Snapshot().Functions() {
		if f.App != app {
			continue
		}
		for bucket := range f.Uploads() {
			if err := n.openBucket(ctx, app, bucket); err != nil && !errors.Is(err, op.ErrNoBucket) {
				n.log.Warn("listen to bucket", "app", app, "function", f.Name, "bucket", bucket, "err", err)
			}
		}
	}
}

// sweepBuckets has buckets tell what becomes of their objects as long as a function listens, and for a while after, on the
// leader's node.
func (n *Node) sweepBuckets() {
	if n.store.Replica().Leading() == 0 {
		clear(n.triggers.unheard)
		return
	}
	if time.Since(n.triggers.swept) < lookPause {
		return
	}
	n.triggers.swept = time.Now()
	ctx, cancel := context.WithTimeout(n.ctx, sweepTimeout)
	defer cancel()
	apps, err := n.objects.Apps(ctx, op.Local)
	unheard := map[string]time.Time{}
	for _, app := range apps {
		if err == nil {
			err = n.sweepBucketsOf(ctx, app, n.triggers.unheard, unheard)
		}
	}
	if err != nil {
		if n.ctx.Err() == nil {
			n.log.Warn("look at buckets", "err", err)
		}
		return
	}
	n.triggers.unheard = unheard
}

// sweepBucketsOf notes in after which of an app's buckets tell what nobody listens to, and since when, which before knows of
// those it knows.
func (n *Node) sweepBucketsOf(ctx context.Context, app string, before, after map[string]time.Time) error {
	buckets, err := n.objects.Buckets(ctx, app)
	if err != nil || !slices.ContainsFunc(buckets, func(b blob.Bucket) bool { return b.Events != n.heard(app, b.Name) }) {
		return err
	}
	if err := n.refreshed(ctx); err != nil {
		return err
	}
	n.listenToBuckets(ctx, app)
	for _, b := range buckets {
		if !b.Events || n.heard(app, b.Name) {
			continue
		}
		key := app + "/" + b.Name
		since, known := before[key]
		if !known {
			since = time.Now()
		}
		after[key] = since
		if time.Since(since) <= orphanGrace {
			continue
		}
		if err := n.objects.ChangeBucket(ctx, app, blob.Bucket{Name: b.Name}); err != nil && !errors.Is(err, op.ErrNoBucket) {
			return err
		}
		n.log.Info("nobody listens to bucket", "app", app, "bucket", b.Name)
	}
	return nil
}

package admin

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Modules keeps uploaded bytes by digest.
type Modules interface {
	// Put reads r to its end and keeps the bytes if they have the digest. Bytes kept before are no error.
	// Errors are coded: abi.InvalidInput for another digest, abi.TooLarge, abi.NoSpace; after one nothing is kept.
	Put(ctx context.Context, digest string, r io.Reader) (sizeBytes int64, err error)
	Has(digest string) bool
}

// Deployer compiles and tries modules and makes them live: all changes or none. It returns once this node
// serves the new versions. Errors are coded: abi.InvalidModule, abi.InvalidInput, abi.Conflict.
type Deployer interface {
	Deploy(ctx context.Context, app string, changes []registry.Change) ([]Deployed, error)
}

// Deployed is what a deployment did to one function.
type Deployed struct {
	registry.Deployed
	Compile time.Duration // 0 when the code was compiled before
}

// Registry reads the records of functions. registry.Registry is one.
type Registry interface {
	Snapshot() *registry.Snapshot
}

// Changes are the other changes of functions. Each returns once this node serves accordingly. registry.Registry
// has these methods; cluster/node adds the serving.
type Changes interface {
	Rollback(ctx context.Context, app, name string, version int) (registry.Function, error)
	SetAlias(ctx context.Context, app, name, alias string, weights []registry.Weight) (registry.Function, error)
	RemoveAlias(ctx context.Context, app, name, alias string) (registry.Function, error)
	Remove(ctx context.Context, app string, names []string) error // names nil: all of the app
}

// Invoker runs a function: router.Router is one.
type Invoker interface {
	Dispatch(ctx context.Context, c router.Call) (*abi.Result, error)
}

// Bencher measures invocations of a version: package runtime's Runtime is one. Path is client.PathCold,
// PathImage, PathWarm or PathReset; the answer holds one duration an invocation.
type Bencher interface {
	Bench(ctx context.Context, v *registry.Version, e *abi.Event, path string, count int) ([]time.Duration, error)
}

// Logs reads what guests and the platform wrote.
type Logs interface {
	// Read returns the newest lines that match, oldest first. What could not be read is said in a line of the platform's.
	Read(ctx context.Context, q client.LogQuery) []abi.Line
	// Follow yields what Read returns, and then new lines until ctx ends.
	Follow(ctx context.Context, q client.LogQuery) iter.Seq[abi.Line]
}

// TokenStore keeps tokens: kv.Store is one.
type TokenStore interface {
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
}

// KV is the apps' keys and values, an app's name being the namespace: kv.Store is one. Errors wrap those of package op.
type KV interface {
	Keys
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
	Usage(ctx context.Context, namespace string) (op.Usage, error)
	SetQuota(ctx context.Context, namespace string, q op.Quota) error
}

// Keys reads keys and values.
type Keys interface {
	Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error)
	// GetMany answers the keys in the order asked, as they are at one moment. An absent one has revision 0.
	GetMany(ctx context.Context, namespace string, keys []string, r op.Read) ([]op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	// Watch yields the changes after a revision and then new ones until ctx ends; after 0 those from now on.
	Watch(ctx context.Context, namespace, prefix string, after uint64) iter.Seq2[op.Change, error]
}

// Node says what the node is. Info and Ready answer at once.
type Node interface {
	// Serving returns when the node serves the functions as changed up to a generation, or ctx ends.
	Serving(ctx context.Context, generation uint64)
	Info() client.Node // UptimeSeconds may be 0
	Ready() error      // why the node does not serve: starting, draining
}

// Queues are the apps' queues and topics. Package kv/queue's Queues is one, whose errors are coded.
type Queues interface {
	Put(ctx context.Context, app string, q registry.Queue) error
	Get(ctx context.Context, app, name string) (registry.QueueInfo, error)
	// List answers queues in the order of their names, and the After of the next page, empty when there is none.
	List(ctx context.Context, app string, q op.QueueQuery) (queues []registry.QueueInfo, after string, err error)
	Remove(ctx context.Context, app, name string) error
	Purge(ctx context.Context, app, name string) (messages int64, err error)
	Redrive(ctx context.Context, app, name string, r op.Redrive) (moved int64, err error)

	Send(ctx context.Context, app, name string, messages ...op.Outgoing) ([]op.Sent, error)
	Receive(ctx context.Context, app, name string, r op.Receive) ([]op.Message, error)
	Settle(ctx context.Context, app, name string, s op.Settlement) (op.Settled, error)

	PutTopic(ctx context.Context, app string, t registry.Topic) error
	RemoveTopic(ctx context.Context, app, topic string) error
	Topics(ctx context.Context, app string) ([]registry.Topic, error)
	Publish(ctx context.Context, app, topic string, messages ...op.Outgoing) ([]op.Sent, error)
}

// Subscriptions are who gets what is published to topics. Errors are coded.
type Subscriptions interface {
	Subscribe(ctx context.Context, app string, s registry.Subscription) error
	// Unsubscribe ends a subscription, and what was not delivered to it is gone. One of a function's, which its
	// deployment made, is an error coded abi.Conflict.
	Unsubscribe(ctx context.Context, app, topic, name string) error
	// Subscriptions answers those of a topic by name, functions' too.
	Subscriptions(ctx context.Context, app, topic string) ([]registry.Subscription, error)
}

// Events are the apps' event buses and their archives. Errors are coded.
type Events interface {
	// PutEvents answers the events' ids once they are durable: all of them, or none.
	PutEvents(ctx context.Context, app string, events ...registry.BusEvent) (ids []string, err error)
	PutArchive(ctx context.Context, app string, a registry.Archive) error
	RemoveArchive(ctx context.Context, app, archive string) error
	// Archives answers them by name.
	Archives(ctx context.Context, app string) ([]registry.ArchiveInfo, error)
	// Replay puts a page of an archive's events on the bus again.
	Replay(ctx context.Context, app, archive string, r registry.Replay) (registry.Replayed, error)
}

// Schedules are the schedules of the live versions. Package router/trigger's Scheduler is one, whose errors are coded.
type Schedules interface {
	Schedules(ctx context.Context, app string) ([]registry.ScheduleInfo, error)
	Enable(ctx context.Context, id registry.ScheduleID) error
	Disable(ctx context.Context, id registry.ScheduleID) error
	// Fire invokes a function as at a tick and answers the invocation's id, once it is kept.
	Fire(ctx context.Context, id registry.ScheduleID) (invocation string, err error)
}

// Async takes invocations that are run later: retried, and their destinations told.
type Async interface {
	// Enqueue answers the invocation's id once it is durable. Errors are coded: abi.NotFound, abi.TooLarge, ...
	Enqueue(ctx context.Context, c router.Call) (invocation string, err error)
}

// Objects are the apps' buckets and objects. Package kv/blob's Objects is one, whose errors are coded.
type Objects interface {
	CreateBucket(ctx context.Context, app string, b op.Bucket) error
	ChangeBucket(ctx context.Context, app string, b op.Bucket) error
	Bucket(ctx context.Context, app, bucket string) (op.Bucket, error)
	Buckets(ctx context.Context, app string) ([]op.Bucket, error)
	DeleteBucket(ctx context.Context, app, bucket string) error

	Put(ctx context.Context, p op.ObjectPut) (op.ObjectInfo, error)
	// Open answers what is known of an object, and its bytes; the caller closes them.
	Open(ctx context.Context, n op.ObjectName) (op.ObjectInfo, io.ReadSeekCloser, error)
	List(ctx context.Context, app, bucket string, q op.ObjectQuery) (op.ObjectPage, error)
	Copy(ctx context.Context, c op.ObjectCopy) (op.ObjectInfo, error)
	Delete(ctx context.Context, n op.ObjectName, c op.ObjectCondition) (found bool, err error)
	DeleteMany(ctx context.Context, app, bucket string, keys ...string) error

	// Usage answers what an app holds, or a bucket when it is named.
	Usage(ctx context.Context, app, bucket string) (op.ObjectUsage, error)
	SetQuota(ctx context.Context, app string, q op.ObjectQuota) error
}

package trigger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// maxUploads is how many events of objects are handed on before they are settled. More come again when a node is killed.
const maxUploads = 100

// depthAttribute is the attribute of a message that says how many functions and destinations led to it.
const depthAttribute = "sett-depth"

// ObjectLog is where events of an app's objects wait, and what is made of them goes.
type ObjectLog interface {
	// Events answers the oldest events, in an order in which those of one key are in the order they happened.
	Events(ctx context.Context) ([]op.ObjectEvent, error)
	// Happened yields at once, and whenever there may be more events, until ctx ends. An error ends it.
	Happened(ctx context.Context) iter.Seq2[struct{}, error]
	// Send puts messages in a queue. One whose deduplication id has come before is left out.
	Send(ctx context.Context, queue string, messages ...op.Outgoing) error
	// Settle takes events away.
	Settle(ctx context.Context, ids ...string) error
}

// UploadListener is a function that is told of a bucket's objects.
type UploadListener struct {
	Function string
	Bucket   string
	Sources  []registry.UploadSource // of the bucket
	Queue    string                  // FIFO: what is for the function
}

// wants says whether the function is told of an event. What it has done itself it is told only when there are rules, and
// they let it by: who has written no rule does not mean a loop.
func (l UploadListener) wants(e op.ObjectEvent) bool {
	return e.Bucket == l.Bucket && slices.ContainsFunc(l.Sources, func(s registry.UploadSource) bool {
		return s.Wants(e) && (e.Origin.Function != l.Function || s.HasRules())
	})
}

// isOwn says whether an event would be the function's, had it not done it itself.
func (l UploadListener) isOwn(e op.ObjectEvent) bool {
	if e.Origin.Function != l.Function || l.wants(e) {
		return false
	}
	e.Origin = op.ObjectOrigin{}
	return l.wants(e)
}

// Uploads gives functions the events of an app's objects, each into a queue of the function's own: so none waits for
// another, and each has its own retries. An event is given at least once, and twice only when a node is killed between
// giving and settling and nobody takes over within op.DedupWindow.
type Uploads struct {
	App      string
	Log      ObjectLog
	Delivery *Delivery
	// Listeners answers the functions that were deployed before the call. It is called after events are read, so that who
	// deploys and then puts is told of it.
	Listeners func(ctx context.Context) ([]UploadListener, error)
}

// Run gives until ctx ends.
func (u *Uploads) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := u.follow(ctx); err != nil && ctx.Err() == nil {
			u.Delivery.log.Warn("give events of objects", "app", u.App, "err", err)
		}
		pause(ctx, storePause)
	}
}

// follow gives what there is, whenever there is more, until there is an error.
func (u *Uploads) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	more, over := make(chan struct{}, 1), make(chan error, 1)
	watching.Go(func() {
		for _, err := range u.Log.Happened(ctx) {
			if err != nil {
				over <- err
				return
			}
			select {
			case more <- struct{}{}:
			default: // much that happens at once is read at once
			}
		}
		over <- nil
	})
	for {
		select {
		case err := <-over:
			return err
		case <-more:
			if err := u.drain(ctx); err != nil {
				return err
			}
		}
	}
}

// drain gives all events there are.
func (u *Uploads) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		events, err := u.Log.Events(ctx)
		if err != nil || len(events) == 0 {
			return err
		}
		listeners, err := u.Listeners(ctx)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(events, maxUploads) {
			if err := u.give(ctx, part, listeners); err != nil {
				return err
			}
		}
	}
	return nil
}

// give puts events in the queues of those who want them, and then settles them.
func (u *Uploads) give(ctx context.Context, events []op.ObjectEvent, listeners []UploadListener) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout) // what was begun is done
	defer cancel()
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	given := 0
	for _, l := range listeners {
		var messages []op.Outgoing
		for _, e := range events {
			if l.isOwn(e) {
				u.count(messageOwn, 1)
			}
			if !l.wants(e) {
				continue
			}
			m, err := u.message(e, l)
			if err != nil {
				return err
			}
			messages = append(messages, m)
		}
		if given += len(messages); len(messages) == 0 {
			continue
		}
		if err := u.Log.Send(ctx, l.Queue, messages...); err != nil {
			return fmt.Errorf("function %s: %w", l.Function, err)
		}
	}
	if err := u.Log.Settle(ctx, ids...); err != nil {
		return err
	}
	u.count(messageForwarded, given)
	for _, e := range events {
		u.Delivery.metrics.waited.Observe(max(0, time.Since(e.Time).Seconds()))
	}
	return nil
}

func (u *Uploads) count(outcome string, n int) {
	u.Delivery.metrics.messages.WithLabelValues(abi.TriggerUpload, outcome).Add(float64(n))
}

// message is an event for a function. Messages of one key are in one group: the function gets them in their order.
func (u *Uploads) message(e op.ObjectEvent, l UploadListener) (op.Outgoing, error) {
	body, err := marshalText(uploadEvent(e, u.Delivery.config.Region, l.Function))
	group := sha256.Sum256([]byte(e.Key))
	return op.Outgoing{Body: body, Group: hex.EncodeToString(group[:]), Dedup: e.ID, Attributes: []op.Attribute{
		{Name: depthAttribute, Type: "Number", Value: strconv.AppendInt(nil, int64(e.Origin.Depth+1), 10)}}}, err
}

// NewUploadWorker answers the worker of a function that is told of a bucket's objects, whose events Source has. Each is
// invoked alone, and tried again as the function's asynchronous invocations are.
func NewUploadWorker(c WorkerConfig, bucket string) *Worker {
	w := newEachWorker(c, abi.TriggerUpload, "upload/"+bucket, "")
	w.depth = depthOf
	w.encode = func(batch []op.Message) ([]byte, error) { return batch[0].Body, nil }
	return w
}

// depthOf is how many functions and destinations led to a message. Who cannot be read has come from nowhere.
func depthOf(m op.Message) int {
	for _, a := range m.Attributes {
		if a.Name == depthAttribute {
			depth, _ := strconv.Atoi(string(a.Value))
			return depth
		}
	}
	return 0
}

// s3Event is what S3 invokes functions with. Source: Amazon S3 User Guide, "Event message structure".
type s3Event struct {
	Records []s3Record `json:"Records"`
}

type s3Record struct {
	EventVersion      string            `json:"eventVersion"`
	EventSource       string            `json:"eventSource"`
	Region            string            `json:"awsRegion"`
	Time              string            `json:"eventTime"`
	Name              string            `json:"eventName"`
	User              s3Principal       `json:"userIdentity"`
	RequestParameters map[string]string `json:"requestParameters"`
	ResponseElements  map[string]string `json:"responseElements"`
	S3                s3Entity          `json:"s3"`
}

type s3Principal struct {
	ID string `json:"principalId"`
}

type s3Entity struct {
	SchemaVersion   string   `json:"s3SchemaVersion"`
	ConfigurationID string   `json:"configurationId"`
	Bucket          s3Bucket `json:"bucket"`
	Object          s3Object `json:"object"`
}

type s3Bucket struct {
	Name  string      `json:"name"`
	Owner s3Principal `json:"ownerIdentity"`
	ARN   string      `json:"arn"`
}

type s3Object struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"` // nil: it was removed
	ETag      string `json:"eTag,omitempty"`
	Sequencer string `json:"sequencer"`
}

func uploadEvent(e op.ObjectEvent, region, function string) s3Event {
	who := account
	if e.Origin.Function != "" {
		who = registry.DestinationFunction + ":" + e.Origin.Function
	}
	object := s3Object{Key: escapeKey(e.Key), ETag: e.ETag, Sequencer: e.Sequencer}
	if strings.HasPrefix(e.Name, "ObjectCreated:") {
		object.Size = &e.Size
	}
	return s3Event{Records: []s3Record{{
		EventVersion: "2.1", EventSource: "aws:s3", Region: region, Time: e.Time.UTC().Format(timestampFormat), Name: e.Name,
		User:              s3Principal{who},
		RequestParameters: map[string]string{"sourceIPAddress": ""}, // nobody has kept it
		ResponseElements:  map[string]string{"x-amz-request-id": e.ID, "x-amz-id-2": e.ObjectID},
		S3: s3Entity{
			SchemaVersion: "1.0", ConfigurationID: function,
			Bucket: s3Bucket{Name: e.Bucket, Owner: s3Principal{account}, ARN: "arn:aws:s3:::" + e.Bucket},
			Object: object,
		},
	}}}
}

// escapeKey is a key as S3's events have it: as in a form, but for slashes.
func escapeKey(key string) string { return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/") }

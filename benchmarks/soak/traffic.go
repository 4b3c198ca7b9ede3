package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/benchmarks/load"
	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/benchmarks/work"
	"github.com/sett-run/sett/benchmarks/work/answer"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/client"
)

// What is done how often. All together it is a fifth of a core.
const (
	requestRate = 20.0 // requests a second over HTTP, of each kind
	clients     = 2    // connections of each kind

	countEvery  = 300 * time.Millisecond
	sendEvery   = time.Second // so many messages at once
	sendAtOnce  = 5
	putEvery    = time.Second // an object, or every so many times its deletion
	deleteEach  = 5
	objectKeys  = 32
	objectBytes = 64 << 10 // at most
	noteEvery   = 200 * time.Millisecond
	noteKeys    = 16
	lookEvery   = 10 * time.Second // logs, invocations and functions are listed
	deployEvery = time.Minute

	callTime  = 30 * time.Second // of a call to the admin plane
	drainTime = time.Minute      // until what was asked for has been handled
)

// Names on the node.
const (
	app    = registry.DefaultApp
	queue  = "jobs"
	bucket = "files"
	notes  = "note/"
)

// traffic is everything that is asked of a node, and what is known of it.
type traffic struct {
	node   *subject.Up
	client *client.Client
	guest  []byte
	length time.Duration

	deployed time.Time // when the schedule began, at the earliest
	prepared uint64    // the store's revision before any note

	asked, answered, failed atomic.Int64 // requests over HTTP, and calls of the admin plane
	watched                 atomic.Int64 // changes of notes
	objects                 [objectKeys][]byte

	mu    sync.Mutex // guards the others
	first error      // of those that failed
	done  map[string]int64
}

func newTraffic(n *subject.Up, guest []byte, length time.Duration) (*traffic, error) {
	c, err := client.New("http://"+n.Admin, "")
	return &traffic{node: n, client: c, guest: guest, length: length, done: map[string]int64{}}, err
}

func (t *traffic) prepare(ctx context.Context) error {
	_, err := t.client.Objects().PutBucket(ctx, app, bucket, client.BucketRequest{Events: true})
	first, err2 := t.client.KV().Put(ctx, app, "prepared", client.Put{})
	t.prepared, t.deployed = first.Revision, time.Now()
	return errors.Join(err, err2, t.client.Queues().Put(ctx, app, registry.Queue{Name: queue}), t.deploy(ctx, 0))
}

// call is what is done again and again.
type call struct {
	name  string
	every time.Duration
	do    func(ctx context.Context, i int) error
}

// run returns when all has been asked for and answered.
func (t *traffic) run(ctx context.Context) error {
	until, cancel := context.WithTimeout(ctx, t.length)
	defer cancel()
	var all sync.WaitGroup
	for _, c := range []call{
		{"count", countEvery, t.count},
		{"note", noteEvery, t.note},
		{"send", sendEvery, t.send},
		{"put", putEvery, t.put},
		{"look", min(lookEvery, t.length/3), t.look},
		{"deploy", min(deployEvery, t.length/2), t.deploy},
	} {
		all.Go(func() { t.each(until, c) })
	}
	var errs [3]error
	for i, w := range works() {
		all.Go(func() { errs[i] = t.request(ctx, w) })
	}
	all.Wait()
	return errors.Join(errs[:]...)
}

// works are what is asked for over HTTP: of the function in Go, of the small one, and of the one in Go with a counter.
func works() [3]work.Work {
	get := func(path string) work.Work {
		return work.Work{Name: path, Ask: func(r *fasthttp.Request, _, _ int) { work.Ask(r, "GET", path) }, Check: func(body []byte) error {
			if string(body) != answer.Hello {
				return fmt.Errorf("body %.40q, want %q", body, answer.Hello)
			}
			return nil
		}}
	}
	count := func(r *fasthttp.Request, connection, _ int) { work.Ask(r, "POST", "/kv/"+strconv.Itoa(connection)) }
	return [3]work.Work{get("/hello"), get("/small"), {Name: "kv", Ask: count, Check: func(body []byte) error {
		_, err := strconv.ParseInt(string(body), 10, 64)
		return err
	}}}
}

// request asks over HTTP.
func (t *traffic) request(ctx context.Context, w work.Work) error {
	ask, check := w.Ask, w.Check
	w.Ask = func(r *fasthttp.Request, connection, i int) { t.asked.Add(1); ask(r, connection, i) }
	w.Check = func(body []byte) error {
		err := check(body)
		if err == nil {
			t.answered.Add(1)
		}
		return err
	}
	r, err := load.Run(ctx, load.Plan{Address: t.node.HTTP, Work: w, Connections: clients, Length: t.length, Rate: requestRate})
	if err != nil {
		return err
	}
	t.add(w.Name, int64(r.Answered))
	t.failed.Add(int64(r.Failed))
	t.fail(r.Err())
	return nil
}

// each makes a call again and again until ctx ends. What has begun then is ended.
func (t *traffic) each(ctx context.Context, c call) {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
		t.asked.Add(1)
		if err := c.do(one, i); err == nil {
			t.answered.Add(1)
		} else {
			t.failed.Add(1)
			t.fail(fmt.Errorf("%s: %w", c.name, err))
		}
		cancel()
	}
}

// fail keeps the first error.
func (t *traffic) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = err
	}
}

// add counts what has been done.
func (t *traffic) add(what string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[what] += n
}

func (t *traffic) count(ctx context.Context, _ int) error {
	_, err := t.client.KV().Incr(ctx, app, "admin", client.Incr{Delta: 1})
	t.add("admin", 1)
	return err
}

// send sends the next numbers.
func (t *traffic) send(ctx context.Context, i int) error {
	messages := make([]op.Outgoing, sendAtOnce)
	for k := range messages {
		n := i*sendAtOnce + k
		messages[k].Body = strconv.AppendInt(nil, int64(n), 10)
		t.add("sum", int64(n))
	}
	t.add("worked", sendAtOnce)
	_, err := t.client.Queues().Send(ctx, app, queue, messages...)
	return err
}

func (t *traffic) note(ctx context.Context, i int) error {
	_, err := t.client.KV().Put(ctx, app, notes+strconv.Itoa(i%noteKeys), client.Put{Value: strconv.AppendInt(nil, int64(i), 10)})
	t.add("changed", 1)
	return err
}

// put puts an object over another one, or deletes one.
func (t *traffic) put(ctx context.Context, i int) error {
	k := i % objectKeys
	object := op.ObjectName{App: app, Bucket: bucket, Key: strconv.Itoa(k)}
	if i%deleteEach == 0 {
		_, err := t.client.Objects().Delete(ctx, object, op.ObjectCondition{})
		t.objects[k] = nil
		return err
	}
	body := make([]byte, 1+rand.IntN(objectBytes))
	_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}).Read(body) // it never fails
	t.objects[k] = body
	_, err := t.client.Objects().Put(ctx, op.ObjectPut{Name: object, Body: op.ObjectBody{Reader: bytes.NewReader(body), Size: int64(len(body))}})
	t.add("uploaded", 1)
	t.add("bytes", int64(len(body)))
	return err
}

// look asks what people ask.
func (t *traffic) look(ctx context.Context, _ int) error {
	_, err := t.client.Functions(ctx, app)
	_, err2 := t.client.Invocations(ctx, client.InvocationQuery{App: app})
	err = errors.Join(err, err2)
	for _, err3 := range t.client.Logs(ctx, client.LogQuery{App: app, Limit: 100}) {
		err = errors.Join(err, err3)
	}
	return err
}

// watch counts the changes of notes until ctx ends.
func (t *traffic) watch(ctx context.Context) {
	for _, err := range t.client.KV().Watch(ctx, app, notes, t.prepared) { // those too that came before it was there
		if err != nil {
			if ctx.Err() == nil {
				t.fail(err)
			}
			return
		}
		t.watched.Add(1)
	}
}

// deploy makes new versions of all functions, of modules that are not known yet.
func (t *traffic) deploy(ctx context.Context, i int) error {
	all := map[string]registry.Settings{
		"api":      {},
		"worker":   {Handler: "work", Triggers: []registry.Trigger{{Queue: &registry.QueueSource{Queue: queue, Concurrency: 1}}}},
		"changes":  {Handler: "changed", Triggers: []registry.Trigger{{Stream: &registry.StreamSource{Prefix: notes}}}},
		"uploads":  {Handler: "uploaded", Triggers: []registry.Trigger{{Upload: &registry.UploadSource{Bucket: bucket}}}},
		"schedule": {Handler: "tick", Triggers: []registry.Trigger{{Schedule: &registry.Schedule{Expressions: []string{"cron(* * * * ? *)"}}}}},
	}
	digest, err := t.upload(ctx, t.guest, i)
	if err != nil {
		return err
	}
	var r client.DeployRequest
	for name, settings := range all {
		if settings.Handler != "" {
			settings.Effects = registry.EffectsTransactional
		}
		r.Functions = append(r.Functions, client.DeployFunction{Name: name, Digest: digest, Settings: settings})
	}
	if digest, err = t.upload(ctx, wasmtest.Answer(answer.Hello), i); err != nil {
		return err
	}
	r.Functions = append(r.Functions, client.DeployFunction{Name: "small", Digest: digest})
	_, err = t.client.Deploy(ctx, app, r)
	return err
}

// upload uploads a module with a custom section that makes it another one.
func (t *traffic) upload(ctx context.Context, module []byte, i int) (digest string, err error) {
	module = append(slices.Clip(module), 0, 6, 1, 'i', byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
	return subject.Upload(ctx, t.client, module)
}

package blob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// Maintain collects and scrubs until ctx ends. Leads says whether this node is the one to sweep records, which one node
// of a group does.
func (o *Objects) Maintain(ctx context.Context, leads func() bool) {
	collect, scrub := time.NewTicker(CollectEvery), time.NewTicker(ScrubEvery/256)
	defer collect.Stop()
	defer scrub.Stop()
	next := byte(time.Now().Unix() / int64(ScrubEvery/256/time.Second)) // a node that restarts goes on
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-collect.C:
			if leads() {
				err = o.Sweep(ctx)
			}
			_, collectErr := o.Collect(ctx)
			err = errors.Join(err, collectErr)
		case <-scrub.C:
			err = o.Scrub(ctx, next)
			next++
		}
		if err != nil && ctx.Err() == nil {
			o.log.Error("maintain objects", "err", err)
		}
	}
}

// Collect removes the chunks of this node that no record names: those that nothing has named for CollectAfter, and that
// were not put within twice MaxPutTime. It answers how many went. Without a leader nothing goes.
func (o *Objects) Collect(ctx context.Context) (removed int, err error) {
	o.background.Lock()
	defer o.background.Unlock()
	here := make(map[string]found)
	var bytes int64
	for first := range 256 {
		chunks, err := o.chunks.in(byte(first))
		if err != nil {
			return 0, coded("collect chunks", err)
		}
		for _, c := range chunks {
			here[c.Digest] = c
			bytes += c.SizeBytes
		}
	}
	o.metrics.chunks.Set(float64(len(here)))
	o.metrics.bytes.Set(float64(bytes))
	if err := named(ctx, o.store, func(c Chunk) { delete(here, c.Digest) }); err != nil {
		return 0, coded("collect chunks", err)
	}
	removed, err = o.remove(here)
	o.metrics.collected.Add(float64(removed))
	return removed, coded("collect chunks", err)
}

// remove removes chunks that nothing names, when that is so for long enough, and remembers the others.
func (o *Objects) remove(unnamed map[string]found) (removed int, err error) {
	now := time.Now()
	since := make(map[string]time.Time)
	for digest, c := range unnamed {
		if c.put.After(now.Add(-2 * MaxPutTime)) {
			continue
		}
		first, known := o.unnamed[digest]
		if !known {
			first = now
		}
		if now.Sub(first) < CollectAfter {
			since[digest] = first
			continue
		}
		if removeErr := o.chunks.remove(digest, c.put); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("remove chunk: %w", removeErr))
			continue
		}
		removed++
	}
	o.unnamed = since
	return removed, err
}

// named tells of each chunk that a record of any app names: segments first, so that an upload that becomes an object
// meanwhile is not missed.
func named(ctx context.Context, in op.Lister, tell func(Chunk)) error {
	apps, err := appsOf(ctx, in, op.Strong)
	if err != nil {
		return err
	}
	for _, app := range apps {
		err := each(ctx, in, app, segmentPrefix, func(_ string, v []byte) error {
			s, err := decodeSegment(v)
			s.Span.tell(tell)
			return err
		})
		if err == nil {
			err = each(ctx, in, app, objectPrefix, func(_ string, v []byte) error {
				m, err := decodeManifest(v)
				m.Span.tell(tell)
				return err
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s span) tell(tell func(Chunk)) {
	for i := range s.count() {
		tell(s.chunk(i))
	}
}

// Named answers the sizes in bytes of the chunks that the records in a state of the store name, by their digests.
func Named(ctx context.Context, in op.Lister) (sizes map[string]int64, err error) {
	sizes = make(map[string]int64)
	err = named(ctx, in, func(c Chunk) { sizes[c.Digest] = c.SizeBytes })
	return sizes, coded("list chunks", err)
}

// Hold has no chunk of this node's be collected until release is called, once.
func (o *Objects) Hold() (release func()) {
	o.background.Lock()
	return o.background.Unlock
}

// Apps answers the apps that ever had a bucket.
func (o *Objects) Apps(ctx context.Context, c op.Consistency) (apps []string, err error) {
	return appsOf(ctx, o.store, c)
}

func appsOf(ctx context.Context, in op.Lister, c op.Consistency) (apps []string, err error) {
	q := op.Query{Prefix: appPrefix, KeysOnly: true, Read: op.Read{Consistency: c}}
	for i, err := range op.All(ctx, in, op.System, q) {
		if err != nil {
			return nil, err
		}
		apps = append(apps, strings.TrimPrefix(i.Key, appPrefix))
	}
	return apps, nil
}

// each visits the records of an app whose keys start with prefix, as they are at one moment.
func each(ctx context.Context, in op.Lister, app, prefix string, visit func(rest string, value []byte) error) error {
	q := op.Query{Prefix: prefix, Read: op.Read{Consistency: op.Strong}}
	for i, err := range op.All(ctx, in, op.ObjectsOf(app), q) {
		if err == nil {
			err = visit(strings.TrimPrefix(i.Key, prefix), i.Value)
		}
		if err != nil {
			return fmt.Errorf("%s: %.80q: %w", app, i.Key, err)
		}
	}
	return nil
}

// Sweep aborts uploads that are older than UploadLife, and removes segments that neither an object nor an upload has
// named for CollectAfter, and those of parts that an upload was completed without. An error ends it; the next one begins
// anew.
func (o *Objects) Sweep(ctx context.Context) error {
	o.background.Lock()
	defer o.background.Unlock()
	apps, err := o.Apps(ctx, op.Strong)
	if err != nil {
		return coded("sweep objects", err)
	}
	orphans := make(map[string]time.Time)
	for _, app := range apps {
		if err := o.sweep(ctx, app, orphans); err != nil {
			return coded("sweep objects", fmt.Errorf("app %s: %w", app, err))
		}
	}
	o.orphans = orphans
	return nil
}

func (o *Objects) sweep(ctx context.Context, app string, orphans map[string]time.Time) error {
	left, old, err := o.unnamedSegments(ctx, app)
	if err != nil {
		return err
	}
	for _, u := range old {
		if err := o.Abort(ctx, u); err != nil && !errors.Is(err, ErrNoUpload) {
			return err
		}
	}
	for id, named := range left.some {
		if err := o.deleteUnused(ctx, app, id, named); err != nil {
			return err
		}
	}
	now := time.Now()
	for id := range left.all {
		name := app + "/" + id
		first, known := o.orphans[name]
		if !known {
			first = now
		}
		if now.Sub(first) < CollectAfter {
			orphans[name] = first
			continue
		}
		if err := o.deleteSegments(ctx, app, id); err != nil {
			return err
		}
	}
	return nil
}

// leftover are segments that no object and no upload names, and so never will, by their ids.
type leftover struct {
	all  map[string]int         // ids of which none is named, and how many there are
	some map[string][]reference // ids of which some are: these
}

// unnamedSegments answers what segments are left over, and the uploads that are too old. Segments are read first: what
// names them later did so before.
func (o *Objects) unnamedSegments(ctx context.Context, app string) (left leftover, old []Upload, err error) {
	left = leftover{make(map[string]int), make(map[string][]reference)}
	err = each(ctx, o.store, app, segmentPrefix, func(rest string, _ []byte) error {
		id, _, _ := strings.Cut(rest, "/")
		left.all[id]++
		return nil
	})
	if err == nil {
		err = each(ctx, o.store, app, uploadPrefix, func(rest string, _ []byte) error {
			name, id, _ := strings.Cut(rest, "\x00")
			bucket, key, _ := strings.Cut(name, "/")
			delete(left.all, id)
			if time.Since(timeOf(id)) > UploadLife {
				old = append(old, Upload{Name: Name{App: app, Bucket: bucket, Key: key}, ID: id})
			}
			return nil
		})
	}
	if err == nil && len(left.all) > 0 {
		err = each(ctx, o.store, app, objectPrefix, func(_ string, v []byte) error {
			m, err := decodeManifest(v)
			if left.all[m.Source] > len(m.Segments) {
				left.some[m.Source] = m.Segments // copies name the same ones
			}
			delete(left.all, m.Source)
			return err
		})
	}
	return left, old, err
}

// deleteUnused deletes an id's segments but those that are named.
func (o *Objects) deleteUnused(ctx context.Context, app, id string, named []reference) error {
	keep := make(map[string]bool, len(named))
	for _, s := range named {
		keep[segmentKey(id, s.Number)] = true
	}
	var unused []op.Op
	q := op.Query{Prefix: segmentPrefix + id + "/", KeysOnly: true, Read: op.Read{Consistency: op.Strong}}
	for i, err := range op.All(ctx, o.store, op.ObjectsOf(app), q) {
		if err != nil {
			return err
		}
		if !keep[i.Key] {
			unused = append(unused, op.Op{Kind: op.Delete, Key: i.Key})
		}
	}
	for part := range slices.Chunk(unused, op.MaxOps) {
		if _, err := o.store.Commit(ctx, op.Txn{Namespace: op.ObjectsOf(app), Ops: part}); err != nil {
			return err
		}
	}
	return nil
}

func (o *Objects) deleteSegments(ctx context.Context, app, id string) error {
	for {
		r, err := o.store.Commit(ctx, op.Txn{Namespace: op.ObjectsOf(app), Ops: []op.Op{{Kind: op.DeletePrefix, Key: segmentPrefix + id + "/"}}})
		if err != nil {
			return err
		}
		if len(r.Ops) != 1 || r.Ops[0].Integer < op.MaxDeleteKeys {
			return nil
		}
	}
}

// Scrub hashes the chunks here whose digests start with a byte, brings those that are not what was written from another
// node, and has each on another node, too, so that what was lost with a node has two copies again. It goes on after an
// error with the next chunk.
func (o *Objects) Scrub(ctx context.Context, first byte) (err error) {
	chunks, err := o.chunks.in(first)
	for _, c := range chunks {
		if ctx.Err() != nil {
			return coded("scrub chunks", errors.Join(err, ctx.Err()))
		}
		err = errors.Join(err, o.scrub(ctx, c.Chunk))
	}
	return coded("scrub chunks", err)
}

func (o *Objects) scrub(ctx context.Context, c Chunk) error {
	f, err := o.chunks.verified(c)
	switch {
	case err == nil:
		f.Close()
	case errors.Is(err, errRotten):
		o.noteRot(c, err)
		if err := o.peers.Fetch(ctx, c, o.chunks); err != nil {
			return fmt.Errorf("repair chunk %s: %w", c.Digest, err)
		}
		o.metrics.repaired.Inc()
	case !o.chunks.Has(c.Digest):
		return nil // collected meanwhile
	default:
		return err
	}
	if o.isUnnamed(c.Digest) {
		return nil
	}
	if err := o.peers.Spread(ctx, c); err != nil {
		return fmt.Errorf("second copy of chunk %s: %w", c.Digest, err)
	}
	return nil
}

func (o *Objects) isUnnamed(digest string) bool {
	o.background.Lock()
	defer o.background.Unlock()
	_, unnamed := o.unnamed[digest]
	return unnamed
}

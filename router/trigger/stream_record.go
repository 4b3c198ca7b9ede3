package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// StreamPrefix is what keys of streams begin with, in namespace op.System. Then come app/function/stream, and the number
// of shards and the shard: N/I.
const StreamPrefix = "stream/"

// position is how far changes were handled.
type position struct {
	Next uint64 `json:"next"`           // all changes before this revision are done
	Done int    `json:"done,omitempty"` // and so many of its own transaction's, of those under the stream's prefix
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.Next, q.Next), cmp.Compare(p.Done, q.Done))
}

// shardRecord is what the store holds of a shard. Who changes it checks its revision, so that an owner that lost it,
// because it was too slow, notices.
type shardRecord struct {
	Place      position `json:"place"`
	Owner      string   `json:"owner,omitempty"` // of the lease; empty: whoever is first
	Token      uint64   `json:"token,omitempty"` // grows with each owner
	Generation uint64   `json:"generation"`      // of the snapshot that gave the stream its number of shards
	// Earlier are the places of the shards there were before their number changed, until all of them are passed.
	Earlier []position `json:"earlier,omitempty"`
}

// pass notes that the changes before a place are done. The places of earlier shards are forgotten once all are passed.
func (r *shardRecord) pass(p position) {
	r.Place = p
	for _, earlier := range r.Earlier {
		if p.compare(earlier) < 0 {
			return
		}
	}
	r.Earlier = nil
}

// shardOf is the shard of a key among n.
func shardOf(key string, n int) int {
	h := fnv.New64a()
	h.Write([]byte(key))
	return int(h.Sum64() % uint64(n))
}

func streamKey(app, function, id string) string {
	return StreamPrefix + app + "/" + function + "/" + url.PathEscape(id) + "/"
}

// shardKey is where the record of a shard is.
func (s *Stream) shardKey(shards, shard int) string {
	return streamKey(s.config.App, s.config.Function, s.config.Source.ID()) + strconv.Itoa(shards) + "/" + strconv.Itoa(shard)
}

// prepare makes the records of the stream's shards, if they are not there: of a new stream where it is to begin, of one
// that had another number of shards where those are. What the new ones find done in the old ones they pass over. It
// leaves alone what a newer snapshot made.
func (s *Stream) prepare(ctx context.Context) error {
	prefix := streamKey(s.config.App, s.config.Function, s.config.Source.ID())
	page, err := s.config.Store.List(ctx, op.System, op.Query{Prefix: prefix, Read: op.Read{Consistency: op.Strong}})
	if err != nil {
		return fmt.Errorf("list shards: %w", err)
	}
	t := op.Txn{Namespace: op.System}
	n := s.config.Source.Parallel
	next := shardRecord{Generation: s.config.Generation, Earlier: make([]position, len(page.Items))}
	for i, item := range page.Items {
		var r shardRecord
		shards, shard, err := readShard(strings.TrimPrefix(item.Key, prefix), item.Value, &r)
		switch {
		case err != nil || shard >= len(page.Items):
			return fmt.Errorf("read shard %s: %w", item.Key, cmp.Or(err, errShard))
		case shards == n:
			return nil // somebody was first
		case r.Generation >= s.config.Generation:
			return errNewer
		}
		next.Earlier[shard] = r.Place
		if i == 0 || r.Place.compare(next.Place) < 0 {
			next.Place = r.Place
		}
		t.Checks = append(t.Checks, op.Check{Key: item.Key, Revision: item.Revision})
		t.Ops = append(t.Ops, op.Op{Kind: op.Delete, Key: item.Key})
	}
	if len(page.Items) == 0 {
		next.Earlier = nil
		if next.Place, err = s.begin(ctx); err != nil {
			return err
		}
	}
	for i := range n {
		write, err := setOp(s.shardKey(n, i), next)
		if err != nil {
			return err
		}
		t.Checks = append(t.Checks, op.Check{Key: write.Key})
		t.Ops = append(t.Ops, write)
	}
	if _, err = s.config.Store.Commit(ctx, t); errors.Is(err, op.ErrConflict) {
		return nil // somebody else is at it
	}
	return err
}

var (
	errShard = errors.New("it is no shard's")
	errNewer = errors.New("a newer deployment has another number of shards")
)

// readShard reads what stands at N/I.
func readShard(name string, value []byte, r *shardRecord) (shards, shard int, err error) {
	if _, err = fmt.Sscanf(name, "%d/%d", &shards, &shard); err == nil {
		err = json.Unmarshal(value, r)
	}
	if err == nil && (shard < 0 || shard >= shards || shards > registry.MaxParallel) {
		err = errShard
	}
	return shards, shard, err
}

// begin is where a new stream begins.
func (s *Stream) begin(ctx context.Context) (position, error) {
	if s.config.Source.Start != registry.StartLatest {
		oldest, err := s.config.Store.Oldest()
		return position{Next: oldest + 1}, err
	}
	now, err := s.config.Store.List(ctx, s.config.App, op.Query{Limit: 1, KeysOnly: true, Read: op.Read{Consistency: op.Strong}})
	if err != nil {
		return position{}, fmt.Errorf("read the newest revision: %w", err)
	}
	return position{Next: now.Revision + 1}, nil
}

// SweepStreams deletes the places of streams that no function has any more. A snapshot that is older than what it finds
// deletes nothing of it.
func SweepStreams(ctx context.Context, store StreamStore, snapshot *registry.Snapshot) error {
	live := map[string]bool{}
	for _, f := range snapshot.Functions() {
		for _, source := range StreamsOf(f) {
			live[streamKey(f.App, f.Name, source.ID())] = true
		}
	}
	for item, err := range op.All(ctx, store, op.System, op.Query{Prefix: StreamPrefix}) {
		if err != nil {
			return fmt.Errorf("list streams: %w", err)
		}
		parts := strings.SplitAfter(item.Key, "/")
		if len(parts) != 6 || live[strings.Join(parts[:4], "")] {
			continue
		}
		var r shardRecord
		if json.Unmarshal(item.Value, &r) == nil && r.Generation >= snapshot.Generation() {
			continue
		}
		_, err := store.Commit(ctx, op.Txn{Namespace: op.System, Checks: []op.Check{{Key: item.Key, Revision: item.Revision}},
			Ops: []op.Op{{Kind: op.Delete, Key: item.Key}}})
		if err != nil && !errors.Is(err, op.ErrConflict) { // its owner has not stopped yet
			return fmt.Errorf("delete %s: %w", item.Key, err)
		}
	}
	return nil
}

// StreamsOf are the streams of a function's live versions. Where several have one, the heaviest says how it is read.
func StreamsOf(f *registry.Function) (all []registry.StreamSource) {
	seen := map[string]bool{}
	for _, v := range f.Live() {
		for _, t := range v.Settings.Triggers {
			if t.Stream != nil && !seen[t.Stream.ID()] {
				seen[t.Stream.ID()] = true
				all = append(all, *t.Stream)
			}
		}
	}
	return all
}

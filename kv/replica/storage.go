package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

const logDir = "log" // in Config.Dir: raft-wal's files

// storage is what raft keeps: the log, its term and vote, the note of the newest snapshot.
type storage struct {
	logs      raft.LogStore
	stable    raft.StableStore
	snapshots *snapshots
	close     func() error
}

// openStorage opens what is in cfg.Dir and sees that it fits a machine that stands at applied.
func openStorage(cfg Config, applied uint64, fail func(error)) (*storage, error) {
	if cfg.InMemory {
		m := raft.NewInmemStore()
		return &storage{logs: m, stable: m, snapshots: &snapshots{}, close: func() error { return nil }}, nil
	}
	dir := filepath.Join(cfg.Dir, logDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	if err := errors.Join(syncDir(cfg.Dir), syncDir(filepath.Dir(cfg.Dir))); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	notes, err := openSnapshots(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	w, err := wal.Open(dir, wal.WithSegmentSize(cfg.limits.segmentBytes), wal.WithLogger(raftLog(cfg.Log)),
		wal.WithMetaStore(&segments{limit: cfg.limits.segmentBytes}))
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	logs, err := raft.NewLogCache(cachedEntries, guard{w, fail})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), w.Close())
	}
	s := &storage{logs: logs, stable: w, snapshots: notes, close: w.Close}
	if err = s.fit(applied); err == nil {
		err = s.identify(cfg)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return s, nil
}

// bounds answers the first and the last index in the log, 0 when it is empty.
func (s *storage) bounds() (first, last uint64, err error) {
	if first, err = s.logs.FirstIndex(); err == nil {
		last, err = s.logs.LastIndex()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read log: %w", err)
	}
	return first, last, nil
}

// fit sees that snapshot, log and machine have no hole between them. A log that a snapshot from another node has
// replaced is removed, in case raft did not come to do it.
func (s *storage) fit(applied uint64) error {
	first, last, err := s.bounds()
	if err != nil {
		return err
	}
	n := s.snapshots.newest
	if n == nil {
		n = &noted{}
	}
	if applied < n.Applied {
		return fmt.Errorf("%w: the state stands at %d, the log begins after %d", ErrBehind, applied, n.Applied)
	}
	if last == 0 {
		return nil
	}
	if first > n.Index+1 {
		return fmt.Errorf("%w: the log begins with %d, the snapshot before it ends with %d", ErrBehind, first, n.Index)
	}
	replaced := last < n.Index
	if !replaced && first <= n.Index {
		var l raft.Log
		if err := s.logs.GetLog(n.Index, &l); err != nil {
			return fmt.Errorf("read log entry %d: %w", n.Index, err)
		}
		replaced = l.Term != n.Term
	}
	if replaced {
		if err := s.logs.DeleteRange(first, last); err != nil {
			return fmt.Errorf("remove replaced log: %w", err)
		}
	}
	return nil
}

// holds sees that the log of a new leader has, or has had, the entry that its machine stands at. When the disk has
// lost that, the leader gives its index to an entry of its own term, which the machine would never see.
func (s *storage) holds(applied, term uint64) error {
	var l raft.Log
	err := s.logs.GetLog(applied, &l)
	if errors.Is(err, raft.ErrLogNotFound) {
		first, err := s.logs.FirstIndex()
		if err == nil && applied >= first {
			err = fmt.Errorf("%w: the state stands at %d, which the log does not reach", ErrBehind, applied)
		}
		return err
	}
	if err == nil && l.Term >= term {
		err = fmt.Errorf("%w: the state stands at %d, which the log has lost", ErrBehind, applied)
	}
	return err
}

// bootstrap writes the group's first configuration when there is nothing yet.
func (s *storage) bootstrap(c *raft.Config, t raft.Transport, servers []Server) error {
	if len(servers) == 0 {
		return nil
	}
	exists, err := raft.HasExistingState(s.logs, s.stable, s.snapshots)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if exists {
		return nil
	}
	if err := raft.BootstrapCluster(c, s.logs, s.stable, s.snapshots, t, configurationOf(servers)); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// guard watches over appends to the log.
type guard struct {
	*wal.WAL
	fail func(error)
}

// StoreLog appends one entry.
func (g guard) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries. When the disk was full as a new file was due, raft-wal takes no entry until it is opened
// again, so that waiting for room would be in vain.
func (g guard) StoreLogs(l []*raft.Log) error {
	err := g.WAL.StoreLogs(l)
	if errors.Is(err, wal.ErrSealed) {
		g.fail(fmt.Errorf("append to log: no new file could be made, restart the node when the disk has room: %w", err))
	}
	return err
}

// compactLog takes a snapshot whenever the log has grown enough.
func (r *Replica) compactLog() {
	for {
		select {
		case <-r.compact:
		case <-r.draining:
			return
		}
		if err := r.raft.Snapshot().Error(); err != nil && r.usable() == nil {
			r.log.Warn("snapshot", "err", err) // tried again when the log has grown as much again
		}
	}
}

// keepTrailing bounds what stays in the log behind a snapshot, which lets so much of it go, by its size too, which raft
// does not.
func (r *Replica) keepTrailing(entries, bytes uint64) {
	average := max(1, bytes/max(1, entries))
	c := r.raft.ReloadableConfig()
	c.TrailingLogs = min(r.cfg.limits.trailingEntries, trailingBytes/average)
	if err := r.raft.ReloadConfig(c); err != nil {
		r.log.Warn("bound trailing log", "err", err)
	}
}

package replica

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	noteFile  = "snapshot.json"
	spoolName = "spool-" // then random: a machine's data on its way to or from another node
	newName   = "new-"   // then random: a file that will replace another

	spoolPause = 2 * time.Second // after a snapshot that could not be written: raft tries again at once
)

// snapshots is raft's store of snapshots: the note of the newest one, and one that is arriving.
type snapshots struct {
	dir     string // empty: in memory
	entries *entries

	mu       sync.Mutex // guards the rest
	newest   *noted     // nil: there is none
	arriving *sink      // complete, and not yet in the machine
	count    uint64     // names sinks
}

// noted is what is kept of a snapshot. What it covers is in the machine, at index Applied or later.
type noted struct {
	Index              uint64             `json:"index"`
	Term               uint64             `json:"term"`
	Configuration      raft.Configuration `json:"configuration"`
	ConfigurationIndex uint64             `json:"configurationIndex"`
	Applied            uint64             `json:"applied"` // newest of the machine's entries it covers
}

func (n *noted) id() string { return fmt.Sprintf("%d-%d", n.Term, n.Index) }

func (n *noted) meta() *raft.SnapshotMeta {
	return &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, ID: n.id(), Index: n.Index, Term: n.Term,
		Configuration: n.Configuration, ConfigurationIndex: n.ConfigurationIndex}
}

// openSnapshots reads the note in dir and removes what a crash has left there.
func openSnapshots(dir string) (*snapshots, error) {
	s := &snapshots{dir: dir}
	if dir == "" {
		return s, nil
	}
	if err := removeLeft(dir); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, noteFile))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.newest = new(noted)
	if err := json.Unmarshal(text, s.newest); err != nil {
		return nil, fmt.Errorf("read %s: %w", noteFile, err)
	}
	return s, nil
}

// removeLeft removes files that were being written when the process died.
func removeLeft(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), spoolName) || strings.HasPrefix(f.Name(), newName) {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// List answers the newest snapshot.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		return nil, nil
	}
	return []*raft.SnapshotMeta{s.newest.meta()}, nil
}

// note answers that of the newest snapshot; nil: there is none.
func (s *snapshots) note() *noted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// index is the newest snapshot's; 0: there is none.
func (s *snapshots) index() uint64 {
	if n := s.note(); n != nil {
		return n.Index
	}
	return 0
}

// Open answers the stream of a snapshot: one that is arriving, as it came, or the machine's data now under the
// newest note.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	newest, arriving := s.newest, s.arriving
	s.mu.Unlock()
	if arriving != nil && arriving.ID() == id {
		meta := arriving.noted.meta()
		meta.Size = arriving.spool.size
		stream, err := arriving.spool.reader()
		return meta, stream, err
	}
	if newest == nil || newest.id() != id {
		return nil, nil, fmt.Errorf("open snapshot %s: it is gone", id)
	}
	return s.send(newest)
}

// send spools the machine's data, since raft tells the receiver its size first.
func (s *snapshots) send(n *noted) (*raft.SnapshotMeta, io.ReadCloser, error) {
	sp, err := s.newSpool()
	if err != nil {
		return nil, nil, fmt.Errorf("spool snapshot: %w", err)
	}
	if err := s.entries.writeTo(sp, n.Applied); err != nil {
		sp.remove()
		s.entries.replica.rest(spoolPause)
		return nil, nil, err
	}
	stream, err := sp.reader()
	if err != nil {
		sp.remove()
		return nil, nil, fmt.Errorf("spool snapshot: %w", err)
	}
	s.entries.replica.metrics.snapshots.WithLabelValues("sent").Inc()
	meta := n.meta()
	meta.Size = sp.size
	return meta, removing{stream, sp}, nil
}

// Create begins a snapshot: one that raft takes here, or one that arrives from a leader.
func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, configurationIndex uint64,
	_ raft.Transport) (raft.SnapshotSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	return &sink{snapshots: s, name: "arriving-" + strconv.FormatUint(s.count, 10),
		noted: noted{Index: index, Term: term, Configuration: c, ConfigurationIndex: configurationIndex}}, nil
}

// adopt makes the snapshot that has arrived the newest one, after the machine has it.
func (s *snapshots) adopt(applied uint64) error {
	s.mu.Lock()
	k := s.arriving
	s.arriving = nil
	s.mu.Unlock()
	if k == nil {
		return errors.New("no snapshot has arrived")
	}
	k.spool.remove()
	k.noted.Applied = applied
	return s.keep(&k.noted)
}

// keep writes n down and makes it the newest.
func (s *snapshots) keep(n *noted) error {
	if s.dir != "" {
		text, err := json.Marshal(n)
		if err != nil {
			return err
		}
		if err := replaceFile(filepath.Join(s.dir, noteFile), text); err != nil {
			return fmt.Errorf("note snapshot: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = n
	return nil
}

// sink is a snapshot that is being made.
type sink struct {
	snapshots *snapshots
	name      string
	noted     noted
	here      bool   // taken here: no data
	spool     *spool // data that arrives; nil: none yet
	done      bool
}

func (k *sink) ID() string {
	if k.here {
		return k.noted.id()
	}
	return k.name
}

// local says that the snapshot is of this replica's own machine, which has flushed its entries up to applied.
func (k *sink) local(applied uint64) { k.here, k.noted.Applied = true, applied }

func (k *sink) Write(p []byte) (int, error) {
	if k.spool == nil {
		sp, err := k.snapshots.newSpool()
		if err != nil {
			return 0, fmt.Errorf("spool snapshot: %w", err)
		}
		k.spool = sp
	}
	return k.spool.Write(p)
}

func (k *sink) Close() error {
	if k.done {
		return nil
	}
	k.done = true
	if k.here {
		return k.snapshots.keep(&k.noted)
	}
	if k.spool == nil {
		return errors.New("snapshot is empty")
	}
	k.snapshots.mu.Lock()
	defer k.snapshots.mu.Unlock()
	if old := k.snapshots.arriving; old != nil {
		old.spool.remove() // the machine refused it
	}
	k.snapshots.arriving = k
	return nil
}

func (k *sink) Cancel() error {
	if !k.done && k.spool != nil {
		k.spool.remove()
	}
	k.done = true
	return nil
}

// spool holds a stream: in a file, or in memory when there is no directory.
type spool struct {
	admit  func() error // why the disk takes no more now
	file   *os.File
	memory bytes.Buffer
	size   int64
}

func (s *snapshots) newSpool() (*spool, error) {
	if s.dir == "" {
		return &spool{}, nil
	}
	f, err := os.CreateTemp(s.dir, spoolName+"*")
	return &spool{admit: s.entries.replica.admit, file: f}, err
}

// Write leaves the machine, whose state may be larger than what is free, the room that it needs to go on.
func (s *spool) Write(p []byte) (n int, err error) {
	if s.file != nil {
		if err := s.admit(); err != nil {
			return 0, err
		}
		n, err = s.file.Write(p)
	} else {
		n, err = s.memory.Write(p)
	}
	s.size += int64(n)
	return n, err
}

// reader answers what was written, from its beginning.
func (s *spool) reader() (io.ReadCloser, error) {
	if s.file == nil {
		return io.NopCloser(bytes.NewReader(s.memory.Bytes())), nil
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return io.NopCloser(s.file), err
}

func (s *spool) remove() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}

// removing is a stream whose spool goes with it.
type removing struct {
	io.ReadCloser
	spool *spool
}

func (r removing) Close() error {
	r.spool.remove()
	return nil
}

// replaceFile writes a file whole or not at all, and survives a power loss once it has returned.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), newName+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

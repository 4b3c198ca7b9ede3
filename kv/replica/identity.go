package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// SoleID is the id that a node had which was its group alone and was given none, as all were before there were
// clusters. It is the only one that can be changed.
const SoleID = "sole"

const (
	identityFile     = "member.json"
	maxIdentityBytes = 4 << 10
)

// identity says whose log is in a directory. What a member has promised, its vote above all, is in its log: nobody
// else may go on with it.
type identity struct {
	ID string `json:"id"`
}

func parseIdentity(text []byte) (identity, error) {
	if len(text) > maxIdentityBytes {
		return identity{}, fmt.Errorf("it has %d bytes", len(text))
	}
	var i identity
	if err := json.Unmarshal(text, &i); err != nil {
		return identity{}, err
	}
	if i.ID == "" || len(i.ID) > maxIDBytes {
		return identity{}, fmt.Errorf("an id of %d bytes, 1 to %d are allowed", len(i.ID), maxIDBytes)
	}
	return i, nil
}

// readIdentity answers whose log is in dir; the zero value: it does not say, being new or from before ids were kept.
func readIdentity(dir string) (identity, error) {
	text, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, os.ErrNotExist) {
		return identity{}, nil
	}
	if err != nil {
		return identity{}, err
	}
	i, err := parseIdentity(text)
	if err != nil {
		return identity{}, fmt.Errorf("read %s: %w", identityFile, err)
	}
	return i, nil
}

func writeIdentity(dir, id string) error {
	text, err := json.Marshal(identity{id})
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, identityFile), text)
}

// identify sees that the log is that of c.ID. A log of SoleID, when the group has no other member, becomes that of
// c.ID: a group of one may decide that alone, and may have before it was stopped.
func (s *storage) identify(c Config) error {
	known, err := readIdentity(c.Dir)
	if err != nil || known.ID == c.ID {
		return err
	}
	members, err := s.newestConfiguration()
	if err != nil {
		return err
	}
	if err := s.become(c, known.ID, members); err != nil {
		return err
	}
	if err := writeIdentity(c.Dir, c.ID); err != nil {
		return fmt.Errorf("write id: %w", err)
	}
	return nil
}

// become makes a log that says it is known's, or nothing, that of c.ID, or answers why that cannot be.
func (s *storage) become(c Config, known string, members raft.Configuration) error {
	sole := raft.ServerID("")
	if len(members.Servers) == 1 {
		sole = members.Servers[0].ID
	}
	if known == "" && sole != "" {
		known = string(sole)
	}
	switch {
	case known == c.ID || known == SoleID && sole == raft.ServerID(c.ID):
		return nil
	case known == SoleID && sole == SoleID:
		return s.rename(c)
	case known == SoleID && len(members.Servers) == 0:
		return nil // nothing has happened under that id
	case known == "" && !contains(members, SoleID):
		return nil // new, or from before ids were kept
	case known == "":
		known = SoleID
	}
	return fmt.Errorf("the log is that of %q and cannot be opened as %q: only a group of the one member %q is renamed",
		known, c.ID, SoleID)
}

// Recover makes the replica in cfg.Dir, which does not run, the only member of its group, a voter: what the others
// acknowledged and this one never received is lost, and they must never run again. It answers the index of the newest
// entry this one has. ID, Dir and Machine of cfg are needed.
func Recover(cfg Config) (index uint64, err error) {
	cfg = cfg.withDefaults()
	s, err := openStorage(cfg, cfg.Machine.Applied(), func(error) {})
	if err != nil {
		return 0, fmt.Errorf("recover replica: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	members, err := s.newestConfiguration()
	if err == nil && len(members.Servers) == 0 {
		err = errors.New("it was never a member of a group")
	}
	if err == nil {
		err = s.makeSole(cfg)
	}
	if err != nil {
		return 0, fmt.Errorf("recover replica: %w", err)
	}
	_, last, err := s.bounds()
	return last - 1, err
}

// rename makes the log that of c.ID, its only member.
func (s *storage) rename(c Config) error {
	if err := s.makeSole(c); err != nil {
		return fmt.Errorf("rename %q: %w", SoleID, err)
	}
	c.Log.Info("rename member", "from", SoleID, "to", c.ID)
	return nil
}

// makeSole appends an entry to the log after which its only member is c.ID.
func (s *storage) makeSole(c Config) error {
	var l raft.Log
	last, err := s.logs.LastIndex()
	if err == nil && last > 0 {
		err = s.logs.GetLog(last, &l)
	}
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if n := s.snapshots.newest; n != nil {
		last, l.Term = max(last, n.Index), max(l.Term, n.Term)
	}
	term, err := s.stable.GetUint64([]byte(termKey))
	if err != nil {
		return fmt.Errorf("read term: %w", err)
	}
	members := configurationOf([]Server{{ID: c.ID, Address: c.Transport.Addr().String(), Voter: true}})
	entry := raft.Log{Index: last + 1, Term: max(term, l.Term), Type: raft.LogConfiguration,
		Data: raft.EncodeConfiguration(members)}
	return s.logs.StoreLog(&entry)
}

// termKey is raft's, in its stable store.
const termKey = "CurrentTerm"

// newestConfiguration answers the members as the log says, or the snapshot before it.
func (s *storage) newestConfiguration() (c raft.Configuration, err error) {
	first, last, err := s.bounds()
	if err != nil {
		return c, err
	}
	if n := s.snapshots.newest; n != nil {
		c, first = n.Configuration, max(first, n.Index+1)
	}
	for i := first; last > 0 && i <= last; i++ {
		var l raft.Log
		if err := s.logs.GetLog(i, &l); err != nil {
			return c, fmt.Errorf("read log entry %d: %w", i, err)
		}
		if l.Type == raft.LogConfiguration {
			c = raft.DecodeConfiguration(l.Data)
		}
	}
	return c, nil
}

func contains(c raft.Configuration, id string) bool {
	for _, s := range c.Servers {
		if s.ID == raft.ServerID(id) {
			return true
		}
	}
	return false
}

func configurationOf(servers []Server) (c raft.Configuration) {
	for _, s := range servers {
		suffrage := raft.Nonvoter
		if s.Voter {
			suffrage = raft.Voter
		}
		c.Servers = append(c.Servers,
			raft.Server{ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address), Suffrage: suffrage})
	}
	return c
}

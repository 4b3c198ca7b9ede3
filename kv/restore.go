package kv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/kv/store"
	"github.com/sett-run/sett/sdk/abi"
)

// restoreSuffix names the directory that becomes the store, beside it. Nobody else has such a name.
const restoreSuffix = ".restore-new"

// RestoreConfig says what becomes of a backup.
type RestoreConfig struct {
	ID   string       // of the node that will open the store: the only member of its group at first
	Drop []string     // prefixes of keys in op.System that do not come along, such as a cluster's own identity
	Log  *slog.Logger // nil: no log

	free func(dir string) (uint64, error) // of tests
}

// Restore makes a new store in dir of a backup that r yields to its end, for a node that is not running. Keys have the
// values, revisions and lives they had, and apps their quotas; revisions go on upward. What entries did before is
// forgotten, so that a watch of an older revision is op.ErrCompacted. The node of cfg.ID opens dir and leads at once;
// other nodes can be added to its group.
//
// dir must not exist. It is there whole when Restore returns, and after an error it is not. A stream that is cut off or
// damaged is ErrBackup, one of a newer Sett fsm.ErrTooNew, too little free disk abi.NoSpace.
func Restore(ctx context.Context, dir string, r io.Reader, cfg RestoreConfig) (BackupInfo, error) {
	info, err := restore(ctx, filepath.Clean(dir), r, cfg)
	if err != nil {
		return BackupInfo{}, withCode("restore", err)
	}
	return info, nil
}

func restore(ctx context.Context, dir string, r io.Reader, cfg RestoreConfig) (info BackupInfo, err error) {
	if cfg.ID == "" {
		return info, fmt.Errorf("the node's id is missing: %w", op.ErrInvalid)
	}
	if exists(dir) {
		return info, abi.WithCode(abi.Conflict, fmt.Errorf("%s exists already", dir))
	}
	fresh := dir + restoreSuffix
	if err := os.RemoveAll(fresh); err != nil { // of a restore that was stopped
		return info, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(fresh))
		}
	}()
	in := &counted{ctx: ctx, r: r}
	h, err := restoreState(filepath.Join(fresh, stateDir), in, cfg)
	if err != nil {
		return info, err
	}
	first := replica.Server{ID: cfg.ID, Address: cfg.ID, Voter: true}
	if err := replica.Found(filepath.Join(fresh, logDir), first, h.index); err != nil {
		return info, err
	}
	if err := errors.Join(syncDir(fresh), os.Rename(fresh, dir), syncDir(filepath.Dir(dir))); err != nil {
		return info, err
	}
	return BackupInfo{Index: h.index, Time: h.time, Bytes: in.n}, nil
}

// restoreState makes a state directory of a backup.
func restoreState(dir string, r io.Reader, cfg RestoreConfig) (h backupHeader, err error) {
	var b [backupHeaderSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return h, damaged(err)
	}
	if h, err = parseBackupHeader(b[:]); err != nil {
		return h, err
	}
	state, err := store.Open(store.Config{Dir: dir, Log: cfg.Log, Free: cfg.free})
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if err := state.CheckSpace(); err != nil {
		return h, err
	}
	became := fsm.Restoration{Drop: cfg.Drop}
	if err := state.RestoreAs(r, became.Record); err != nil {
		return h, damaged(err)
	}
	if applied := state.Applied(); applied != h.index {
		return h, fmt.Errorf("%w: it is of index %d and holds the state of %d", ErrBackup, h.index, applied)
	}
	return h, nil
}

// damaged is ErrBackup when a stream was not what it should be.
func damaged(err error) error {
	if errors.Is(err, store.ErrSnapshot) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	return err
}

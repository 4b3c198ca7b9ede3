package node

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/sdk/abi"
)

// A backup is a ZIP archive, whose table of contents at the end tells a whole one from one that was cut off.
const (
	backupFormat  = 1
	backupAbout   = "backup.json" // backupInfo
	backupState   = "state"       // what kv.Store.Backup writes
	backupModules = "modules/"    // then <digest>.wasm
	maxAboutBytes = 64 << 10
)

// backupInfo says what a backup is.
type backupInfo struct {
	Format  int       `json:"format"`
	Cluster string    `json:"cluster"`
	Node    string    `json:"node"` // that made it
	Version string    `json:"version"`
	Time    time.Time `json:"time"`
}

// Backup writes the store's state at one moment, and the modules of all functions, to w. A module that is not on this
// node is fetched first.
func (n *Node) Backup(ctx context.Context, w io.Writer) error {
	before := n.registry.Snapshot()
	archive := zip.NewWriter(w)
	about, err := archive.Create(backupAbout)
	if err == nil {
		err = json.NewEncoder(about).Encode(backupInfo{backupFormat, n.den.identity.Cluster(), n.ID(), n.config.Version, time.Now().UTC()})
	}
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	state, err := archive.Create(backupState)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if _, err := n.store.Backup(ctx, state); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	n.refresh(ctx) // what was deployed until the state was read
	modules := before.Modules()
	for digest := range n.registry.Snapshot().Modules() {
		modules[digest] = true
	}
	for digest := range modules {
		if err := n.backUpModule(ctx, archive, digest); err != nil {
			return fmt.Errorf("back up: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

func (n *Node) backUpModule(ctx context.Context, archive *zip.Writer, digest string) error {
	module, err := n.runtime.Modules().Open(digest)
	if abi.CodeOf(err) == abi.NotFound {
		err = n.den.client.Fetch(ctx, peer.FetchRequest{Digest: digest, Holders: n.holders(digest)}, n.runtime.Modules())
		if err == nil {
			module, err = n.runtime.Modules().Open(digest)
		}
	}
	if err != nil {
		return err
	}
	defer module.Close()
	out, err := archive.Create(backupModules + digest + ".wasm")
	if err == nil {
		_, err = io.Copy(out, module)
	}
	return err
}

// RestoreConfig says where a backup goes.
type RestoreConfig struct {
	Data string // data directory that does not exist yet, or is empty
}

// Restored says what was restored.
type Restored struct {
	Time    time.Time // when the backup was made
	Index   uint64    // of the newest entry in it
	Modules int
}

// Restore makes a data directory of the backup in a file, for a node that has not run yet: started, it is the first of
// a new cluster, which has the functions, versions and state of the old one, and none of its nodes, tokens to join with,
// or keys between nodes. After an error the directory is as it was.
func Restore(ctx context.Context, file string, c RestoreConfig) (r Restored, err error) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return r, abi.WithCode(abi.InvalidInput, fmt.Errorf("restore: %s is not a whole backup: %w", file, err))
	}
	defer archive.Close()
	if r.Time, err = checkBackup(&archive.Reader); err != nil {
		return r, abi.WithCode(abi.InvalidInput, fmt.Errorf("restore %s: %w", file, err))
	}
	if err := emptyDir(c.Data); err != nil {
		return r, err
	}
	fresh := c.Data + ".restoring"
	if err := os.RemoveAll(fresh); err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	if err = r.into(ctx, &archive.Reader, fresh); err == nil {
		err = replaceDir(fresh, c.Data)
	}
	if err != nil {
		return Restored{}, errors.Join(fmt.Errorf("restore: %w", err), os.RemoveAll(fresh))
	}
	return r, nil
}

func checkBackup(archive *zip.Reader) (made time.Time, err error) {
	f, err := archive.Open(backupAbout)
	if err != nil {
		return made, errors.New("not a backup of sett")
	}
	defer f.Close()
	var about backupInfo
	if err := json.NewDecoder(io.LimitReader(f, maxAboutBytes)).Decode(&about); err != nil {
		return made, fmt.Errorf("read %s: %w", backupAbout, err)
	}
	if about.Format != backupFormat {
		return made, fmt.Errorf("its format is %d, this sett reads format %d", about.Format, backupFormat)
	}
	return about.Time, nil
}

// emptyDir refuses a directory that something is in.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return abi.WithCode(abi.Conflict, fmt.Errorf("restore: %s is not empty: choose another --data", dir))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// replaceDir puts a directory in an empty one's place.
func replaceDir(fresh, dir string) error {
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, dir)
}

// into restores to a data directory.
func (r *Restored) into(ctx context.Context, archive *zip.Reader, data string) (err error) {
	dir, err := openDataDir(data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	state, err := archive.Open(backupState)
	if err != nil {
		return abi.WithCode(abi.InvalidInput, err)
	}
	defer state.Close()
	info, err := kv.Restore(ctx, dir.join(storeDir), state, kv.RestoreConfig{ID: dir.ID, Drop: []string{clusterPrefix}})
	if err != nil {
		return err
	}
	r.Index = info.Index
	engine, err := runtime.New(ctx, runtime.Config{Dir: dir.join(runtimeDir)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close(ctx)) }()
	for _, f := range archive.File {
		name, isModule := strings.CutPrefix(f.Name, backupModules)
		if !isModule {
			continue
		}
		if err := putModule(ctx, engine.Modules(), f, strings.TrimSuffix(name, filepath.Ext(name))); err != nil {
			return err
		}
		r.Modules++
	}
	return nil
}

func putModule(ctx context.Context, modules *runtime.Modules, f *zip.File, digest string) error {
	content, err := f.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = modules.Put(ctx, digest, content)
	return err
}

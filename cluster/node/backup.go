package node

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// A backup is a ZIP archive, whose table of contents at the end tells a whole one from one that was cut off.
const (
	backupFormat  = 1
	backupAbout   = "backup.json" // backupInfo
	backupState   = "state"       // what kv.Store.Backup writes
	backupModules = "modules/"    // then <digest>.wasm
	backupChunks  = "chunks/"     // then <digest>
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

// Backup writes the store's state at one moment, the modules of all functions and the chunks of all objects to w. A module
// or chunk that is not on this node is fetched first. Of a chunk that no node has the log tells, and the backup has the
// rest; that a node does not say whether it has one is an error.
func (n *Node) Backup(ctx context.Context, w io.Writer) error {
	archive := zip.NewWriter(w)
	err := n.backUp(ctx, archive)
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

func (n *Node) backUp(ctx context.Context, archive *zip.Writer) error {
	about, err := archive.Create(backupAbout)
	if err == nil {
		err = json.NewEncoder(about).Encode(backupInfo{backupFormat, n.den.identity.Cluster(), n.ID(), n.config.Version, time.Now().UTC()})
	}
	if err != nil {
		return err
	}
	defer n.objects.Hold()()
	state, err := archive.Create(backupState)
	if err != nil {
		return err
	}
	var modules, chunks map[string]int64 // sizes, by digest
	// What is put, or goes, meanwhile does not count.
	_, err = n.store.BackupAnd(ctx, state, func(then kv.Moment) error {
		functions, err := registry.Open(ctx, then)
		if err == nil {
			modules = functions.Snapshot().Modules()
			chunks, err = blob.Named(ctx, then)
		}
		return err
	})
	if err != nil {
		return err
	}
	for digest, size := range modules {
		if err := n.backUpModule(ctx, archive, peer.Module{Digest: digest, SizeBytes: size}); err != nil {
			return err
		}
	}
	for digest, size := range chunks {
		if err := n.backUpChunk(ctx, archive, blob.Chunk{Digest: digest, SizeBytes: size}); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) backUpChunk(ctx context.Context, archive *zip.Writer, c blob.Chunk) error {
	chunk, err := n.objects.OpenChunk(ctx, c)
	if errors.Is(err, peer.ErrNoHolder) { // else one that lives may have it, and cannot be asked now
		n.log.Error("back up chunk", "chunk", c.Digest, "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer chunk.Close()
	out, err := archive.CreateHeader(&zip.FileHeader{Name: backupChunks + c.Digest, Method: zip.Store}) // most are compressed already
	if err == nil {
		_, err = io.Copy(out, chunk)
	}
	return err
}

func (n *Node) backUpModule(ctx context.Context, archive *zip.Writer, m peer.Module) error {
	module, err := n.runtime.Modules().Open(m.Digest)
	if abi.CodeOf(err) == abi.NotFound {
		err = n.den.client.Fetch(ctx, peer.FetchRequest{Digest: m.Digest, SizeBytes: m.SizeBytes, Holders: n.holders(m.Digest)}, n.runtime.Modules())
		if err == nil {
			module, err = n.runtime.Modules().Open(m.Digest)
		}
	}
	if err != nil {
		return err
	}
	defer module.Close()
	out, err := archive.Create(backupModules + m.Digest + ".wasm")
	if err == nil {
		_, err = io.Copy(out, module)
	}
	return err
}

// Restored says what was restored.
type Restored struct {
	Time    time.Time // when the backup was made
	Index   uint64    // of the newest entry in it
	Modules int
	Chunks  int // of objects
}

// Restore makes the data directory, which does not exist yet or is empty, of the backup in a file, for a node that has not
// run yet: started, it is the first of a new cluster, which has the functions, versions and state of the old one, and none of its nodes, tokens to join with,
// or keys between nodes. After an error the directory is as it was.
func Restore(ctx context.Context, file, data string) (r Restored, err error) {
	archive, err := zip.OpenReader(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, abi.WithCode(abi.NotFound, err)
	}
	if err != nil {
		return r, abi.WithCode(abi.InvalidInput, fmt.Errorf("not a whole backup: %w", err))
	}
	defer archive.Close()
	if r.Time, err = checkBackup(&archive.Reader); err != nil {
		return r, abi.WithCode(abi.InvalidInput, err)
	}
	if err := emptyDir(data); err != nil {
		return r, err
	}
	fresh := data + ".restoring"
	if err := os.RemoveAll(fresh); err != nil {
		return r, err
	}
	if err = r.into(ctx, &archive.Reader, fresh); err == nil {
		err = replaceDir(fresh, data)
	}
	if err != nil {
		return Restored{}, errors.Join(err, os.RemoveAll(fresh))
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
		return abi.WithCode(abi.Conflict, fmt.Errorf("%s is not empty: choose another --data", dir))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
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
	chunks, err := blob.OpenChunks(dir.join(objectsDir))
	if err != nil {
		return err
	}
	for _, f := range archive.File {
		if name, is := strings.CutPrefix(f.Name, backupModules); is {
			r.Modules++
			err = put(ctx, engine.Modules(), f, strings.TrimSuffix(name, filepath.Ext(name)))
		} else if name, is := strings.CutPrefix(f.Name, backupChunks); is {
			r.Chunks++
			err = put(ctx, chunks, f, name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

// put stores a file of a backup, which must have the digest.
func put(ctx context.Context, into blob.Sink, f *zip.File, digest string) error {
	content, err := f.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = into.Put(ctx, digest, content)
	return err
}

package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// ArchivePrefix is where, in namespace op.System, archives of buses are: then app/name.
const ArchivePrefix = "archive/"

func archiveKey(app, name string) string { return ArchivePrefix + app + "/" + name }

// PutArchive keeps an archive's settings, in place of one of its name.
func PutArchive(ctx context.Context, to Store, app string, a registry.Archive) error {
	if err := a.Validate(); err != nil {
		return err
	}
	if _, err := NewArchiver("", a.Pattern); err != nil {
		return err
	}
	others, err := ListArchives(ctx, to, app)
	if err != nil {
		return err
	}
	known := false
	for _, o := range others {
		known = known || o.Name == a.Name
	}
	if len(others) >= registry.MaxArchives && !known {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("app %s has %d archives, no more are allowed", app, len(others)))
	}
	write, err := setOp(archiveKey(app, a.Name), a)
	if err != nil {
		return err
	}
	_, err = to.Commit(ctx, op.Txn{Namespace: op.System, Ops: []op.Op{write}})
	return coded("put archive", err)
}

// DeleteArchive forgets an archive. The error for one that is not there is coded abi.NotFound.
func DeleteArchive(ctx context.Context, from Store, app, name string) error {
	key := archiveKey(app, name)
	item, err := from.Get(ctx, op.System, key, op.Read{Consistency: op.Strong})
	if err == nil {
		t := op.Txn{Namespace: op.System, Checks: []op.Check{{Key: key, Revision: item.Revision}}, Ops: []op.Op{{Kind: op.Delete, Key: key}}}
		_, err = from.Commit(ctx, t)
	}
	if errors.Is(err, op.ErrNotFound) {
		return NoArchive(app, name)
	}
	return coded("remove archive", err)
}

// NoArchive is the error for an archive that is not there, coded abi.NotFound.
func NoArchive(app, name string) error {
	return abi.WithCode(abi.NotFound, fmt.Errorf("archive %.80q in app %.80q: no such archive", name, app))
}

// ListArchives answers an app's archives by name, as this node knows them.
func ListArchives(ctx context.Context, in Store, app string) (all []registry.Archive, err error) {
	for q := (op.Query{Prefix: ArchivePrefix + app + "/", Read: op.Read{Consistency: op.Local}}); ; {
		page, err := in.List(ctx, op.System, q)
		if err != nil {
			return nil, coded("list archives", err)
		}
		for _, i := range page.Items {
			var a registry.Archive
			if err := json.Unmarshal(i.Value, &a); err != nil {
				return nil, fmt.Errorf("read record %s: %w", i.Key, err)
			}
			all = append(all, a)
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return all, nil
		}
	}
}

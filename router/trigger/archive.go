package trigger

import (
	"context"
	"fmt"
	"slices"

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
	known := slices.ContainsFunc(others, func(o registry.Archive) bool { return o.Name == a.Name })
	if len(others) >= registry.MaxArchives && !known {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("app %s has %d archives, no more are allowed", app, len(others)))
	}
	return put(ctx, to, "put archive", archiveKey(app, a.Name), a)
}

// DeleteArchive forgets an archive. The error for one that is not there is coded abi.NotFound.
func DeleteArchive(ctx context.Context, from Store, app, name string) error {
	return forget(ctx, from, "remove archive", archiveKey(app, name), NoArchive(app, name))
}

// NoArchive is the error for an archive that is not there, coded abi.NotFound.
func NoArchive(app, name string) error {
	return abi.WithCode(abi.NotFound, fmt.Errorf("archive %.80q in app %.80q: no such archive", name, app))
}

// ListArchives answers an app's archives by name, as this node knows them.
func ListArchives(ctx context.Context, in Store, app string) ([]registry.Archive, error) {
	return listOf[registry.Archive](ctx, in, "archives", ArchivePrefix+app+"/", op.Local)
}

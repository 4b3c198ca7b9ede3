package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/sdk/abi"
)

// recoveredFile, in clusterDir, says that all other members have to be removed: written before the store is changed,
// gone when that is done.
const recoveredFile = "recovered"

// Recover makes the node in a data directory, which does not run, the only one of its cluster: for when the majority of
// the voters is gone for good and nothing can be written any more. It answers the index of the newest entry the node has.
// What others acknowledged and it never received is lost. The others are removed when it starts, and must never run
// again with the data they have.
func Recover(ctx context.Context, data string, log *slog.Logger) (index uint64, err error) {
	if _, err := os.Stat(filepath.Join(data, identityFile)); err != nil {
		return 0, abi.WithCode(abi.NotFound, fmt.Errorf("%s is not the data directory of a node: %w", data, cause(err)))
	}
	dir, err := openDataDir(data)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	if err := writeFile(dir.join(filepath.Join(clusterDir, recoveredFile)), nil); err != nil {
		return 0, fmt.Errorf("mark data directory: %w", err)
	}
	return kv.Recover(ctx, dir.join(storeDir), dir.ID, log)
}

// finishRecovery removes all other members after Recover. The node is its group alone and has caught up.
func (n *Node) finishRecovery(ctx context.Context) error {
	name := n.dir.join(filepath.Join(clusterDir, recoveredFile))
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if !n.alone() {
		return errors.New("recovery was cut off: run sett cluster recover again")
	}
	if err := n.refreshMembers(ctx); err != nil {
		return fmt.Errorf("finish recovery: %w", err)
	}
	for id, m := range *n.den.members.Load() {
		if id == n.ID() || !m.Removed.IsZero() {
			continue
		}
		n.log.Warn("remove member after recovery", "node", id, "name", m.Name)
		if err := n.den.records.RemoveMember(ctx, id); err != nil {
			return fmt.Errorf("finish recovery: %w", err)
		}
	}
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("finish recovery: %w", err)
	}
	return nil
}

package trigger

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
)

// batchID is the invocation id of a batch: the same whenever the same messages come together again.
func batchID(source string, batch []op.Message) string {
	ids, oldest := make([]string, len(batch)), batch[0].Sent
	for i, m := range batch {
		ids[i] = m.ID
		if m.Sent.Before(oldest) {
			oldest = m.Sent
		}
	}
	slices.Sort(ids)
	h := sha256.New()
	for _, s := range append(ids, source) {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	sum := h.Sum(nil)
	return router.InvocationID(oldest, binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:]))
}

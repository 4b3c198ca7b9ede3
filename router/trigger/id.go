package trigger

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// newID answers a new invocation id: a ULID, as package router makes them. Source: https://github.com/ulid/spec.
func newID(now time.Time) string { return ulid(now, rand.Uint64(), rand.Uint64()) }

// ulid writes 48 bits of milliseconds and 80 of the others in base32.
func ulid(t time.Time, a, b uint64) string {
	const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var id [26]byte
	ms := uint64(t.UnixMilli())
	for i := range 10 {
		id[i] = crockford[ms>>(45-5*i)&31]
	}
	for i := range 8 {
		id[10+i] = crockford[a>>(5*i)&31]
		id[18+i] = crockford[b>>(5*i)&31]
	}
	return string(id[:])
}

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
	return ulid(oldest, binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:]))
}

package peer

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"
)

// nearest is how many of the nearest holders share the load of many nodes that fetch at once. Higher spreads it wider,
// and farther.
const nearest = 3

// spread answers the holders in the order in which a node asks for a module: the nearest few as drawn by rendezvous
// hashing, the others behind them. The node itself is left out, and each holder is there once.
func spread(self, digest string, holders []Node) []Node {
	seen := map[string]bool{self: true}
	var order []Node
	for _, n := range holders {
		if !seen[n.ID] {
			seen[n.ID] = true
			order = append(order, n)
		}
	}
	few := order[:min(len(order), nearest)]
	slices.SortStableFunc(few, func(a, b Node) int {
		return cmp.Compare(score(self, digest, b.ID), score(self, digest, a.ID))
	})
	return order
}

func score(self, digest, holder string) uint64 {
	sum := sha256.Sum256([]byte(self + "\x00" + digest + "\x00" + holder))
	return binary.BigEndian.Uint64(sum[:])
}

// jittered answers d or up to a half less, so that nodes that failed together do not come again together.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/2) }

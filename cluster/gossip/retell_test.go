package gossip

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// TestNewsOfOneLength has all members tell news of one length within a second, again and again; none may be lost.
func TestNewsOfOneLength(t *testing.T) {
	bubble(t, func(_ *testing.T, d *den) {
		random := rand.New(rand.NewPCG(1, 1))
		ids := d.grow(3)
		for round := range 50 {
			name := strconv.Itoa(100 + round)
			for _, id := range ids {
				time.Sleep(time.Duration(random.Int64N(int64(300 * time.Millisecond))))
				d.must(d.members[id].SetAbout(About{Name: name}))
			}
			d.within(4*time.Second, "news "+name, func() bool {
				for _, at := range ids {
					for _, of := range ids {
						if d.member(at, of).About.Name != name {
							return false
						}
					}
				}
				return true
			})
		}
	})
}

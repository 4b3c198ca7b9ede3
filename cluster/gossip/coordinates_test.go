package gossip

import (
	"math"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func newTestCoordinates(t testing.TB) *coordinates {
	t.Helper()
	c, err := newCoordinates(newDecoder())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCoordinates(t *testing.T) {
	t.Parallel()
	a, b := newTestCoordinates(t), newTestCoordinates(t)
	for range 200 {
		for _, pair := range [][2]*coordinates{{a, b}, {b, a}} {
			if err := pair[0].update("other", 20*time.Millisecond, pair[1].encode()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := a.distance("other"); d < 18*time.Millisecond || d > 22*time.Millisecond {
		t.Errorf("distance = %v, want about 20ms", d)
	}
	for _, bad := range []place{{}, {Vec: make([]float64, 7)}, {Vec: make([]float64, 8), Height: -1}, {Vec: make([]float64, 8), Error: math.NaN()},
		{Vec: append(make([]float64, 7), 11)}, {Vec: make([]float64, 8), Adjustment: math.Inf(-1)}} {
		payload, err := cbor.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.update("other", time.Millisecond, payload); err == nil {
			t.Errorf("update with %+v = nil", bad)
		}
	}
	a.forget("other")
	if d := a.distance("other"); d != 0 {
		t.Errorf("distance to a forgotten one = %v", d)
	}
}

func FuzzCoordinate(f *testing.F) {
	f.Add(newTestCoordinates(f).encode(), int64(time.Millisecond))
	f.Fuzz(func(t *testing.T, payload []byte, rtt int64) {
		c := newTestCoordinates(t)
		for range 3 {
			c.update("other", time.Duration(rtt), payload)
			if d := c.distance("other"); d < 0 || d > maxDistance {
				t.Errorf("distance = %v after %x, %d", d, payload, rtt)
			}
		}
	})
}

package gossip

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/serf/coordinate"
)

// maxDistance is the longest round trip that is told; coordinates farther out are not believed.
const maxDistance = 10 * time.Second

// coordinates estimates round trips.
// Source: Dabek et al., "Vivaldi: A Decentralized Network Coordinate System", 2004; as in serf.
type coordinates struct {
	client *coordinate.Client
	mode   cbor.DecMode

	mu     sync.Mutex // guards others
	others map[string]*coordinate.Coordinate
}

// place is a coordinate on the wire, in seconds.
type place struct {
	Vec        []float64 `cbor:"1,keyasint"`
	Error      float64   `cbor:"2,keyasint"`
	Adjustment float64   `cbor:"3,keyasint"`
	Height     float64   `cbor:"4,keyasint"`
}

func newCoordinates(d decoder) (*coordinates, error) {
	client, err := coordinate.NewClient(coordinate.DefaultConfig())
	if err != nil {
		return nil, err
	}
	return &coordinates{client: client, mode: d.mode, others: map[string]*coordinate.Coordinate{}}, nil
}

func (c *coordinates) encode() []byte {
	here := c.client.GetCoordinate()
	data, err := cbor.Marshal(place{here.Vec, here.Error, here.Adjustment, here.Height})
	if err != nil {
		return nil // numbers always encode
	}
	return data
}

func (c *coordinates) decode(data []byte) (*coordinate.Coordinate, error) {
	var p place
	if err := c.mode.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("decode coordinate: %w", err)
	}
	for _, v := range append([]float64{p.Error, p.Adjustment, p.Height}, p.Vec...) {
		if !(math.Abs(v) <= maxDistance.Seconds()) || p.Error < 0 || p.Height < 0 { // also when it is no number
			return nil, errors.New("decode coordinate: out of range")
		}
	}
	return &coordinate.Coordinate{Vec: p.Vec, Error: p.Error, Adjustment: p.Adjustment, Height: p.Height}, nil
}

func (c *coordinates) update(id string, rtt time.Duration, payload []byte) error {
	other, err := c.decode(payload)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.client.Update(id, other, rtt); err != nil {
		return err
	}
	c.others[id] = other
	return nil
}

// distance answers 0 when it is unknown.
func (c *coordinates) distance(id string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.others[id]; other != nil {
		return min(max(c.client.DistanceTo(other), 0), maxDistance)
	}
	return 0
}

func (c *coordinates) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.others, id)
	c.client.ForgetNode(id)
}

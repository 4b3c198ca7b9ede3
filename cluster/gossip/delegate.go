package gossip

import (
	"errors"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/coordinate"
)

// delegate is what memberlist calls, for the most part under its lock: nothing here calls memberlist.
type delegate struct{ *Gossip }

var (
	_ memberlist.Delegate      = delegate{}
	_ memberlist.EventDelegate = delegate{}
	_ memberlist.AliveDelegate = delegate{}
	_ memberlist.PingDelegate  = delegate{}
)

func (d delegate) sighting(n *memberlist.Node) (sighting, error) {
	id, boot, err := splitName(n.Name)
	if err != nil {
		return sighting{}, err
	}
	t, err := d.decoder.told(n.Meta)
	return sighting{id: id, boot: boot, addr: n.Address(), told: t}, err
}

// NotifyAlive refuses nodes that are not to be believed.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	s, err := d.sighting(n)
	if err == nil {
		err = d.table.admit(s)
	}
	if errors.Is(err, errTwin) {
		d.log.twin(s)
	}
	return err
}

func (d delegate) NotifyJoin(n *memberlist.Node)   { d.alive(n) }
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.alive(n) }

func (d delegate) alive(n *memberlist.Node) {
	if s, err := d.sighting(n); err == nil && d.table.alive(s) {
		d.noteNews()
	}
}

func (d delegate) NotifyLeave(n *memberlist.Node) {
	s, err := d.sighting(n)
	if err != nil {
		return
	}
	if d.table.gone(s) {
		d.coordinates.forget(s.id)
		d.noteNews()
	}
}

// NodeMeta answers this node's About.
func (d delegate) NodeMeta(int) []byte { return *d.meta.Load() }

func (d delegate) NotifyMsg([]byte)                {}
func (d delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d delegate) LocalState(bool) []byte          { return nil }
func (d delegate) MergeRemoteState([]byte, bool)   {}

// AckPayload answers this node's coordinate.
func (d delegate) AckPayload() []byte { return d.coordinates.encode() }

// NotifyPingComplete takes a round trip and the other's coordinate into account.
func (d delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, payload []byte) {
	id, _, err := splitName(n.Name)
	if err != nil || d.coordinates.update(id, rtt, payload) != nil {
		return
	}
	d.table.refresh()
}

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
		return nil, err
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
		return c.client.DistanceTo(other)
	}
	return 0
}

func (c *coordinates) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.others, id)
	c.client.ForgetNode(id)
}

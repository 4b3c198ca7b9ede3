package gossip

import (
	"errors"
	"time"

	"github.com/hashicorp/memberlist"
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

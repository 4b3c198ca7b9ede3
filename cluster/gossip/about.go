package gossip

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/memberlist"

	"github.com/sett-run/sett/sdk/abi"
)

// maxAboutBytes is the most a member's encoded About takes; memberlist's limit, so that it fits in a packet.
const maxAboutBytes = memberlist.MetaMaxSize

// About is what a node tells the others of itself. Encoded it takes at most 512 bytes.
type About struct {
	Name    string `cbor:"1,keyasint,omitempty" json:"name,omitempty"`
	Region  string `cbor:"2,keyasint,omitempty" json:"region,omitempty"`
	Version string `cbor:"3,keyasint,omitempty" json:"version,omitempty"` // the binary's
	Level   uint8  `cbor:"4,keyasint,omitempty" json:"level,omitempty"`   // feature level
	Port    string `cbor:"5,keyasint,omitempty" json:"port,omitempty"`    // HOST:PORT of the TLS port
	HTTP    string `cbor:"6,keyasint,omitempty" json:"http,omitempty"`    // HOST:PORT of the data plane
	Admin   string `cbor:"7,keyasint,omitempty" json:"admin,omitempty"`   // HOST:PORT of the admin plane
	Engine  string `cbor:"8,keyasint,omitempty" json:"engine,omitempty"`  // digest of engine and CPU features, short
	Ready   bool   `cbor:"10,keyasint,omitempty" json:"ready,omitempty"`  // it has caught up with the store's group
	Load    Load   `cbor:"9,keyasint,omitzero" json:"load,omitzero"`
}

// Load is how busy a node is. It should be told coarsely: each change is sent to all members.
type Load struct {
	Running  uint32 `cbor:"1,keyasint,omitempty" json:"running,omitempty"`  // invocations
	Capacity uint32 `cbor:"2,keyasint,omitempty" json:"capacity,omitempty"` // invocations at most; 0 unknown
}

// told is a member's metadata on the wire.
type told struct {
	About About `cbor:"1,keyasint"`
	Left  bool  `cbor:"2,keyasint,omitempty"` // it is about to leave

	// Pad has a random length. Memberlist's queue may drop a message in favour of another of the same length
	// (hashicorp/memberlist pull requests 263, 322 and 324), and those of similar nodes would all have the same.
	Pad string `cbor:"3,keyasint,omitempty"`
}

// maxPadBytes makes one of so many messages be of another's length. More makes packets larger.
const maxPadBytes = 63

func (t told) encode() ([]byte, error) {
	data, err := cbor.Marshal(t)
	if room := maxAboutBytes - len(data) - 3; err == nil && room > 0 { // 3: the pad's key and length
		t.Pad = strings.Repeat(" ", rand.IntN(min(room, maxPadBytes)+1))
		data, err = cbor.Marshal(t)
	}
	if err != nil {
		return nil, fmt.Errorf("encode about: %w", err)
	}
	if len(data) > maxAboutBytes {
		return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("encode about: %d bytes, at most %d: shorten name, region, version or addresses",
			len(data), maxAboutBytes))
	}
	return data, nil
}

// decoder reads what other members send. Keys it does not know are of newer versions.
type decoder struct{ mode cbor.DecMode }

func newDecoder() decoder {
	mode, err := cbor.DecOptions{MaxNestedLevels: 4, MaxArrayElements: 16, MaxMapPairs: 64}.DecMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return decoder{mode}
}

func (d decoder) told(data []byte) (told, error) {
	if len(data) > maxAboutBytes {
		return told{}, fmt.Errorf("decode about: %d bytes, at most %d", len(data), maxAboutBytes)
	}
	var t told
	if err := d.mode.Unmarshal(data, &t); err != nil {
		return told{}, fmt.Errorf("decode about: %w", err)
	}
	t.Pad = ""
	return t, nil
}

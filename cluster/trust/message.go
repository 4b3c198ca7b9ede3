package trust

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of the messages of a join.
const (
	maxJoinRequestBytes = 16 << 10
	maxJoinReplyBytes   = 128 << 10
	maxVersionBytes     = 64
	maxKeys             = 8       // gossip keys in an answer
	maxKeyBytes         = 32      // AES-256
	MaxPeers            = 64      // in an answer; an Admission leaves further ones out
	maxMessageBytes     = 1 << 10 // of an error
)

// Role is what a member may become.
type Role string

// Roles.
const (
	Voter  Role = "voter"  // it may vote in the store's group
	Reader Role = "reader" // it only ever holds a copy
)

// Validate accepts the two roles. Its error is coded abi.InvalidInput.
func (r Role) Validate() error {
	if r != Voter && r != Reader {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("role %.40q: it is %s or %s", string(r), Voter, Reader))
	}
	return nil
}

// Request is how a node asks to join. Join fills in Invite and Secret.
type Request struct {
	Invite  string
	Secret  Secret
	ID      string // the node's
	Name    string // a DNS label
	Region  string // a DNS label, or empty
	Version string // the binary's
	Level   uint64 // the feature level the binary knows
	CSR     []byte // Identity.NewRequest's
}

// Answer is what a node needs in order to be one of the cluster.
type Answer struct {
	Certificate []byte   // for Identity.Use
	Roots       []byte   // for Identity.Use
	Keys        [][]byte // the gossip keyring, the current key first
	Peers       []Peer
	Role        Role
}

// String leaves the keys out.
func (a Answer) String() string { return fmt.Sprintf("{%s, %d peers}", a.Role, len(a.Peers)) }

// GoString leaves the keys out.
func (a Answer) GoString() string { return a.String() }

// LogValue leaves the keys out.
func (a Answer) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Peer is where a node of the cluster can be reached.
type Peer struct {
	ID     string `cbor:"1,keyasint"`
	Gossip string `cbor:"2,keyasint"` // HOST:PORT
	Port   string `cbor:"3,keyasint"` // HOST:PORT of its TLS port
}

// joinRequest is a Request on the wire. The numbers never change; unknown ones are passed over.
type joinRequest struct {
	Invite  string `cbor:"1,keyasint"`
	Secret  []byte `cbor:"2,keyasint"`
	ID      string `cbor:"3,keyasint"`
	Name    string `cbor:"4,keyasint"`
	Region  string `cbor:"5,keyasint,omitempty"`
	Version string `cbor:"6,keyasint"`
	Level   uint64 `cbor:"7,keyasint"`
	CSR     []byte `cbor:"8,keyasint"`
}

// joinReply is an Answer or an error on the wire. The numbers never change; unknown ones are passed over.
type joinReply struct {
	Code        abi.Code `cbor:"1,keyasint,omitempty"` // empty: an answer
	Message     string   `cbor:"2,keyasint,omitempty"`
	Certificate []byte   `cbor:"3,keyasint,omitempty"`
	Roots       []byte   `cbor:"4,keyasint,omitempty"`
	Keys        [][]byte `cbor:"5,keyasint,omitempty"`
	Peers       []Peer   `cbor:"6,keyasint,omitempty"`
	Role        Role     `cbor:"7,keyasint,omitempty"`
}

func encodeRequest(r Request) ([]byte, error) {
	return cbor.Marshal(joinRequest{r.Invite, r.Secret[:], r.ID, r.Name, r.Region, r.Version, r.Level, r.CSR})
}

// decodeRequest reads what a stranger has sent. Its errors are coded abi.InvalidInput.
func decodeRequest(b []byte) (Request, error) {
	var w joinRequest
	if err := decode(b, &w); err != nil {
		return Request{}, abi.WithCode(abi.InvalidInput, err)
	}
	r := Request{Invite: w.Invite, ID: w.ID, Name: w.Name, Region: w.Region, Version: w.Version, Level: w.Level, CSR: w.CSR}
	if len(w.Secret) != len(r.Secret) {
		return Request{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("the secret has %d bytes, want %d", len(w.Secret), len(r.Secret)))
	}
	copy(r.Secret[:], w.Secret)
	if err := r.Validate(); err != nil {
		return Request{}, err
	}
	return r, nil
}

// Validate names every fault of the request's form. Its error is coded abi.InvalidInput.
func (r Request) Validate() error {
	var errs []error
	for _, id := range []struct{ kind, value string }{{"invite", r.Invite}, {"node id", r.ID}} {
		if !validID(id.value) {
			errs = append(errs, fmt.Errorf("%s %.40q is not %d hexadecimal digits", id.kind, id.value, idDigits))
		}
	}
	errs = append(errs, registry.CheckName("node", r.Name))
	if r.Region != "" {
		errs = append(errs, registry.CheckName("region", r.Region))
	}
	if len(r.Version) > maxVersionBytes {
		errs = append(errs, fmt.Errorf("the version has %d bytes, at most %d are allowed", len(r.Version), maxVersionBytes))
	}
	if len(r.CSR) == 0 || len(r.CSR) > MaxRequestBytes {
		errs = append(errs, fmt.Errorf("the certificate request has %d bytes, want 1 to %d", len(r.CSR), MaxRequestBytes))
	}
	return abi.WithCode(abi.InvalidInput, errors.Join(errs...))
}

func encodeReply(a Answer, err error) ([]byte, error) {
	if err != nil {
		code, message := abi.CodeOf(err), err.Error()
		if code == abi.Internal {
			message = "the node could not answer; its log says why"
		}
		message = strings.ToValidUTF8(message[:min(len(message), maxMessageBytes)], "")
		return cbor.Marshal(joinReply{Code: code, Message: message})
	}
	return cbor.Marshal(joinReply{Certificate: a.Certificate, Roots: a.Roots, Keys: a.Keys, Peers: a.Peers, Role: a.Role})
}

// decodeReply reads what a node has answered; an error that it sent keeps its code.
func decodeReply(b []byte) (Answer, error) {
	var w joinReply
	if err := decode(b, &w); err != nil {
		return Answer{}, err
	}
	if w.Code != "" {
		return Answer{}, abi.WithCode(w.Code, errors.New(w.Message[:min(len(w.Message), maxMessageBytes)]))
	}
	a := Answer{Certificate: w.Certificate, Roots: w.Roots, Keys: w.Keys, Peers: w.Peers, Role: w.Role}
	if err := a.validate(); err != nil {
		return Answer{}, err
	}
	return a, nil
}

func (a Answer) validate() error {
	if err := a.Role.Validate(); err != nil {
		return err
	}
	if len(a.Certificate) == 0 || len(a.Roots) == 0 {
		return errors.New("no certificate or no roots")
	}
	if err := validateKeys(a.Keys); err != nil {
		return err
	}
	if len(a.Peers) > MaxPeers {
		return fmt.Errorf("%d peers, at most %d are allowed", len(a.Peers), MaxPeers)
	}
	for _, p := range a.Peers {
		if !validID(p.ID) {
			return fmt.Errorf("peer id %.40q is not %d hexadecimal digits", p.ID, idDigits)
		}
		if err := errors.Join(checkAddress(p.Gossip), checkAddress(p.Port)); err != nil {
			return fmt.Errorf("peer %s: %w", p.ID, err)
		}
	}
	return nil
}

// validateKeys holds a gossip keyring to AES's sizes.
func validateKeys(keys [][]byte) error {
	if len(keys) == 0 || len(keys) > maxKeys {
		return fmt.Errorf("%d gossip keys, want 1 to %d", len(keys), maxKeys)
	}
	for _, k := range keys {
		if len(k) != 16 && len(k) != 24 && len(k) != maxKeyBytes {
			return fmt.Errorf("a gossip key has %d bytes, want 16, 24 or %d", len(k), maxKeyBytes)
		}
	}
	return nil
}

// decode reads one CBOR item that fills b.
func decode(b []byte, v any) error {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 4, MaxArrayElements: 1024, MaxMapPairs: 64,
	}.DecMode()
	if err != nil {
		return err // a bug
	}
	return mode.Unmarshal(b, v)
}

// readFrame reads a message: its size in four bytes, big endian, then as many bytes.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > uint32(limit) {
		return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("read message: it has %d bytes, at most %d are allowed", size, limit))
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return b, nil
}

// writeFrame writes what readFrame reads.
func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

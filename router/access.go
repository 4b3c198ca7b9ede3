package router

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Bounds of the access ring. More records cover a longer time and take more memory, about 400 bytes each; a longer
// path is cut.
const (
	accessRecords     = 1024
	accessPathBytes   = 160
	accessMethodBytes = 16
	accessRemoteBytes = 56
)

// Access is the record of one request or invocation, for whoever reads Router.Access.
type Access struct {
	Sequence     uint64 // ascends by one with each record, from 1
	Time         time.Time
	Invocation   string
	App          string // empty: refused before a function was found
	Function     string
	Version      int
	Trigger      string
	Method       string
	Path         string // at most accessPathBytes of it
	Remote       string
	Status       int
	Code         abi.Code // empty: no error
	Start        abi.Start
	Took         time.Duration
	Fuel         uint64 // instructions counted
	RequestBytes int64
	ReplyBytes   int64
}

// record is an Access as the ring holds it: no string of the request, which is gone when the reader comes.
type record struct {
	mu         sync.Mutex // guards the rest; free but while a reader copies it or the ring laps itself
	sequence   uint64
	time       time.Time
	invocation [invocationIDBytes]byte
	target     *target
	trigger    short[[accessMethodBytes]byte]
	method     short[[accessMethodBytes]byte]
	path       short[[accessPathBytes]byte]
	remote     short[[accessRemoteBytes]byte]
	status     int
	code       abi.Code // constant
	start      abi.Start
	took       time.Duration
	fuel       uint64
	request    int64
	reply      int64
}

// short is the beginning of a string.
type short[A [accessMethodBytes]byte | [accessPathBytes]byte | [accessRemoteBytes]byte] struct {
	bytes A
	n     uint8
}

// ring holds the last accessRecords records.
type ring struct {
	last    atomic.Uint64
	records [accessRecords]record
}

// access is what a request says of itself.
type access struct {
	time   time.Time
	event  *abi.Event
	target *target // nil: refused
	status int
	code   abi.Code
	start  abi.Start
	took   time.Duration
	fuel   uint64
	// Bytes of the bodies.
	request, reply int64
}

// countPieces adds the bytes that passed in pieces, where the client is this node's.
func (a *access) countPieces() {
	s, ok := a.event.Stream.(*clientStream)
	if !ok {
		return
	}
	if a.reply += s.sent; a.event.More {
		a.request += s.q.body.read
	}
}

// write enters a record. It copies, so that nothing of the request is kept.
func (r *ring) write(a *access) {
	sequence := r.last.Add(1)
	k := &r.records[sequence%accessRecords]
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sequence > sequence {
		return // lapped by a faster writer
	}
	e := a.event
	k.sequence, k.time, k.target = sequence, a.time, a.target
	copy(k.invocation[:], e.Invocation)
	k.trigger.n = uint8(copy(k.trigger.bytes[:], e.Trigger))
	k.method.n = uint8(copy(k.method.bytes[:], e.Method))
	k.path.n = uint8(copy(k.path.bytes[:], e.Path))
	k.remote.n = uint8(copy(k.remote.bytes[:], e.Remote))
	k.status, k.code, k.start, k.took, k.fuel = a.status, a.code, a.start, a.took, a.fuel
	k.request, k.reply = max(a.request, int64(len(e.Body))), a.reply
}

// read answers the records after a sequence number, oldest first, at most limit, and the number to go on from.
// What the ring has overwritten meanwhile is left out.
func (r *ring) read(after uint64, limit int) ([]Access, uint64) {
	last := r.last.Load()
	if last > accessRecords && after < last-accessRecords {
		after = last - accessRecords
	}
	var out []Access
	for after < last && len(out) < limit {
		k := &r.records[(after+1)%accessRecords]
		k.mu.Lock()
		written := k.sequence
		if written == after+1 {
			out = append(out, k.access())
		}
		k.mu.Unlock()
		if written < after+1 {
			break // its writer is not done; the next read finds it
		}
		after++
	}
	return out, after
}

func (k *record) access() Access {
	a := Access{
		Sequence: k.sequence, Time: k.time, Invocation: string(k.invocation[:]),
		Trigger: string(k.trigger.bytes[:k.trigger.n]), Method: string(k.method.bytes[:k.method.n]), Path: string(k.path.bytes[:k.path.n]),
		Remote: string(k.remote.bytes[:k.remote.n]),
		Status: k.status, Code: k.code, Start: k.start, Took: k.took, Fuel: k.fuel,
		RequestBytes: k.request, ReplyBytes: k.reply,
	}
	if k.target != nil {
		v := k.target.version
		a.App, a.Function, a.Version = v.App, v.Function, v.Number
	}
	return a
}

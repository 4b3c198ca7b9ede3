package component

import (
	"bytes"
	"context"

	"fmt"
	"math"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// Limits of an invocation. Raising one lets it hold more of the host's memory, outside the guest's own limit.
const (
	MaxHandles   = 16_384   // handles at once
	MaxHeldBytes = 32 << 20 // of bodies, headers and texts that the host keeps for a guest
	MaxListBytes = 4 << 20  // of one list or string that the host gives a guest
)

// Key is the context key under which functions find their *Call: ctx.Value(component.Key{}).
type Key struct{}

// Trap is the error of a guest that did what it may not.
type Trap struct {
	Reason string
}

// Error answers the reason.
func (t *Trap) Error() string { return t.Reason }

func trap(format string, args ...any) { panic(&Trap{fmt.Sprintf(format, args...)}) }

// Guest is an instance's functions that the host calls. It belongs to one goroutine at a time.
type Guest struct {
	reallocs [MaxReallocs]api.Function
}

// NewGuest answers the functions of an instance of a linked component.
func NewGuest(m api.Module) *Guest {
	g := new(Guest)
	for i := range g.reallocs {
		g.reallocs[i] = m.ExportedFunction(exportRealloc + variant(i)[1:])
	}
	return g
}

// Sender sends a guest's HTTP requests. Send answers what sends one and waits for the whole reply, which may run in
// another goroutine, or why it is not sent.
type Sender interface {
	Send(r *abi.FetchRequest) (send func(context.Context) (*abi.Reply, error), err error)
}

// Store is the state of a guest's function. Of errors, guests are told the text.
type Store interface {
	// Items reads keys as they are at one moment; an absent one has no revision.
	Items(ctx context.Context, keys []string) ([]op.Item, error)
	Page(ctx context.Context, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
}

// Call is one invocation as a component sees it: the world it may ask, and the handles it holds. It must not be shared
// by two running guests. Call Close when the guest has ended.
type Call struct {
	Guest    *Guest
	Process  *wasip1.Process                  // environment, standard streams, clocks, random numbers
	Log      func(level int32, record []byte) // takes one record; must copy what it keeps
	Store    Store                            // nil: there is no state
	Sender   Sender                           // nil: nothing is sent
	Settings map[string]string                // what wasi:config tells
	MaxReply int                              // bytes of the reply's body that are held
	Pieces   Pieces                           // nil: the reply is held until the handler has returned
	Body     Body                             // what follows the event's body; nil: nothing

	handles table
	held    int           // bytes that count against MaxHeldBytes
	wake    chan struct{} // told when something a guest may wait for has happened
	running running
	reply   *outcome     // what response-outparam was set to
	toHead  bool         // the event is a HEAD request
	body    *pieceSource // what the event's body is read from; nil: it was all there, or nobody reads it

	// Of the host call that runs. There is one at a time: while the guest gives the host memory it may call nothing.
	name    string
	ctx     context.Context
	mod     api.Module
	mem     api.Memory
	realloc int
	calls   uint // so far
	copied  int  // bytes copied out of the guest's memory
	inside  bool // the guest runs one of its functions that the host called
}

// lookEvery is after how many calls of the host one looks whether the guest's time is over. Its fuel runs out long after
// that, where its instructions are few and the host's work is long: a call may take 0.1 ms.
const lookEvery = 256

// enter readies the call for a function of the host.
func (c *Call) enter(ctx context.Context, mod api.Module, f *function, realloc int) {
	c.name = f.name
	if c.inside {
		trap("the component called the host while it was giving it memory, or behind its end")
	}
	if c.calls++; c.calls%lookEvery == 0 && ctx.Err() != nil {
		panic(wasip1.ErrInterrupted)
	}
	c.ctx, c.mod, c.mem, c.realloc, c.copied = ctx, mod, mod.Memory(), realloc, 0
}

// Function answers the name of the host's function that was called last.
func (c *Call) Function() string { return c.name }

// view answers the guest's bytes, without copying them.
func (c *Call) view(ptr, n uint64) []byte {
	from, length := api.DecodeU32(ptr), api.DecodeU32(n)
	b, ok := c.mem.Read(from, length)
	if !ok {
		trap("%d bytes at %d are outside of memory", length, from)
	}
	return b
}

// elements answers a list's bytes, whose elements have this size and alignment.
func (c *Call) elements(ptr, n uint64, size, align uint32) []byte {
	count := api.DecodeU32(n)
	if uint64(count)*uint64(size) > math.MaxUint32 {
		trap("a list of %d elements", count)
	}
	if api.DecodeU32(ptr)%align != 0 {
		trap("a list at %d, which is not aligned to %d", api.DecodeU32(ptr), align)
	}
	return c.view(ptr, uint64(count*size))
}

// copyBytes answers a copy of the guest's bytes. The elements of a list may all be the same large one, so what a call
// copies is counted.
func (c *Call) copyBytes(ptr, n uint64) []byte {
	b := c.view(ptr, n)
	if c.copied += len(b) + fieldBytes; c.copied > MaxHeldBytes {
		trap("the host was given more than %d bytes at once", MaxHeldBytes)
	}
	return bytes.Clone(b)
}

// text answers the guest's string, a copy.
func (c *Call) text(ptr, n uint64) string {
	b := c.copyBytes(ptr, n)
	if !utf8.Valid(b) {
		trap("a string is not UTF-8")
	}
	return unsafe.String(unsafe.SliceData(b), len(b)) // nobody else has the copy
}

// at answers where the guest wants a result, which has to be aligned.
func (c *Call) at(ptr uint64, align uint32) uint32 {
	at := api.DecodeU32(ptr)
	if at%align != 0 {
		trap("a result at %d, which is not aligned to %d", at, align)
	}
	return at
}

func (c *Call) put8(at uint32, v byte) {
	if !c.mem.WriteByte(at, v) {
		trap("a result at %d is outside of memory", at)
	}
}

func (c *Call) put32(at, v uint32) {
	if !c.mem.WriteUint32Le(at, v) {
		trap("a result at %d is outside of memory", at)
	}
}

func (c *Call) put64(at uint32, v uint64) {
	if !c.mem.WriteUint64Le(at, v) {
		trap("a result at %d is outside of memory", at)
	}
}

// allocate asks the guest for memory. Source: canonical ABI, "realloc".
func (c *Call) allocate(align, size uint32) uint32 {
	if size > MaxListBytes {
		trap("the host was asked for a list of %d bytes, more than %d", size, MaxListBytes)
	}
	f := c.Guest.reallocs[c.realloc]
	if f == nil {
		trap("the component has no memory to give")
	}
	stack := [4]uint64{0, 0, uint64(align), uint64(size)}
	c.inside = true
	err := f.CallWithStack(c.ctx, stack[:])
	c.inside = false
	if err != nil {
		panic(err)
	}
	at := api.DecodeU32(stack[0])
	if at%align != 0 || uint64(at)+uint64(size) > uint64(c.mem.Size()) {
		trap("the component gave %d bytes at %d, which are outside of memory or not aligned to %d", size, at, align)
	}
	return at
}

// putText writes pointer and length of a string, or a list of bytes, that is given to the guest.
func (c *Call) putText(at uint32, s string) {
	c.putList(at, len(s), func(to uint32) bool { return c.mem.WriteString(to, s) })
}

func (c *Call) putBytes(at uint32, b []byte) {
	c.putList(at, len(b), func(to uint32) bool { return c.mem.Write(to, b) })
}

func (c *Call) putList(at uint32, n int, write func(to uint32) bool) {
	if n > MaxListBytes {
		trap("the host was asked for a list of %d bytes, more than %d", n, MaxListBytes)
	}
	to := c.allocate(1, uint32(n))
	write(to) // inside: allocate saw to it
	c.put32(at, to)
	c.put32(at+4, uint32(n))
}

// putTexts writes pointer and length of a list of strings.
func (c *Call) putTexts(at uint32, texts []string) {
	list := c.allocate(4, uint32(8*len(texts)))
	for i, s := range texts {
		c.putText(list+uint32(8*i), s)
	}
	c.put32(at, list)
	c.put32(at+4, uint32(len(texts)))
}

// putPairs writes pointer and length of a list of pairs of strings.
func (c *Call) putPairs(at uint32, pairs [][2]string) {
	list := c.allocate(4, uint32(16*len(pairs)))
	for i, p := range pairs {
		c.putText(list+uint32(i)*16, p[0])
		c.putText(list+uint32(i)*16+8, p[1])
	}
	c.put32(at, list)
	c.put32(at+4, uint32(len(pairs)))
}

// hold counts bytes that the host keeps for the guest.
func (c *Call) hold(n int) {
	if c.held += n; c.held > MaxHeldBytes {
		trap("the host would keep more than %d bytes for the component", MaxHeldBytes)
	}
}

// free is for bytes that are not kept any more.
func (c *Call) free(n int) { c.held -= n }

// wait waits until ready says so, and looks when woken or when timer, which may be nil, fires. What the guest has
// answered is sent before. It ends the guest when its time is over.
func (c *Call) wait(ready func() bool, timer <-chan time.Time) {
	if ready() {
		return
	}
	c.sendWaiting()
	if w := c.Process.Waiter; w != nil {
		w.Waiting()
		defer w.Waited()
	}
	for !ready() {
		select {
		case <-c.wake:
		case <-timer:
		case <-c.ctx.Done():
			panic(wasip1.ErrInterrupted)
		}
	}
}

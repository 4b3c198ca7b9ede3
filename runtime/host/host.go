// Package host offers guests the platform's calls: the functions of import module "sett", one file for each
// capability. Its main type is Call, what one invocation may ask of the platform and what it answered. The host
// module holds no state: every call finds its Call in the context, under Key, so that one module serves all
// invocations at once. A pointer outside the guest's memory, a reply over the limit and a call at the wrong
// moment end the guest with a Trap; nothing is cut off in silence.
package host

import (
	"context"
	"strconv"

	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Key is the context key under which functions find their *Call: ctx.Value(host.Key{}).
type Key struct{}

// Trap is the error of a guest that asked for something it may not have.
type Trap struct {
	Reason string
}

// Error answers the reason.
func (t *Trap) Error() string { return t.Reason }

// Phase says what a guest is being run for, and so which functions it may call.
type Phase uint8

// Phases of an instance's life.
const (
	Initializing Phase = iota // the outside world is absent
	Describing
	Drawing // random numbers, to tell where their generator is
	Handling
	Commanding // _start runs as a command: there is an outside world, and neither event nor reply
)

// Call is what one invocation may ask of the platform, and what it answered. It must not be shared by two
// running guests. Phase, MaxReplyBytes and Log are always given.
type Call struct {
	Phase         Phase
	Event         []byte                           // encoded; its owner may change it when the guest has ended
	MaxReplyBytes int                              // the longest encoded reply
	Pieces        Pieces                           // the client, for Handling
	Log           func(level int32, record []byte) // takes one record; must copy what it keeps

	App           string // whose keys the guest reads and writes
	Function      string // that runs
	Store         Store  // where they are, as this invocation sees it; nil: nowhere
	MaxStoreCalls int

	Queues        Queues // of App, and its topics; nil: it has none
	Events        Events // of App's bus; nil: it has none
	MaxQueueCalls int

	Objects        Objects // of all apps; nil: there are none
	Records        Store   // through which the guest sees and changes them; nil: those of the store itself
	MaxObjectCalls int

	Egress      []string // hosts the guest may call, as registry.Settings has them
	Fetcher     Fetcher  // calls them; nil: nobody does
	Invoker     Invoker  // runs other functions of App; nil: nobody does
	Depth       int      // of the event
	MaxOutgoing int      // fetches and invocations together

	Waiter wasip1.Waiter // told when the outside world is waited for

	Reply       []byte // what the guest wrote last, a copy
	Replied     bool
	Started     bool // the reply goes by Pieces
	Description *abi.Description
	Drawn       []uint64 // random numbers the guest drew last, in order
	StoreFault  error    // what Store, Queues or Objects answered last that is no error of package op
	Fault       error    // what Fetcher or Invoker answered last that is no error of package abi's

	answer     []byte // of the last call that answers, where the guest had no room for it
	seen       uint64 // the highest revision the guest was told
	storeCalls int
	queueCalls int

	seenObjects ObjectCalls // of Objects, once the guest has asked
	objectCalls int
	streams     map[uint32]stream // that are open, by their numbers; at most abi.MaxObjectStreams
	lastStream  uint32

	outgoing int
}

// Function is one call the host offers.
type Function struct {
	Name    string
	Params  []api.ValueType
	Results []api.ValueType
	run     func(ctx context.Context, c *Call, mem api.Memory, stack []uint64)
}

const i32 = api.ValueTypeI32

// Functions answers every function of the import module, in no order of meaning.
func Functions() []Function {
	return []Function{
		eventRead(),
		replyWrite(),
		bodyRead(),
		replyStart(),
		replySend(),
		descriptionWrite(),
		logWrite(),
		randomDrawn(),
		run(),
		kvGet(),
		kvList(),
		kvCommit(),
		fetch(),
		invoke(),
		queueSend(),
		queueReceive(),
		queueSettle(),
		queueStats(),
		topicPublish(),
		eventPut(),
		objectHead(),
		objectOpen(),
		objectRead(),
		objectCreate(),
		objectWrite(),
		objectCommit(),
		objectClose(),
		objectList(),
		objectCopy(),
		objectDelete(),
		answerRead(),
	}
}

// Instantiate makes the host module in r. Call it once a runtime, before the first guest.
func Instantiate(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(abi.HostModule)
	for _, f := range Functions() {
		run := f.run
		adapt := api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			run(ctx, ctx.Value(Key{}).(*Call), mod.Memory(), stack)
		})
		b.NewFunctionBuilder().WithGoModuleFunction(adapt, f.Params, f.Results).Export(f.Name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// view answers the guest's bytes from ptr on, without copying them, or traps.
func view(mem api.Memory, name string, ptr, n uint64) []byte {
	from, length := api.DecodeU32(ptr), api.DecodeU32(n)
	b, ok := mem.Read(from, length)
	if !ok {
		panic(&Trap{name + ": " + strconv.FormatUint(uint64(length), 10) + " bytes at " +
			strconv.FormatUint(uint64(from), 10) + " are outside of memory"})
	}
	return b
}

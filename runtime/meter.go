package runtime

import (
	"context"
	"errors"
	goruntime "runtime"
	"time"

	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// How guests share the processors. A guest runs until its fuel is used up and then looks, in refill, whether it may
// go on.
const (
	// fuelSlice is how many instructions a guest runs between two looks: some 30 to 100 us. More makes deadlines
	// and the garbage collector wait longer, less costs more host calls.
	fuelSlice = 100_000
	// yieldAfter is how long a guest runs before it lets others that wait for the processor go first.
	yieldAfter = time.Millisecond
	// longAfter is how long an invocation runs before it needs a lane, of which there is one processor less than
	// the node has, so that short ones always find one.
	longAfter = 20 * time.Millisecond
	// laneTurn is how long a long invocation keeps its lane while others wait for it.
	laneTurn = 10 * time.Millisecond
)

// errStackOverflow is the trap of a guest whose calls go too deep.
var errStackOverflow = errors.New("stack overflow")

// meter counts the instructions of one call into a guest and makes it share the processors. It belongs to the
// goroutine that runs the guest.
type meter struct {
	granted int64         // fuel given so far
	lanes   chan struct{} // one value for each long invocation that runs
	resumed time.Time     // when the guest began to run, or last came back from waiting
	yielded time.Time
	waits   time.Time // when it last began to wait
	turn    time.Time // when it got its lane
	inLane  bool
}

var _ wasip1.Waiter = (*meter)(nil)

// meterKey is the context key under which refill finds the *call it meters.
type meterKey struct{}

// start gives the first slice of fuel, which the caller hands to the guest.
func (m *meter) start(now time.Time, lanes chan struct{}) int64 {
	*m = meter{granted: fuelSlice, lanes: lanes, resumed: now, yielded: now}
	return fuelSlice
}

// refill gives a guest that has left fuel another slice, or ends it by a panic: with wasip1.ErrInterrupted when its
// time is over, with errStackOverflow when stack, what is left of its call stack, is negative.
func (c *call) refill(left, stack int64) (fuel int64) {
	if stack < 0 {
		panic(errStackOverflow)
	}
	now := time.Now()
	if now.After(c.deadline) || c.parent.Err() != nil {
		panic(wasip1.ErrInterrupted)
	}
	m := &c.meter
	if now.Sub(m.resumed) > yieldAfter {
		yieldProcessor()
	}
	fuel = max(left, 0)
	if left < fuelSlice {
		m.granted += fuelSlice - left
		fuel = fuelSlice
	}
	switch {
	case m.inLane && now.Sub(m.turn) > laneTurn:
		m.leaveLane()
		c.enterLane()
	case !m.inLane && now.Sub(m.resumed) > longAfter:
		c.enterLane()
	case now.Sub(m.yielded) > yieldAfter:
		goruntime.Gosched()
		m.yielded = time.Now()
	}
	return fuel
}

// enterLane waits for a lane, first come first served.
func (c *call) enterLane() {
	m := &c.meter
	select {
	case m.lanes <- struct{}{}:
	default:
		select {
		case m.lanes <- struct{}{}:
		case <-c.Done():
			panic(wasip1.ErrInterrupted)
		}
	}
	m.inLane = true
	m.turn = time.Now()
	m.yielded = m.turn
}

func (m *meter) leaveLane() {
	if m.inLane {
		m.inLane = false
		<-m.lanes
	}
}

// Waiting says that the guest's host call is about to wait: others may have its lane.
func (m *meter) Waiting() {
	m.leaveLane()
	m.waits = time.Now()
}

// Waited says that it has waited. What comes after a wait as long as a long run counts as a new run; after a shorter
// one the run goes on, without the time waited: a guest that asks for a trifle now and then is still a long one.
func (m *meter) Waited() {
	now := time.Now()
	waited := now.Sub(m.waits)
	if m.resumed = m.resumed.Add(waited); waited >= longAfter {
		m.resumed = now
	}
}

// instantiateMeter makes the host module that rewritten modules import.
func instantiateMeter(ctx context.Context, engine wazero.Runtime) error {
	refill := func(ctx context.Context, _ api.Module, stack []uint64) {
		c := ctx.Value(meterKey{}).(*call)
		stack[0] = uint64(c.refill(int64(stack[0]), int64(stack[1])))
	}
	i64 := api.ValueTypeI64
	_, err := engine.NewHostModuleBuilder(wasmbin.RefillModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(refill), []api.ValueType{i64, i64}, []api.ValueType{i64}).
		Export(wasmbin.RefillName).Instantiate(ctx)
	return err
}

package kv

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sett-run/sett/kv/op"
)

// Kinds of call.
const (
	callGet       = "get"
	callPut       = "put"
	callSwap      = "cas"       // Value takes the place of what has Revision; 0: of nothing
	callSwapValue = "cas value" // Value takes the place of Old
	callIncr      = "incr"      // by one
)

// call is what a client asks for. Values are decimal numbers, so that any key can be incremented, and a put or cas
// writes one that nobody else writes, with room for a million increments until the next.
type call struct {
	Kind     string
	Key      string
	Value    string
	Old      string
	Revision uint64
	Read     op.Read // of a get
}

// Outcomes of a call.
const (
	happened = "happened" // once, while it was under way; a cas whose check failed, too
	refused  = "refused"  // it did not happen, and will not
	unknown  = "unknown"  // it may have happened, or happen later
	wrong    = "wrong"    // an error that it must not answer
)

// answer is what a client was told.
type answer struct {
	Outcome  string
	Found    bool   // get: the key is there
	Conflict bool   // cas: the check failed
	Value    string // get: what is there; incr: what was made
	Revision uint64 // of what is there, or was written
	Text     string // of the error
}

// call does what a client asks for on a store.
func (c call) do(ctx context.Context, s *Store) answer {
	if c.Kind == callGet {
		item, err := s.Get(ctx, "app", c.Key, c.Read)
		if errors.Is(err, op.ErrNotFound) {
			return answer{Outcome: happened}
		}
		return answer{Found: true, Value: string(item.Value), Revision: item.Revision}.after(err)
	}
	txn := op.Txn{Namespace: "app", Ops: []op.Op{set(c.Key, c.Value)}}
	switch c.Kind {
	case callSwap:
		txn.Checks = []op.Check{{Key: c.Key, Revision: c.Revision}}
	case callSwapValue:
		txn.Checks = []op.Check{{Kind: op.HasValue, Key: c.Key, Value: []byte(c.Old)}}
	case callIncr:
		txn.Ops = []op.Op{{Kind: op.Incr, Key: c.Key, Delta: 1}}
	}
	r, err := s.Commit(ctx, txn)
	if errors.Is(err, op.ErrConflict) {
		return answer{Outcome: happened, Conflict: true}
	}
	a := answer{Value: c.Value, Revision: r.Revision}
	if c.Kind == callIncr && err == nil {
		a.Value = strconv.FormatInt(r.Ops[0].Integer, 10)
	}
	return a.after(err)
}

// after says what err means for the call.
func (a answer) after(err error) answer {
	switch {
	case err == nil:
		a.Outcome = happened
		return a
	case errors.Is(err, op.ErrUnknown):
		return answer{Outcome: unknown, Text: err.Error()}
	case errors.Is(err, op.ErrUnavailable), errors.Is(err, op.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return answer{Outcome: refused, Text: err.Error()}
	}
	return answer{Outcome: wrong, Text: err.Error()}
}

// history is what clients asked for and were told, in the order of one clock.
type history struct {
	clock   atomic.Int64
	numbers atomic.Int64 // makes values

	mu       sync.Mutex // guards the rest
	calls    []porcupine.Operation
	written  map[string]uint64 // revisions of values, as far as anybody was told
	outcomes map[string]int
}

func newHistory() *history {
	return &history{written: map[string]uint64{}, outcomes: map[string]int{}}
}

// size is how many calls have happened or may have.
func (h *history) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// do has a client make a call. What was refused is not kept: it must not have had an effect.
func (h *history) do(client int, c call, do func() answer) answer {
	began := h.clock.Add(1)
	a := do()
	ended := h.clock.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outcomes[a.Outcome]++
	if a.Outcome == unknown {
		ended = math.MaxInt64
	}
	if a.Outcome == refused || a.Outcome == wrong || a.Outcome == unknown && c.Kind == callGet {
		return a
	}
	if a.Revision != 0 {
		h.written[c.Key+"="+a.Value] = a.Revision
	}
	h.calls = append(h.calls, porcupine.Operation{ClientId: client, Input: c, Output: a, Call: began, Return: ended})
	return a
}

// register is the state of a key in the model.
type register struct {
	found    bool
	value    string
	revision uint64 // 0: nobody was ever told
}

// step answers the state after a call, and whether the call can have been answered so in the state before.
func (h *history) step(before register, c call, a answer) (bool, register) {
	holds := true
	after := register{found: true, value: c.Value}
	switch c.Kind {
	case callGet:
		return before == register{a.Found, a.Value, a.Revision}, before
	case callSwap:
		holds = before.revision == c.Revision && before.found == (c.Revision != 0)
	case callSwapValue:
		holds = before.found && before.value == c.Old
	case callIncr:
		n, _ := strconv.ParseInt(before.value, 10, 64) // an absent one is zero
		after.value = strconv.FormatInt(n+1, 10)
	}
	after.revision = h.written[c.Key+"="+after.value]
	switch {
	case a.Outcome == unknown && !holds:
		return true, before
	case a.Outcome == unknown:
		return after.revision == 0 || after.revision > before.revision, after
	case a.Conflict:
		return !holds, before
	}
	return holds && after.value == a.Value && after.revision == a.Revision && after.revision > before.revision, after
}

func (h *history) model() porcupine.Model {
	return porcupine.Model{
		Partition: func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
			byKey := map[string][]porcupine.Operation{}
			for _, o := range all {
				key := o.Input.(call).Key
				byKey[key] = append(byKey[key], o)
			}
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return register{} },
		Step: func(state, input, output any) (bool, any) {
			return h.step(state.(register), input.(call), output.(answer))
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
	}
}

// checkWithin is how long the checker may take to decide. Decided histories take less than a second.
const checkWithin = 2 * time.Minute

// linearizable says whether the calls can have happened one after the other, each at a moment while it was under way
// or, when nobody knows, at any later one. It fails the test when it cannot tell.
func (h *history) linearizable(t *testing.T) bool {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(h.model(), h.calls, checkWithin)
	t.Logf("%d calls, outcomes %v: checked in %v: %s", len(h.calls), h.outcomes, time.Since(began), result)
	if result == porcupine.Unknown {
		t.Fatalf("the checker has not decided in %v", checkWithin)
	}
	return result == porcupine.Ok
}

// mustBeLinearizable fails the test, and leaves a picture of the history, when it is not.
func (h *history) mustBeLinearizable(t *testing.T) {
	t.Helper()
	if n := h.outcomes[wrong]; n > 0 {
		t.Errorf("%d calls answered an error they must not", n)
	}
	if h.linearizable(t) {
		return
	}
	_, info := porcupine.CheckOperationsVerbose(h.model(), h.calls, checkWithin)
	name := filepath.Join(t.ArtifactDir(), "history.html")
	t.Errorf("the history is not linearizable: see %s (with -artifacts), %v", name, porcupine.VisualizePath(h.model(), info, name))
}

const (
	keys     = 6                     // that clients use
	thinking = 20 * time.Millisecond // of a client between two calls, at most
)

// client makes calls one after the other.
type client struct {
	id      int
	history *history
	random  *rand.Rand
	read    op.Read
	seen    [keys]answer // of each key, what it was told last
}

func newClient(id int, seed uint64, h *history, read op.Read) *client {
	return &client{id: id, history: h, random: rand.New(rand.NewPCG(seed, uint64(id))), read: read}
}

// next chooses a call: half of them reads.
func (c *client) next() (key int, next call) {
	key = c.random.IntN(keys)
	next = call{Key: fmt.Sprint("key-", key), Read: c.read, Value: strconv.FormatInt(c.history.numbers.Add(1)*1_000_000, 10)}
	switch n := c.random.IntN(100); {
	case n < 50:
		next.Kind = callGet
	case n < 65:
		next.Kind = callPut
	case n < 78:
		next.Kind, next.Revision = callSwap, c.seen[key].Revision
	case n < 85 && c.seen[key].Value != "":
		next.Kind, next.Old = callSwapValue, c.seen[key].Value
	default:
		next.Kind = callIncr
	}
	if next.Kind == callGet || next.Kind == callIncr {
		next.Value = ""
	}
	return key, next
}

// run makes calls until there are enough in the history. Do makes one on some node.
func (c *client) run(t *testing.T, enough int, do func(random *rand.Rand, next call) answer) {
	for c.history.size() < enough {
		key, next := c.next()
		a := c.history.do(c.id, next, func() answer { return do(c.random, next) })
		if a.Outcome == wrong {
			t.Errorf("%+v: %s", next, a.Text)
			return
		}
		if a.Revision != 0 {
			c.seen[key] = a
		}
		time.Sleep(time.Duration(c.random.Int64N(int64(thinking)))) // so that calls meet many faults
	}
}

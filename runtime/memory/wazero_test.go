package memory

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

var (
	_ experimental.LinearMemory = (*Slot)(nil)
	_ Growable                  = api.Memory(nil)
)

const (
	guestMin   = 2  // pages the guest declares
	guestLimit = 10 // pages it may have; it declares one more, as the rewriter does
)

// guestModule is a module made by hand. Its functions, all of i32:
//
//	poke(at, value)           stores
//	peek(at) value            loads
//	grow(pages) previous      memory.grow
//	size() pages              memory.size
//	fill(at, value, length)   memory.fill
//	growPoke(pages, at, value) value   grows, then stores and loads in the same function
//	boom(at, value)           stores, then unreachable
//	leave(at, value)          stores, calls env.leave, stores again behind it
func guestModule() []byte {
	const i32, end = 0x7f, 0x0b
	section := func(id byte, content ...[]byte) []byte {
		body := bytes.Join(content, nil)
		return append(binary.AppendUvarint([]byte{id}, uint64(len(body))), body...)
	}
	counted := func(items ...[]byte) []byte {
		return append([]byte{byte(len(items))}, bytes.Join(items, nil)...)
	}
	signature := func(params, results int) []byte {
		b := append([]byte{0x60, byte(params)}, bytes.Repeat([]byte{i32}, params)...)
		return append(append(b, byte(results)), bytes.Repeat([]byte{i32}, results)...)
	}
	name := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	body := func(code ...byte) []byte {
		code = append(append([]byte{0}, code...), end)
		return append([]byte{byte(len(code))}, code...)
	}
	local := func(i byte) []byte { return []byte{0x20, i} }
	store := func(at, value byte) []byte { // i32.store
		return bytes.Join([][]byte{local(at), local(value), {0x36, 0, 0}}, nil)
	}
	load := func(at byte) []byte { return append(local(at), 0x28, 0, 0) }
	functions := []struct {
		name      string
		signature byte
		code      []byte
	}{
		{"poke", 1, store(0, 1)},
		{"peek", 2, load(0)},
		{"grow", 2, append(local(0), 0x40, 0)},
		{"size", 3, []byte{0x3f, 0}},
		{"fill", 4, bytes.Join([][]byte{local(0), local(1), local(2), {0xfc, 11, 0}}, nil)},
		{"growPoke", 5, bytes.Join([][]byte{local(0), {0x40, 0, 0x1a}, store(1, 2), load(1)}, nil)},
		{"boom", 1, append(store(0, 1), 0x00)},
		{"leave", 1, bytes.Join([][]byte{store(0, 1), {0x10, 0}, store(0, 1)}, nil)},
	}
	var kinds, exports, codes [][]byte
	for i, f := range functions {
		kinds = append(kinds, []byte{f.signature})
		exports = append(exports, append(name(f.name), 0, byte(i+1)))
		codes = append(codes, body(f.code...))
	}
	exports = append(exports, append(name("memory"), 2, 0))
	return bytes.Join([][]byte{
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, counted(signature(0, 0), signature(2, 0), signature(1, 1), signature(0, 1), signature(3, 0), signature(3, 1))),
		section(2, counted(append(append(name("env"), name("leave")...), 0, 0))),
		section(3, counted(kinds...)),
		section(5, counted([]byte{1, guestMin, guestLimit + 1})),
		section(7, counted(exports...)),
		section(10, counted(codes...)),
	}, nil)
}

// guest is an instance in a slot.
type guest struct {
	t      *testing.T
	slot   *Slot
	module api.Module
}

// engine compiles the guest with one of wazero's two engines.
type engine struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

func newEngine(t *testing.T, config wazero.RuntimeConfig) *engine {
	t.Helper()
	ctx := t.Context()
	e := &engine{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	t.Cleanup(func() { e.runtime.Close(context.Background()) })
	leave := func(ctx context.Context, m api.Module) { m.CloseWithExitCode(ctx, 3) }
	_, err := e.runtime.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(leave).Export("leave").Instantiate(ctx)
	if err == nil {
		e.compiled, err = e.runtime.CompileModule(ctx, guestModule())
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *engine) guest(t *testing.T, slots *Slots, img *Image) *guest {
	t.Helper()
	slot := takeTestSlot(t, slots, guestLimit*WasmPage, img)
	allocate := experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory { return slot })
	ctx := experimental.WithMemoryAllocator(t.Context(), allocate)
	m, err := e.runtime.InstantiateModule(ctx, e.compiled, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		t.Fatal(err)
	}
	return &guest{t: t, slot: slot, module: m}
}

// call answers the result of one of the guest's functions, and whether it returned.
func (g *guest) call(name string, args ...uint32) (uint32, bool) {
	g.t.Helper()
	if !g.slot.Begin() {
		g.t.Errorf("%s: the slot is gone", name)
		return 0, false
	}
	defer g.slot.End()
	wide := make([]uint64, len(args))
	for i, a := range args {
		wide[i] = api.EncodeU32(a)
	}
	results, err := g.module.ExportedFunction(name).Call(g.t.Context(), wide...)
	if err != nil {
		return 0, false
	}
	if len(results) == 0 {
		return 0, true
	}
	return api.DecodeU32(results[0]), true
}

func (g *guest) want(want uint32, name string, args ...uint32) {
	g.t.Helper()
	if got, ok := g.call(name, args...); !ok || got != want {
		g.t.Errorf("%s%v = %#x, %v, want %#x", name, args, got, ok, want)
	}
}

func (g *guest) traps(name string, args ...uint32) {
	g.t.Helper()
	if got, ok := g.call(name, args...); ok {
		g.t.Errorf("%s%v = %#x, want a trap", name, args, got)
	}
}

func (g *guest) reset(img *Image) {
	g.t.Helper()
	if _, err := g.slot.Reset(g.module.Memory()); err != nil {
		g.t.Error(err)
	}
	if err := Compare(g.slot, img); err != nil {
		g.t.Error(err)
	}
	g.want(uint32(img.Size()/WasmPage), "size")
}

func eachEngine(t *testing.T, test func(t *testing.T, e *engine)) {
	engines := map[string]wazero.RuntimeConfig{"interpreter": wazero.NewRuntimeConfigInterpreter()}
	if compilerSupported() {
		engines["compiler"] = wazero.NewRuntimeConfigCompiler()
	}
	for name, config := range engines {
		t.Run(name, func(t *testing.T) { test(t, newEngine(t, config)) })
	}
}

// compilerSupported says whether wazero compiles here; it panics where it does not.
func compilerSupported() (ok bool) {
	defer func() { ok = recover() == nil }()
	wazero.NewRuntimeWithConfig(context.Background(), wazero.NewRuntimeConfigCompiler()).Close(context.Background())
	return true
}

// TestShrinkInWazero holds what the engine does not promise: a memory that grew takes the smaller slice that an
// armed slot hands it, compiled code sees the new length at once, and can grow again.
func TestShrinkInWazero(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *engine) {
		img := newTestImage(t, 3*WasmPage)
		g := e.guest(t, newTestSlots(t, Config{}), img)
		g.want(3, "size") // the image's, above the declared two
		for range 3 {
			behind := uint32(3*WasmPage + 100)
			g.traps("peek", behind)
			g.want(3, "grow", 4)
			g.want(0, "peek", behind)
			g.call("poke", behind, 77)
			g.want(77, "peek", behind)
			g.want(7, "grow", 3) // to the limit
			g.want(^uint32(0), "grow", 1)
			g.want(guestLimit, "size")
			g.reset(img)
			g.traps("peek", behind)
			g.traps("poke", 3*WasmPage-3, 1)
			g.want(9, "growPoke", 1, behind, 9)
			g.reset(img)
		}
		if n := g.module.Memory().Size(); n != 3*WasmPage {
			t.Errorf("the engine's memory is %d bytes, want %d", n, 3*WasmPage)
		}
	})
}

// TestGuestsAreReset runs guests that write, grow, trap and fill, in parallel and in every way of resetting.
func TestGuestsAreReset(t *testing.T) {
	rounds := 200
	if brief() {
		rounds = 80
	}
	eachEngine(t, func(t *testing.T, e *engine) {
		for _, way := range ways(t) {
			t.Run(way.name, func(t *testing.T) {
				slots := newTestSlots(t, Config{})
				way.configure(slots)
				img := newImageOf(t, sparse(rand.New(rand.NewPCG(1, 1)), 4*WasmPage))
				var workers sync.WaitGroup
				for worker := range 4 {
					g := e.guest(t, slots, img)
					workers.Go(func() { g.live(rand.New(rand.NewPCG(uint64(worker), 5)), img, rounds) })
				}
				workers.Wait()
			})
		}
	})
}

func (g *guest) live(random *rand.Rand, img *Image, rounds int) {
	for range rounds {
		for range random.IntN(8) {
			at, value := random.Uint32N(guestLimit*WasmPage), random.Uint32()
			switch random.IntN(6) {
			case 0:
				g.call("grow", random.Uint32N(4))
			case 1:
				g.call("boom", at, value)
			case 2:
				g.call("fill", at, value, random.Uint32N(5*block))
			case 3:
				g.call("growPoke", random.Uint32N(2), at, value)
			default:
				g.call("poke", at, value)
			}
		}
		g.reset(img)
	}
}

// TestGuestMeetsTheBudget sees that a guest's memory.grow fails, and nothing else, when the budget is used up.
func TestGuestMeetsTheBudget(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *engine) {
		img := newTestImage(t, guestMin*WasmPage)
		slots := newTestSlots(t, Config{BudgetBytes: slotBytes + (guestMin+1)*WasmPage})
		g := e.guest(t, slots, img)
		g.want(^uint32(0), "grow", 2)
		if !errors.Is(g.slot.Refusal(), ErrBudget) {
			t.Errorf("Refusal() = %v, want ErrBudget", g.slot.Refusal())
		}
		g.want(guestMin, "grow", 1)
		g.want(5, "growPoke", 0, guestMin*WasmPage, 5)
		g.reset(img)
		g.want(^uint32(0), "grow", guestLimit-guestMin+1) // above the limit, though it is declared
		if !errors.Is(g.slot.Refusal(), ErrLimit) {
			t.Errorf("Refusal() = %v, want ErrLimit", g.slot.Refusal())
		}
	})
}

// TestClosedInACall closes the module from within a call, which goes on writing.
func TestClosedInACall(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *engine) {
		slots := newTestSlots(t, Config{})
		img := newTestImage(t, guestMin*WasmPage)
		g := e.guest(t, slots, img)
		if !g.slot.Begin() {
			t.Fatal("the slot is gone")
		}
		g.module.ExportedFunction("leave").Call(t.Context(), 8, 9)
		if stats := slots.Stats(); stats.Taken != 1 {
			t.Errorf("Stats() = %+v before the call's end, want the slot taken", stats)
		}
		if g.slot.End() {
			t.Error("End() = true after the module was closed")
		}
		if stats := slots.Stats(); stats.Taken != 0 || stats.Free != 1 {
			t.Errorf("Stats() = %+v, want the slot free", stats)
		}
		e.guest(t, slots, img).reset(img)
	})
}

// TestImageOfAGuest takes an image of a memory that a guest has written, and starts others from it.
func TestImageOfAGuest(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *engine) {
		slots := newTestSlots(t, Config{})
		first := e.guest(t, slots, nil)
		first.want(guestMin, "grow", 1)
		first.call("poke", 2*WasmPage+4, 42)
		img := newImageOf(t, first.slot.Bytes())
		first.call("poke", 2*WasmPage+4, 43) // not in the image any more
		first.module.Close(t.Context())
		for range 3 {
			g := e.guest(t, slots, img)
			g.want(42, "peek", 2*WasmPage+4)
			g.want(0, "peek", 4)
			g.call("poke", 4, 1)
			g.module.Close(t.Context())
		}
		if stats := slots.Stats(); stats.Taken != 0 {
			t.Errorf("Stats() = %+v, want all free", stats)
		}
	})
}

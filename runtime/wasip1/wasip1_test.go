package wasip1_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// errno values by their names in the specification.
const (
	ok       = 0
	ebadf    = 8
	efault   = 21
	einval   = 28
	enosys   = 52
	enotdir  = 54
	enotsock = 57
	espipe   = 70
)

// guest is a module with two pages of memory that imports every call and exports a wrapper for each, which
// passes on its parameters.
type guest struct {
	t       *testing.T
	module  api.Module
	process *wasip1.Process
	ctx     context.Context
	stdout  bytes.Buffer
	stderr  bytes.Buffer
}

func binaryOf() []byte {
	m := new(wasmtest.Module)
	var wrappers []func()
	for i, f := range wasip1.Functions() {
		sig := ""
		for _, p := range f.Params {
			sig += map[api.ValueType]string{api.ValueTypeI32: "i", api.ValueTypeI64: "l"}[p]
		}
		if len(f.Results) > 0 {
			sig += ":i"
		}
		m.Import(wasip1.ModuleName, f.Name, sig)
		wrappers = append(wrappers, func() {
			var code [][]byte
			for p := range f.Params {
				code = append(code, wasmtest.Get(uint32(p)))
			}
			m.Func(f.Name, sig, append(code, wasmtest.Call(uint32(i)))...)
		})
	}
	m.Memory(0, 2)
	for _, w := range wrappers {
		w()
	}
	return m.Bytes()
}

// start makes guests, one after the other with the same code.
func start(t *testing.T) func(p *wasip1.Process) *guest {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	t.Cleanup(func() { r.Close(ctx) })
	if err := wasip1.Instantiate(ctx, r); err != nil {
		t.Fatal(err)
	}
	code, err := r.CompileModule(ctx, binaryOf())
	if err != nil {
		t.Fatal(err)
	}
	return func(p *wasip1.Process) *guest {
		g := &guest{t: t, process: p}
		p.Stdout, p.Stderr, p.Started = &g.stdout, &g.stderr, time.Now()
		g.ctx = context.WithValue(ctx, wasip1.Key{}, p)
		if g.module, err = r.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName("")); err != nil {
			t.Fatal(err)
		}
		return g
	}
}

// call calls a function and answers its errno.
func (g *guest) call(name string, params ...uint64) int {
	g.t.Helper()
	out, err := g.module.ExportedFunction(name).Call(g.ctx, params...)
	if err != nil {
		g.t.Fatalf("%s%v: %v", name, params, err)
	}
	return int(api.DecodeU32(out[0]))
}

func (g *guest) want(errno int, name string, params ...uint64) {
	g.t.Helper()
	if got := g.call(name, params...); got != errno {
		g.t.Errorf("%s%v = %d, want %d", name, params, got, errno)
	}
}

func (g *guest) u32(at uint32) uint32 { v, _ := g.module.Memory().ReadUint32Le(at); return v }
func (g *guest) u64(at uint32) uint64 { v, _ := g.module.Memory().ReadUint64Le(at); return v }
func (g *guest) text(at, n uint32) string {
	b, _ := g.module.Memory().Read(at, n)
	return string(b)
}

// put writes 32-bit words to memory.
func (g *guest) put(at uint32, words ...uint32) {
	for i, w := range words {
		g.module.Memory().WriteUint32Le(at+uint32(i)*4, w)
	}
}

const outside = 2<<16 - 3 // an address with three bytes of memory behind it

func TestArgsAndEnviron(t *testing.T) {
	g := start(t)(&wasip1.Process{Args: []string{"f", ""}, Env: []string{"A=1", "B=zwei"}})
	for _, test := range []struct {
		name, text string
		n, size    uint32
	}{
		{"args", "f\x00\x00", 2, 3}, {"environ", "A=1\x00B=zwei\x00", 2, 11},
	} {
		g.want(ok, test.name+"_sizes_get", 0, 4)
		if n, size := g.u32(0), g.u32(4); n != test.n || size != test.size {
			t.Errorf("%s_sizes_get = %d, %d, want %d, %d", test.name, n, size, test.n, test.size)
		}
		g.want(ok, test.name+"_get", 16, 64)
		if got := g.text(64, test.size); got != test.text || g.u32(16) != 64 {
			t.Errorf("%s_get = %q at %d, want %q", test.name, got, g.u32(16), test.text)
		}
		g.want(efault, test.name+"_sizes_get", outside, 0)
		g.want(efault, test.name+"_sizes_get", 0, outside)
		g.want(efault, test.name+"_get", outside, 0)
		g.want(efault, test.name+"_get", 0, outside+1)
	}
}

func TestClocks(t *testing.T) {
	g := start(t)(new(wasip1.Process))
	before := time.Now().UnixNano()
	g.want(ok, "clock_time_get", 0, 1, 8)
	if now := int64(g.u64(8)); now < before || now > time.Now().UnixNano() {
		t.Errorf("realtime = %d, want now", now)
	}
	last := uint64(1) // Go's runtime refuses a monotonic clock at zero
	for id := range uint64(4) {
		g.want(ok, "clock_res_get", id, 16)
		if g.u64(16) == 0 {
			t.Errorf("resolution of clock %d is zero", id)
		}
		if id > 0 {
			g.want(ok, "clock_time_get", id, 0, 8)
			if g.u64(8) < last {
				t.Errorf("clock %d = %d, before %d", id, g.u64(8), last)
			}
			last = g.u64(8)
		}
	}
	g.want(ok, "clock_res_get", 7<<32|1, 9<<32|16) // only the lower half of a 32-bit value counts
	g.want(einval, "clock_res_get", 4, 16)
	g.want(einval, "clock_time_get", 4, 0, 8)
	g.want(efault, "clock_res_get", 0, outside)
	g.want(efault, "clock_time_get", 0, 0, outside)
}

func TestRead(t *testing.T) {
	g := start(t)(&wasip1.Process{Stdin: []byte("hello, world")})
	g.put(0, 100, 5, 200, 0, 300, 4) // three vectors
	g.want(ok, "fd_read", 0, 0, 3, 40)
	if n := g.u32(40); n != 9 || g.text(100, 5) != "hello" || g.text(300, 4) != ", wo" {
		t.Errorf("fd_read = %d: %q %q", n, g.text(100, 5), g.text(300, 4))
	}
	g.want(ok, "fd_read", 0, 0, 3, 40)
	if n := g.u32(40); n != 3 || g.text(100, 3) != "rld" {
		t.Errorf("second fd_read = %d: %q", n, g.text(100, 3))
	}
	g.want(ok, "fd_read", 0, 0, 3, 40)
	if n := g.u32(40); n != 0 {
		t.Errorf("fd_read at the end = %d, want 0", n)
	}
	g.want(ebadf, "fd_read", 1, 0, 3, 40)
	g.want(ebadf, "fd_read", 3, 0, 3, 40)
	g.want(efault, "fd_read", 0, outside, 1, 40)
	g.want(efault, "fd_read", 0, 0, 3, outside)
	g.want(efault, "fd_read", 0, 0, 1<<29, 40)
	g.want(efault, "fd_read", 0, 0, 1<<32-1, 40)
	g.put(0, outside, 4)
	g.want(efault, "fd_read", 0, 0, 1, 40)
}

// TestReadFault checks that a read that failed took no input.
func TestReadFault(t *testing.T) {
	g := start(t)(&wasip1.Process{Stdin: []byte("abc")})
	g.put(0, 100, 3)
	g.want(efault, "fd_read", 0, 0, 1, outside)
	g.want(ok, "fd_read", 0, 0, 1, 40)
	if n := g.u32(40); n != 3 {
		t.Errorf("fd_read after a fault = %d, want 3", n)
	}
}

func TestWrite(t *testing.T) {
	g := start(t)(new(wasip1.Process))
	g.module.Memory().WriteString(100, "hello")
	g.put(0, 100, 2, 200, 0, 102, 3)
	g.want(ok, "fd_write", 1, 0, 3, 40)
	g.want(ok, "fd_write", 2, 0, 1, 44)
	if g.stdout.String() != "hello" || g.u32(40) != 5 || g.stderr.String() != "he" || g.u32(44) != 2 {
		t.Errorf("stdout %q of %d, stderr %q of %d", &g.stdout, g.u32(40), &g.stderr, g.u32(44))
	}
	g.want(ebadf, "fd_write", 0, 0, 1, 40)
	g.want(ebadf, "fd_write", 1<<32-1, 0, 1, 40)
	g.want(efault, "fd_write", 1, outside, 1, 40)
	g.want(efault, "fd_write", 1, 0, 1, outside)
	g.want(efault, "fd_write", 1, 0, 1<<30, 40)
	g.put(0, 0, 1<<32-1)
	g.want(efault, "fd_write", 1, 0, 1, 40)
}

type full struct{ error }

func (f full) Write([]byte) (int, error) { return 0, f.error }

func TestWriteTraps(t *testing.T) {
	g := start(t)(new(wasip1.Process))
	limit := errors.New("over the limit")
	g.process.Stdout = full{limit}
	g.put(0, 100, 2)
	_, err := g.module.ExportedFunction("fd_write").Call(g.ctx, 1, 0, 1, 40)
	if !errors.Is(err, limit) {
		t.Errorf("fd_write to a full writer: %v, want a trap with its error", err)
	}
}

func TestStreamState(t *testing.T) {
	g := start(t)(&wasip1.Process{Stdin: []byte("abc")})
	for fd, rights := range []uint64{1<<1 | 1<<3 | 1<<21 | 1<<27, 1<<6 | 1<<3 | 1<<21 | 1<<27, 1<<6 | 1<<3 | 1<<21 | 1<<27} {
		g.want(ok, "fd_fdstat_get", uint64(fd), 64)
		if got := g.u64(72); got != rights || g.u64(64) != 0 || g.u64(80) != 0 {
			t.Errorf("fd_fdstat_get(%d) = %x rights %b, want %b", fd, g.u64(64), got, rights)
		}
	}
	g.want(ok, "fd_fdstat_set_flags", 0, 4)
	g.want(ok, "fd_fdstat_get", 0, 64)
	if flags := g.u32(64) >> 16; flags != 4 {
		t.Errorf("flags = %d after they were set to 4", flags)
	}
	g.want(einval, "fd_fdstat_set_flags", 0, 32)
	g.want(ok, "fd_filestat_get", 0, 128)
	if size := g.u64(160); size != 3 {
		t.Errorf("size of standard input = %d, want 3", size)
	}
	g.want(efault, "fd_fdstat_get", 0, outside)
	g.want(efault, "fd_filestat_get", 0, outside)

	g.want(ok, "fd_renumber", 2, 1) // standard output becomes standard error
	g.module.Memory().WriteString(100, "x")
	g.put(0, 100, 1)
	g.want(ok, "fd_write", 1, 0, 1, 40)
	if g.stderr.String() != "x" || g.stdout.Len() != 0 {
		t.Errorf("after fd_renumber stdout is %q and stderr %q", &g.stdout, &g.stderr)
	}
	g.want(ebadf, "fd_write", 2, 0, 1, 40)
	g.want(ebadf, "fd_renumber", 1, 7)
	g.want(ok, "fd_renumber", 1, 1)
	g.want(ok, "fd_close", 1)
	g.want(ebadf, "fd_close", 1)
	g.want(ebadf, "fd_fdstat_get", 1, 64)
	g.want(ebadf, "fd_filestat_get", 1, 64)
	g.want(ebadf, "fd_fdstat_set_flags", 1, 0)
}

// TestAbsent covers every call this host has no use for: on an open stream, and on no descriptor.
func TestAbsent(t *testing.T) {
	g := start(t)(new(wasip1.Process))
	signatures := make(map[string]int)
	for _, f := range wasip1.Functions() {
		signatures[f.Name] = len(f.Params)
	}
	for name, want := range map[string]int{
		"fd_advise": espipe, "fd_allocate": espipe, "fd_datasync": einval, "fd_fdstat_set_rights": enosys,
		"fd_filestat_set_size": einval, "fd_filestat_set_times": enosys, "fd_pread": espipe, "fd_pwrite": espipe,
		"fd_readdir": enotdir, "fd_seek": espipe, "fd_sync": einval, "fd_tell": espipe,
		"path_create_directory": enotdir, "path_filestat_get": enotdir, "path_filestat_set_times": enotdir,
		"path_link": enotdir, "path_open": enotdir, "path_readlink": enotdir, "path_remove_directory": enotdir,
		"path_rename": enotdir, "path_unlink_file": enotdir, "path_symlink": enotdir,
		"sock_accept": enotsock, "sock_recv": enotsock, "sock_send": enotsock, "sock_shutdown": enotsock,
		"fd_prestat_get": ebadf, "fd_prestat_dir_name": ebadf,
	} {
		params := make([]uint64, signatures[name])
		g.want(want, name, params...)
		params[0] = 3 // where a preopened directory would be
		if name == "path_symlink" {
			params[0], params[2] = 0, 3
		}
		g.want(ebadf, name, params...)
	}
}

func TestRandom(t *testing.T) {
	g := start(t)(new(wasip1.Process))
	g.want(ok, "random_get", 0, 32)
	first := g.text(0, 32)
	g.want(ok, "random_get", 0, 32)
	if first == g.text(0, 32) || first == strings.Repeat("\x00", 32) {
		t.Errorf("random_get twice = %x", first)
	}
	if g.u64(32) != 0 {
		t.Error("random_get wrote behind its buffer")
	}
	g.want(ok, "random_get", outside, 0)
	g.want(efault, "random_get", outside, 4)
	g.want(efault, "random_get", 0, 1<<32-1)
}

func TestExit(t *testing.T) {
	start := start(t)
	for _, test := range []struct {
		name  string
		param uint64
		code  uint32
	}{
		{"proc_exit", 0, 0}, {"proc_exit", 3, 3}, {"proc_exit", 0xffffffff, 0xffffffff}, {"proc_raise", 6, 134},
	} {
		g := start(new(wasip1.Process))
		_, err := g.module.ExportedFunction(test.name).Call(g.ctx, test.param)
		var exit *sys.ExitError
		if !errors.As(err, &exit) || !g.process.Exited || g.process.ExitCode != test.code {
			t.Errorf("%s(%d): %v, exited %v with %d, want %d", test.name, test.param, err, g.process.Exited, g.process.ExitCode, test.code)
		}
		if g.module.IsClosed() {
			t.Errorf("%s closes the instance", test.name)
		}
		g.want(ok, "sched_yield") // and so it can be called again
	}
	g := start(new(wasip1.Process))
	g.want(ok, "proc_raise", 0)
	if g.process.Exited {
		t.Error("signal 0 ends the guest")
	}
}

// subscribe writes a subscription to slot i of the array at 1024.
func (g *guest) subscribe(i int, userdata uint64, kind byte, id uint32, timeout uint64, flags uint16) {
	b := make([]byte, 48)
	binary.LittleEndian.PutUint64(b, userdata)
	b[8] = kind
	binary.LittleEndian.PutUint32(b[16:], id)
	binary.LittleEndian.PutUint64(b[24:], timeout)
	binary.LittleEndian.PutUint16(b[40:], flags)
	g.module.Memory().Write(1024+uint32(i)*48, b)
}

// event is one answer of poll_oneoff.
type event struct {
	userdata uint64
	errno    uint16
	kind     byte
	bytes    uint64
}

func (g *guest) events() (all []event) {
	for i := range g.u32(4) {
		at := 4096 + i*32
		b, _ := g.module.Memory().Read(at, 32)
		all = append(all, event{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint16(b[8:]), b[10], binary.LittleEndian.Uint64(b[16:])})
	}
	return all
}

func TestPoll(t *testing.T) {
	start := start(t)
	synctest.Test(t, func(t *testing.T) {
		g := start(&wasip1.Process{Stdin: []byte("abc")})
		g.t = t
		begin := time.Now()
		elapsed := func(want time.Duration) {
			t.Helper()
			if d := time.Since(begin); d != want {
				t.Errorf("waited %v, want %v", d, want)
			}
			begin = time.Now()
		}
		g.subscribe(0, 7, 0, 1, uint64(time.Hour), 0)
		g.subscribe(1, 8, 0, 0, uint64(2*time.Hour), 0)
		g.want(ok, "poll_oneoff", 1024, 4096, 2, 4)
		elapsed(time.Hour) // in virtual time: the first of the two
		if e := g.events(); len(e) != 1 || e[0] != (event{userdata: 7}) {
			t.Errorf("events = %+v, want the first clock", e)
		}

		g.subscribe(0, 9, 0, 0, uint64(time.Now().Add(time.Minute).UnixNano()), 1) // at a point in time
		g.want(ok, "poll_oneoff", 1024, 4096, 1, 4)
		elapsed(time.Minute)
		g.subscribe(0, 9, 0, 0, uint64(time.Now().Add(-time.Minute).UnixNano()), 1) // in the past
		g.want(ok, "poll_oneoff", 1024, 4096, 1, 4)
		elapsed(0)

		g.subscribe(0, 1, 0, 1, uint64(time.Hour), 0)
		g.subscribe(1, 2, 1, 0, 0, 0) // read standard input
		g.subscribe(2, 3, 2, 1, 0, 0) // write standard output
		g.subscribe(3, 4, 1, 1, 0, 0) // read standard output
		g.subscribe(4, 5, 2, 9, 0, 0) // write what is not there
		g.subscribe(5, 6, 0, 9, 0, 0) // a clock that is not there
		g.subscribe(6, 7, 9, 0, 0, 0) // who knows
		g.want(ok, "poll_oneoff", 1024, 4096, 7, 4)
		elapsed(0)
		want := []event{{2, ok, 1, 3}, {3, ok, 2, 0}, {4, ebadf, 1, 0}, {5, ebadf, 2, 0}, {6, einval, 0, 0}, {7, einval, 9, 0}}
		if got := g.events(); len(got) != len(want) {
			t.Errorf("events = %+v, want %+v", got, want)
		} else {
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("events[%d] = %+v, want %+v", i, got[i], want[i])
				}
			}
		}

		g.want(einval, "poll_oneoff", 1024, 4096, 0, 4)
		g.want(einval, "poll_oneoff", 1024, 4096, wasip1.MaxSubscriptions+1, 4)
		g.want(efault, "poll_oneoff", outside, 4096, 1, 4)
		g.want(efault, "poll_oneoff", 1024, outside, 1, 4)
		g.want(efault, "poll_oneoff", 1024, 4096, 1, outside)
	})
}

// TestPollEndsWithContext checks that a sleeping guest does not outlive its deadline.
func TestPollEndsWithContext(t *testing.T) {
	start := start(t)
	synctest.Test(t, func(t *testing.T) {
		g := start(new(wasip1.Process))
		ctx, cancel := context.WithTimeout(g.ctx, time.Second)
		defer cancel()
		begin := time.Now()
		g.subscribe(0, 1, 0, 1, 1<<64-1, 0)
		_, err := g.module.ExportedFunction("poll_oneoff").Call(ctx, 1024, 4096, 1, 4)
		if !errors.Is(err, wasip1.ErrInterrupted) || time.Since(begin) != time.Second {
			t.Errorf("poll_oneoff: %v after %v, want interrupted after 1s", err, time.Since(begin))
		}
		if _, err := g.module.ExportedFunction("sched_yield").Call(ctx); !errors.Is(err, wasip1.ErrInterrupted) {
			t.Errorf("sched_yield after the deadline: %v, want interrupted", err)
		}
	})
}

// TestFunctions checks the table against the specification's number of calls.
func TestFunctions(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range wasip1.Functions() {
		if seen[f.Name] {
			t.Errorf("%s comes twice", f.Name)
		}
		seen[f.Name] = true
	}
	if len(seen) != 46 {
		t.Errorf("%d functions, want 46", len(seen))
	}
}

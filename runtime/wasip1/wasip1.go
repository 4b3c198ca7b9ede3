// Package wasip1 is a host for WASI preview 1, as small as a function needs it: arguments, environment, standard
// streams, clocks, randomness, sleeping and exit. There is no file system and there are no sockets: their calls
// answer as those of a host without preopened directories do, which is what libc expects to meet.
//
// Its main type is Process, what one invocation sees of the world. The host itself holds no state: every call
// finds its Process in the context, under Key, so one host module serves all invocations at once. Calls never
// read or write outside the guest's memory (they answer EFAULT) and never block past the context.
//
// Source: github.com/WebAssembly/WASI, legacy/preview1/docs.md.
package wasip1

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// ModuleName is the name guests import from.
const ModuleName = "wasi_snapshot_preview1"

// Key is the context key under which calls find their *Process: ctx.Value(wasip1.Key{}).
type Key struct{}

// ErrInterrupted is the trap of a call that was waiting when its context ended.
var ErrInterrupted = errors.New("interrupted while waiting")

// Process is what one invocation sees of the world. It must not be shared by two running guests. After the
// guest ended, Exited and ExitCode tell how.
type Process struct {
	Args  []string
	Env   []string // NAME=value
	Stdin []byte
	// StdinRest is what follows Stdin; nil: nothing. An error but io.EOF ends the guest with that error as its trap.
	StdinRest io.Reader
	Stdout    io.Writer // an error of a writer ends the guest with that error as its trap
	Stderr    io.Writer
	Started   time.Time // from which the monotonic clock counts

	Monotonic time.Duration // what the monotonic clock shows at Started; below a second: a second
	Random    io.Reader     // what random_get answers; nil: the operating system's source
	Waiter    Waiter        // told of waits; nil: nobody

	Exited   bool // proc_exit was called
	ExitCode uint32

	read   int     // bytes of Stdin that were read
	files  [3]file // what descriptors 0, 1 and 2 are
	opened bool    // files is filled in
}

// Waiter is told when a guest waits in a call, and does not use the processor.
type Waiter interface {
	Waiting()
	Waited()
}

// stream is what a descriptor stands for.
type stream uint8

const (
	closed stream = iota
	stdin
	stdout
	stderr
)

type file struct {
	stream stream
	flags  uint16 // as fd_fdstat_set_flags left them
}

// file answers the open file with this descriptor, nil for none.
func (p *Process) file(fd uint32) *file {
	if !p.opened {
		p.files = [3]file{{stream: stdin}, {stream: stdout}, {stream: stderr}}
		p.opened = true
	}
	if fd > 2 || p.files[fd].stream == closed {
		return nil
	}
	return &p.files[fd]
}

// call is one host call: the guest's memory and the values it passed.
type call struct {
	ctx   context.Context
	p     *Process
	mem   api.Memory
	stack []uint64
}

// u32 answers parameter i. The engine leaves garbage in the upper half of 32-bit values.
func (c *call) u32(i int) uint32 { return api.DecodeU32(c.stack[i]) }

// Function is one call the host offers.
type Function struct {
	Name    string
	Params  []api.ValueType
	Results []api.ValueType
	run     func(*call) errno
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// Functions answers every call of WASI preview 1, in the specification's order. All are offered; those this
// host has no use for answer an error number.
func Functions() []Function {
	f := func(name string, run func(*call) errno, params ...api.ValueType) Function {
		return Function{Name: name, Params: params, Results: []api.ValueType{i32}, run: run}
	}
	return []Function{
		f("args_get", argsGet, i32, i32),
		f("args_sizes_get", argsSizesGet, i32, i32),
		f("environ_get", environGet, i32, i32),
		f("environ_sizes_get", environSizesGet, i32, i32),
		f("clock_res_get", clockResGet, i32, i32),
		f("clock_time_get", clockTimeGet, i32, i64, i32),
		f("fd_advise", fdSeek, i32, i64, i64, i32),
		f("fd_allocate", fdSeek, i32, i64, i64),
		f("fd_close", fdClose, i32),
		f("fd_datasync", fdSync, i32),
		f("fd_fdstat_get", fdFdstatGet, i32, i32),
		f("fd_fdstat_set_flags", fdFdstatSetFlags, i32, i32),
		f("fd_fdstat_set_rights", onFile(nosys), i32, i64, i64),
		f("fd_filestat_get", fdFilestatGet, i32, i32),
		f("fd_filestat_set_size", fdSync, i32, i64),
		f("fd_filestat_set_times", onFile(nosys), i32, i64, i64, i32),
		f("fd_pread", fdSeek, i32, i32, i32, i64, i32),
		f("fd_prestat_get", badFile, i32, i32),
		f("fd_prestat_dir_name", badFile, i32, i32, i32),
		f("fd_pwrite", fdSeek, i32, i32, i32, i64, i32),
		f("fd_read", fdRead, i32, i32, i32, i32),
		f("fd_readdir", onFile(notdir), i32, i32, i32, i64, i32),
		f("fd_renumber", fdRenumber, i32, i32),
		f("fd_seek", fdSeek, i32, i64, i32, i32),
		f("fd_sync", fdSync, i32),
		f("fd_tell", fdSeek, i32, i32),
		f("fd_write", fdWrite, i32, i32, i32, i32),
		f("path_create_directory", onFile(notdir), i32, i32, i32),
		f("path_filestat_get", onFile(notdir), i32, i32, i32, i32, i32),
		f("path_filestat_set_times", onFile(notdir), i32, i32, i32, i32, i64, i64, i32),
		f("path_link", onFile(notdir), i32, i32, i32, i32, i32, i32, i32),
		f("path_open", onFile(notdir), i32, i32, i32, i32, i32, i64, i64, i32, i32),
		f("path_readlink", onFile(notdir), i32, i32, i32, i32, i32, i32),
		f("path_remove_directory", onFile(notdir), i32, i32, i32),
		f("path_rename", onFile(notdir), i32, i32, i32, i32, i32, i32),
		f("path_symlink", pathSymlink, i32, i32, i32, i32, i32),
		f("path_unlink_file", onFile(notdir), i32, i32, i32),
		f("poll_oneoff", pollOneoff, i32, i32, i32, i32),
		{Name: "proc_exit", Params: []api.ValueType{i32}, run: procExit},
		f("proc_raise", procRaise, i32),
		f("sched_yield", schedYield),
		f("random_get", randomGet, i32, i32),
		f("sock_accept", onFile(notsock), i32, i32, i32),
		f("sock_recv", onFile(notsock), i32, i32, i32, i32, i32, i32),
		f("sock_send", onFile(notsock), i32, i32, i32, i32, i32),
		f("sock_shutdown", onFile(notsock), i32, i32),
	}
}

// Instantiate makes the host module in r. Call it once a runtime, before the first guest. A guest that runs
// without a Process in its context, or without a memory, traps at its first call.
func Instantiate(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(ModuleName)
	for _, f := range Functions() {
		b.NewFunctionBuilder().WithGoModuleFunction(f.adapt(), f.Params, f.Results).Export(f.Name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// adapt makes a function of ours one of the engine's.
func (f *Function) adapt() api.GoModuleFunc {
	run, answers := f.run, len(f.Results) > 0
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		c := call{ctx: ctx, p: ctx.Value(Key{}).(*Process), mem: mod.Memory(), stack: stack}
		e := run(&c)
		if answers {
			stack[0] = uint64(e)
		}
	}
}

// onFile answers e for an open descriptor and EBADF for another.
func onFile(e errno) func(*call) errno {
	return func(c *call) errno {
		if c.p.file(c.u32(0)) == nil {
			return badf
		}
		return e
	}
}

// badFile answers what a host without preopened directories answers for any descriptor.
func badFile(*call) errno { return badf }

// pathSymlink has its directory in the third parameter.
func pathSymlink(c *call) errno {
	if c.p.file(c.u32(2)) == nil {
		return badf
	}
	return notdir
}

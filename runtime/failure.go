package runtime

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/sett-run/sett/runtime/component"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
)

// failure is why an invocation has no reply.
type failure struct {
	outcome outcome
	reason  string // for the function's log
	err     error  // for whoever invoked; it may reach a client
}

// ErrNoRoom says that the node has no memory for another instance: the event was given to none, and another node may
// have room. It is coded abi.Unavailable.
var ErrNoRoom = abi.WithCode(abi.Unavailable, errors.New("function cannot be run now: no memory is left for another instance"))

// What clients learn of a failure.
var (
	errFailed      = abi.WithCode(abi.FunctionFailed, errors.New("function failed"))
	errTimeout     = abi.WithCode(abi.Timeout, errors.New("function did not answer in time"))
	errUnavailable = abi.WithCode(abi.Unavailable, errors.New("function cannot be run now"))
	errInternal    = abi.WithCode(abi.Internal, errors.New("internal error"))
)

// failed is a failure that is the guest's.
func failed(o outcome, reason string) *failure { return &failure{o, reason, errFailed} }

// fail counts f, writes its reason to the log and answers its error.
func (r *Runtime) fail(f *failure, o *output) error {
	r.metrics.failures[f.outcome].Inc()
	o.platform(levelError, f.reason)
	return f.err
}

// ended says why a call into the guest did not return, nil when the guest exited with code 0.
func (i *instance) ended(c *call, err error) *failure {
	f := c.reason(err)
	if f == nil || !errors.Is(f.err, errFailed) || i.slot == nil {
		return f
	}
	switch refusal := i.slot.Refusal(); {
	case errors.Is(refusal, memory.ErrLimit):
		f.outcome, f.reason = outcomeMemory, memoryHit(memoryLimit(c.version))+f.reason
	case refusal != nil:
		f.outcome, f.reason = outcomeMemory, "the node had no memory left for the function to grow: "+f.reason
	}
	return f
}

func memoryHit(limit uint64) string {
	return "memory limit of " + strconv.FormatUint((limit+1<<20-1)>>20, 10) + " MB was hit: "
}

func (c *call) reason(err error) *failure {
	var trap *host.Trap
	var fault *component.Trap
	var bug goruntime.Error
	var left *lost
	if errors.As(err, &left) {
		if f := left.failure(c); f != nil {
			return f
		}
		err = wasip1.ErrInterrupted
	}
	switch {
	case c.process.Exited && c.process.ExitCode == 0:
		return nil
	case c.process.Exited:
		return failed(outcomeExit, "exit code "+strconv.FormatUint(uint64(c.process.ExitCode), 10))
	case errors.Is(err, wasip1.ErrInterrupted) && errors.Is(c.Err(), context.DeadlineExceeded):
		reason := fmt.Sprintf("timeout: no answer before the deadline; the function's limit is %s", c.version.Settings.Timeout())
		return &failure{outcomeTimeout, reason, errTimeout}
	case errors.Is(err, wasip1.ErrInterrupted):
		return &failure{outcomeCanceled, "canceled: whoever invoked does not wait any more", errUnavailable}
	case errors.Is(err, errOutputLimit):
		return failed(outcomeReply, fmt.Sprintf("standard output is over the limit of %d bytes for a reply",
			c.r.config.MaxReplyBytes))
	case errors.Is(err, errStackOverflow):
		return failed(outcomeTrap, fmt.Sprintf("stack overflow: calls go deeper than %d MiB of call stack", wasmbin.StackBytes>>20))
	case errors.As(err, &trap):
		return failed(outcomeTrap, trap.Reason)
	case errors.As(err, &fault):
		return failed(outcomeTrap, c.component.Function()+": "+fault.Reason)
	case errors.As(err, &bug):
		c.r.config.Log.Error("run guest", "app", c.version.App, "function", c.version.Function, "err", err)
		return &failure{outcomeTrap, "internal error of the node; its log says more", errInternal}
	}
	return failed(outcomeTrap, "trap: "+trapReason(err))
}

// maxFrames is how many callers a trap's reason names; further out they say little.
const maxFrames = 8

// trapReason says in a line why a guest trapped, and where, as far as its functions have names: many are stripped of
// them.
func trapReason(err error) string {
	what, trace, _ := strings.Cut(strings.TrimPrefix(err.Error(), "wasm error: "), "\nwasm stack trace:\n")
	var where []string
	for line := range strings.Lines(trace) {
		name, _, call := strings.Cut(strings.TrimPrefix(line, "\t."), "(")
		if call && len(name) < len(line) && !strings.HasPrefix(name, "$") && len(where) < maxFrames {
			where = append(where, name)
		}
	}
	if len(where) == 0 {
		return what
	}
	return what + " in " + strings.Join(where, ", called by ")
}

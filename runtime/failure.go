package runtime

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/sys"
)

// failure is why an invocation has no reply.
type failure struct {
	outcome outcome
	reason  string // for the function's log
	err     error  // for whoever invoked; it may reach a client
}

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
func (i *instance) ended(ctx context.Context, err error) *failure {
	f := i.reason(ctx, err)
	if f != nil && errors.Is(f.err, errFailed) && i.memory.refused {
		f.outcome = outcomeMemory
		f.reason = "memory limit of " + strconv.FormatUint(i.memory.limit>>20, 10) + " MB was hit: " + f.reason
	}
	return f
}

func (i *instance) reason(ctx context.Context, err error) *failure {
	var trap *host.Trap
	var bug goruntime.Error
	switch {
	case i.process.Exited && i.process.ExitCode == 0:
		return nil
	case i.process.Exited:
		return failed(outcomeExit, "exit code "+strconv.FormatUint(uint64(i.process.ExitCode), 10))
	case isInterruption(err) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		reason := fmt.Sprintf("timeout: no answer before the deadline; the function's limit is %s", timeout(i.version))
		return &failure{outcomeTimeout, reason, errTimeout}
	case isInterruption(err):
		return &failure{outcomeCanceled, "canceled: whoever invoked does not wait any more", errUnavailable}
	case errors.Is(err, errOutputLimit):
		return failed(outcomeReply, "standard output is over the limit of "+
			count(i.r.config.MaxReplyBytes, "bytes for a reply"))
	case errors.As(err, &trap):
		return failed(outcomeTrap, trap.Reason)
	case errors.As(err, &bug):
		i.r.config.Log.Error("run guest", "app", i.version.App, "function", i.version.Function, "err", err)
		return &failure{outcomeTrap, "internal error of the node; its log says more", errInternal}
	}
	return failed(outcomeTrap, strings.TrimPrefix(err.Error(), "wasm error: "))
}

// isInterruption says whether the engine or a waiting call gave up because the context ended.
func isInterruption(err error) bool {
	var exit *sys.ExitError
	return errors.Is(err, wasip1.ErrInterrupted) || errors.As(err, &exit)
}

package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func TestProblemOf(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("write functions: %w", err) }
	for _, test := range []struct {
		err    error
		status int
		code   abi.Code
		detail string // part of it
	}{
		{abi.WithCode(abi.InvalidModule, errors.New("module imports env.foo")), 422, abi.InvalidModule, "env.foo"},
		{wrap(abi.WithCode(abi.Conflict, errors.New("routes tie"))), 409, abi.Conflict, "routes tie"},
		{withStatus(412, abi.Conflict, errors.New("changed")), 412, abi.Conflict, "changed"},
		{wrap(op.ErrConflict), 409, abi.Conflict, "check failed"},
		{wrap(op.ErrNotFound), 404, abi.NotFound, "not found"},
		{wrap(op.ErrTooLarge), 413, abi.TooLarge, "limit"},
		{wrap(op.ErrClosed), 503, abi.Unavailable, "closed"},
		{wrap(syscall.ENOSPC), 507, abi.NoSpace, "no space"},
		{wrap(syscall.EDQUOT), 507, abi.NoSpace, "quota"},
		{wrap(context.Canceled), 503, abi.Unavailable, "canceled"},
		{wrap(context.DeadlineExceeded), 504, abi.Timeout, "deadline"},
		{wrap(os.ErrDeadlineExceeded), 408, abi.Timeout, "too slowly"},
		{wrap(&http.MaxBytesError{Limit: 7}), 413, abi.TooLarge, "limit of 7 bytes"},
		{invocationError{"01ARZ", abi.WithCode(abi.Timeout, errors.New("timeout"))}, 504, abi.Timeout, "timeout"},
		{abi.WithCode(abi.Internal, wrap(context.Canceled)), 503, abi.Unavailable, "canceled"},
		{wrap(op.ErrNoQueue), 404, abi.NotFound, "queue not found"},
		{wrap(op.ErrInFlight), 429, abi.TooManyRequests, "in flight"},
		{errors.New("index out of range"), 500, abi.Internal, "index out of range"},
	} {
		p := problemOf(test.err, caller{admin: true})
		if p.Status != test.status || p.Code != test.code || !strings.Contains(p.Detail, test.detail) || p.Title == "" {
			t.Errorf("problemOf(%v) = %+v, want %d %s %q", test.err, p, test.status, test.code, test.detail)
		}
		if other := problemOf(test.err, caller{app: "shop"}); test.code == abi.Internal && strings.Contains(other.Detail, test.detail) {
			t.Errorf("problemOf(%v) for an app's token tells %q", test.err, other.Detail)
		}
	}
}

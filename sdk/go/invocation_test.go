package sett

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

func newInvocation(e *abi.Event) *invocation {
	c := &invocation{}
	c.begin(e)
	return c
}

func TestInvocation(t *testing.T) {
	deadline := time.UnixMilli(1795400000123)
	e := abi.Event{Invocation: "01J", App: "shop", Function: "users", Version: 3, Trigger: "http", Attempt: 2,
		Pattern: "GET /x", Remote: "r:1", DeadlineUnixMS: deadline.UnixMilli()}
	type key struct{}
	ctx := context.WithValue(newInvocation(&e), key{}, 1)
	want := InvocationInfo{ID: "01J", App: "shop", Function: "users", Version: 3, Trigger: "http", Attempt: 2,
		Pattern: "GET /x", Remote: "r:1", Deadline: deadline}
	if got := Invocation(ctx); got != want {
		t.Errorf("Invocation = %+v, want %+v", got, want)
	}
	if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline) {
		t.Errorf("Deadline = %v %v, want %v", got, ok, deadline)
	}
	if got := Invocation(context.Background()); got != (InvocationInfo{}) {
		t.Errorf("Invocation of a foreign context = %+v, want the zero value", got)
	}
	if _, ok := newInvocation(&abi.Event{}).Deadline(); ok {
		t.Error("an event without deadline has one")
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newInvocation(&abi.Event{DeadlineUnixMS: time.Now().Add(time.Second).UnixMilli()})
		child, cancel := context.WithCancel(c)
		defer cancel()
		if c.Err() != nil {
			t.Fatalf("Err before the deadline = %v", c.Err())
		}
		<-child.Done()
		if got := time.Until(c.deadline); got > 0 {
			t.Errorf("done %v before the deadline", got)
		}
		if !errors.Is(child.Err(), context.DeadlineExceeded) || !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("Err after the deadline = %v, %v, want %v", c.Err(), child.Err(), context.DeadlineExceeded)
		}
	})
}

func TestContextEndsWithItsHandler(t *testing.T) {
	for name, look := range map[string]bool{"seen before": true, "seen after": false} {
		t.Run(name, func(t *testing.T) {
			c := newInvocation(&abi.Event{})
			if look {
				c.Done()
			}
			if c.Err() != nil {
				t.Fatalf("Err while the handler runs = %v", c.Err())
			}
			c.end()
			if !errors.Is(c.Err(), context.Canceled) {
				t.Errorf("Err before Done = %v, want %v", c.Err(), context.Canceled)
			}
			<-c.Done()
			if !errors.Is(c.Err(), context.Canceled) {
				t.Errorf("Err after the handler = %v, want %v", c.Err(), context.Canceled)
			}
		})
	}
}

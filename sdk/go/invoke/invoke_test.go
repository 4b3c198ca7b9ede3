package invoke_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
	"github.com/sett-run/sett/sdk/go/invoke"
	"github.com/sett-run/sett/sdk/go/settest"
)

type order struct{ ID int }

func TestInvoke(t *testing.T) {
	if _, err := invoke.Sync(settest.Context(t), "charge", nil); !errors.Is(err, invoke.ErrUnsupported) {
		t.Errorf("without functions: %v, want %v", err, invoke.ErrUnsupported)
	}
	var asked []settest.Invocation
	settest.Invocations(t, func(_ context.Context, i settest.Invocation) ([]byte, error) {
		asked = append(asked, i)
		switch i.Function {
		case "fails":
			return nil, fmt.Errorf("%w: no stock", invoke.ErrFailed)
		case "text":
			return []byte("no JSON"), nil
		}
		return []byte(`{"ID":8}`), nil
	})
	ctx := settest.Context(t)
	var out order
	if err := invoke.JSON(ctx, "charge:v4", order{7}, &out); err != nil || out.ID != 8 {
		t.Errorf("JSON = %+v, %v", out, err)
	}
	if id, err := invoke.Async(ctx, "mail:canary", []byte("hello")); err != nil || id != `{"ID":8}` {
		t.Errorf("Async = %q, %v", id, err)
	}
	want := []settest.Invocation{{Function: "charge", Qualifier: "v4", Payload: []byte(`{"ID":7}`)},
		{Function: "mail", Qualifier: "canary", Async: true, Payload: []byte("hello")}}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %+v, want %+v", asked, want)
	}
	if err := invoke.JSON(ctx, "charge", 1, nil); err != nil {
		t.Errorf("a result that nobody wants: %v", err)
	}
	_, err := invoke.Sync(ctx, "fails", nil)
	if !errors.Is(err, invoke.ErrFailed) || err.Error() != "invoke fails: the function failed: no stock" {
		t.Errorf("err = %v", err)
	}
	if err := invoke.JSON(ctx, "text", 1, &out); err == nil {
		t.Error("a result that is no JSON is no error")
	}
	if err := invoke.JSON(ctx, "charge", func() {}, &out); err == nil {
		t.Error("a payload that is no JSON is no error")
	}
}

func TestStatus(t *testing.T) {
	for status, fails := range map[int]bool{0: false, 200: false, 204: false, 299: false, 302: true, 404: true, 500: true} {
		ctx := host.WithWorld(t.Context(), host.World{Invoke: func(context.Context, *abi.InvokeRequest) (*abi.Reply, error) {
			return &abi.Reply{Status: status, Body: []byte("body")}, nil
		}})
		body, err := invoke.Sync(ctx, "f", nil)
		var e *invoke.StatusError
		if errors.As(err, &e) != fails || fails && (e.Status != status || string(e.Body) != "body") || !fails && string(body) != "body" {
			t.Errorf("status %d: %q, %v", status, body, err)
		}
	}
}

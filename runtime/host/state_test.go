package host_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/sdk/abi"
)

// failing is a store that answers an error.
type failing struct {
	op.Memory
	err error
}

func (f *failing) List(context.Context, string, op.Query) (op.Page, error) { return op.Page{}, f.err }

func TestState(t *testing.T) {
	ctx := context.Background()
	c := host.Call{App: "app", Store: new(op.Memory), MaxStoreCalls: 4}
	if items, err := c.Items(ctx, []string{"k"}); err != nil || len(items) != 1 || items[0].Revision != 0 {
		t.Errorf("Items of an absent key = %+v, %v", items, err)
	}
	if _, err := c.Commit(ctx, op.Txn{Namespace: "other", Ops: []op.Op{{Kind: op.Set, Key: "k", Value: []byte("v")}}}); err != nil {
		t.Fatal(err)
	}
	items, err := c.Items(ctx, []string{"k", "l"})
	if err != nil || len(items) != 2 || string(items[0].Value) != "v" || items[1].Revision != 0 {
		t.Errorf("Items = %+v, %v", items, err)
	}
	if page, err := c.Page(ctx, op.Query{KeysOnly: true}); err != nil || len(page.Items) != 1 {
		t.Errorf("Page = %+v, %v", page, err)
	}
	if _, err := c.Page(ctx, op.Query{}); !errors.Is(err, abi.ErrStoreCalls) {
		t.Errorf("the fifth call: %v, want %v", err, abi.ErrStoreCalls)
	}
	if _, err := new(host.Call).Items(ctx, nil); !errors.Is(err, abi.ErrNoStore) {
		t.Errorf("a call without a store: %v, want %v", err, abi.ErrNoStore)
	}
	disk := errors.New("disk is on fire")
	c = host.Call{App: "app", Store: &failing{err: disk}, MaxStoreCalls: 1}
	if _, err := c.Page(ctx, op.Query{}); !errors.Is(err, abi.ErrStoreFailed) || errors.Is(err, disk) || !errors.Is(c.StoreFault, disk) {
		t.Errorf("a broken store: %v and %v, want %v and %v", err, c.StoreFault, abi.ErrStoreFailed, disk)
	}
	c = host.Call{App: "app", Store: &failing{err: op.ErrUnavailable}, MaxStoreCalls: 1}
	if _, err := c.Page(ctx, op.Query{}); !errors.Is(err, op.ErrUnavailable) || c.StoreFault != nil {
		t.Errorf("a store without a leader: %v", err)
	}
}

func TestSend(t *testing.T) {
	o := &outside{reply: abi.Reply{Status: 200}}
	c := host.Call{App: "app", Egress: []string{"b.org"}, Fetcher: o, MaxOutgoing: 1}
	for _, r := range []*abi.FetchRequest{
		{URL: strings.Repeat("a", abi.MaxURLBytes+1)},
		{Headers: []abi.Field{{Name: "a", Value: strings.Repeat("b", abi.MaxFetchHeaderBytes)}}},
		{Headers: make([]abi.Field, abi.MaxHeaders+1)},
		{Body: make([]byte, abi.MaxFetchRequestBytes+1)},
	} {
		if _, err := c.Send(r); !errors.Is(err, abi.ErrOverLimit) {
			t.Errorf("Send: %v, want %v", err, abi.ErrOverLimit)
		}
	}
	send, err := c.Send(&abi.FetchRequest{URL: "http://b.org"})
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := send(context.Background()); err != nil || reply.Status != 200 || o.by.App != "app" || o.by.Egress[0] != "b.org" {
		t.Errorf("send: %+v, %v, by %+v", reply, err, o.by)
	}
	if _, err := c.Send(&abi.FetchRequest{URL: "http://b.org"}); !errors.Is(err, abi.ErrOutgoingCalls) {
		t.Errorf("the second request: %v, want %v", err, abi.ErrOutgoingCalls)
	}
	if _, err := new(host.Call).Send(new(abi.FetchRequest)); !errors.Is(err, abi.ErrNoOutgoing) {
		t.Errorf("Send where nobody fetches: %v", err)
	}
}

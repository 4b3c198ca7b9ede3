package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func TestAuthorityRecord(t *testing.T) {
	r, ctx := NewRecords(&op.Memory{}), t.Context()
	if _, _, err := r.Authority(ctx, strong()); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Authority of an empty store = %v", err)
	}
	a := authority(t)
	if err := r.PutAuthority(ctx, a, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.PutAuthority(ctx, authority(t), 0); abi.CodeOf(err) != abi.Conflict {
		t.Errorf("a second PutAuthority = %v, want a conflict", err)
	}
	got, revision, err := r.Authority(ctx, strong())
	if err != nil || got.Cluster() != a.Cluster() {
		t.Fatalf("Authority = %v, %v", got, err)
	}
	if err := r.PutAuthority(ctx, a, revision); err != nil {
		t.Errorf("PutAuthority at its revision = %v", err)
	}
}

func TestKeyring(t *testing.T) {
	r, ctx := NewRecords(&op.Memory{}), t.Context()
	one, two := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16)
	if err := r.PutKeyring(ctx, [][]byte{one}, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.PutKeyring(ctx, [][]byte{two}, 0); abi.CodeOf(err) != abi.Conflict {
		t.Errorf("PutKeyring at another revision = %v", err)
	}
	_, revision, err := r.Keyring(ctx, strong())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.PutKeyring(ctx, [][]byte{two, one}, revision); err != nil {
		t.Fatal(err)
	}
	keys, _, err := r.Keyring(ctx, strong())
	if err != nil || len(keys) != 2 || !bytes.Equal(keys[0], two) || !bytes.Equal(keys[1], one) {
		t.Errorf("Keyring = %d keys, %v", len(keys), err)
	}
	for _, keys := range [][][]byte{nil, {one[:31]}, slices.Repeat([][]byte{one}, maxKeys+1)} {
		if err := r.PutKeyring(ctx, keys, revision); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("PutKeyring of %d keys = %v", len(keys), err)
		}
	}
}

func TestMembers(t *testing.T) {
	r, ctx := NewRecords(&op.Memory{}), t.Context()
	m := Member{ID: "0000000000000001", Name: "one", Role: Voter, Joined: time.Now().UTC()}
	if err := r.PutMember(ctx, m); err != nil {
		t.Fatal(err)
	}
	m.Role = Reader
	if err := r.PutMember(ctx, m); err != nil {
		t.Fatal(err)
	}
	if err := r.PutMember(ctx, Member{ID: "0000000000000002", Name: "two", Region: "eu", Role: Voter}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.RemoveMember(ctx, m.ID); err != nil {
			t.Errorf("RemoveMember = %v", err)
		}
	}
	if err := r.PutMember(ctx, m); !errors.Is(err, ErrRemoved) || abi.CodeOf(err) != abi.Forbidden {
		t.Errorf("PutMember of a removed node = %v", err)
	}
	if err := r.RemoveMember(ctx, newID()); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("RemoveMember of nobody = %v", err)
	}
	got, err := r.Members(ctx, op.Read{})
	if err != nil || len(got) != 2 || got[0].Removed.IsZero() || got[0].Role != Reader || got[1].Region != "eu" || !got[1].Removed.IsZero() {
		t.Errorf("Members = %+v, %v", got, err)
	}
	for _, bad := range []Member{{ID: "x", Name: "n", Role: Voter}, {ID: m.ID, Role: Voter}, {ID: m.ID, Name: "n", Role: "leader"}, {ID: m.ID, Name: "n", Region: "E U", Role: Voter}} {
		if err := r.PutMember(ctx, bad); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("PutMember(%+v) = %v", bad, err)
		}
	}
}

func TestInvites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		r, ctx, addresses := d.records, t.Context(), []string{"a:1"}
		for range 2 { // are used, and do not count
			used, member := d.invite(Invitation{}), Member{ID: newID(), Name: "n", Role: Voter}
			if _, err := r.Redeem(ctx, Redemption{Invite: used.Invite, Secret: used.Secret, Member: member}); err != nil {
				t.Fatal(err)
			}
		}
		for range MaxInvites {
			d.invite(Invitation{})
		}
		if _, err := r.Invite(ctx, Invitation{Addresses: addresses}); abi.CodeOf(err) != abi.TooManyRequests {
			t.Errorf("one more Invite = %v, want %s", err, abi.TooManyRequests)
		}
		time.Sleep(DefaultInviteTTL)
		token := d.invite(Invitation{})
		page, err := r.store.List(ctx, op.System, op.Query{Prefix: InvitePrefix})
		if err != nil || len(page.Items) != 1 {
			t.Errorf("%d invites are left, want 1: %v", len(page.Items), err)
		}
		if bytes.Contains(page.Items[0].Value, token.Secret[:]) || strings.Contains(string(page.Items[0].Value), token.Text()) {
			t.Error("the record holds the secret")
		}
		for name, i := range map[string]Invitation{
			"no address": {}, "a role": {Role: "leader", Addresses: addresses},
			"too short": {TTL: MinInviteTTL - 1, Addresses: addresses}, "too long": {TTL: MaxInviteTTL + 1, Addresses: addresses},
		} {
			if _, err := r.Invite(ctx, i); abi.CodeOf(err) != abi.InvalidInput {
				t.Errorf("%s: Invite = %v", name, err)
			}
		}
	})
}

// TestRedeemRace: of many nodes that use one token at the same moment one is let in.
func TestRedeemRace(t *testing.T) {
	d := newDen(t)
	for range 20 {
		token := d.invite(Invitation{TTL: time.Minute})
		const nodes = 8
		var work sync.WaitGroup
		var errs [nodes]error
		var ids [nodes]string
		for n := range nodes {
			ids[n] = newID()
			work.Go(func() {
				_, errs[n] = d.records.Redeem(t.Context(), Redemption{Invite: token.Invite, Secret: token.Secret,
					Key: Fingerprint{byte(n)}, Member: Member{ID: ids[n], Name: fmt.Sprint("node", n)}})
			})
		}
		work.Wait()
		won := 0
		for n, err := range errs {
			_, _, missing := d.records.Member(t.Context(), ids[n], strong())
			if err == nil {
				won++
			} else if !errors.Is(err, ErrUsedToken) {
				t.Errorf("Redeem = %v, want %v", err, ErrUsedToken)
			}
			if (err == nil) != (missing == nil) {
				t.Errorf("Redeem = %v, and the member: %v", err, missing)
			}
		}
		if won != 1 {
			t.Fatalf("%d nodes are let in with one token", won)
		}
		d.records.store.(*op.Memory).Commit(t.Context(), op.Txn{Namespace: op.System, Ops: []op.Op{{Kind: op.DeletePrefix, Key: InvitePrefix}}})
	}
}

// interloper is a store in which another transaction comes before the first commit.
type interloper struct {
	Store
	before func()
}

func (s *interloper) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	if before := s.before; before != nil {
		s.before = nil
		before()
	}
	return s.Store.Commit(ctx, t)
}

// TestRedeemOneID: two nodes that claim one id at the same moment, each with a token, are not both let in.
func TestRedeemOneID(t *testing.T) {
	d := newDen(t)
	one, two, id := d.invite(Invitation{}), d.invite(Invitation{}), newID()
	use := func(token Token, key byte) Redemption {
		return Redemption{Invite: token.Invite, Secret: token.Secret, Key: Fingerprint{key}, Member: Member{ID: id, Name: "n"}}
	}
	late := NewRecords(&interloper{Store: d.records.store, before: func() {
		if _, err := d.records.Redeem(t.Context(), use(two, 2)); err != nil {
			t.Errorf("the first Redeem = %v", err)
		}
	}})
	if _, err := late.Redeem(t.Context(), use(one, 1)); abi.CodeOf(err) != abi.Conflict {
		t.Errorf("the second Redeem = %v (%s), want a conflict", err, abi.CodeOf(err))
	}
}

func TestRedeemAgainNeedsTheKey(t *testing.T) {
	d := newDen(t)
	token := d.invite(Invitation{})
	use := Redemption{Invite: token.Invite, Secret: token.Secret, Key: Fingerprint{1}, Member: Member{ID: newID(), Name: "n"}}
	for range 3 {
		if role, err := d.records.Redeem(t.Context(), use); role != Voter || err != nil {
			t.Errorf("Redeem = %v, %v", role, err)
		}
	}
	otherKey, otherNode := use, use
	otherKey.Key[0]++
	otherNode.Member.ID = newID()
	for name, r := range map[string]Redemption{"another key": otherKey, "another node": otherNode} {
		if _, err := d.records.Redeem(t.Context(), r); !errors.Is(err, ErrUsedToken) {
			t.Errorf("%s: Redeem = %v, want %v", name, err, ErrUsedToken)
		}
	}
}

// busy is a store on which others always come first, or that answers an error.
type busy struct {
	Store
	err   error
	tries int
}

func (b *busy) Commit(context.Context, op.Txn) (op.Result, error) {
	b.tries++
	return op.Result{}, b.err
}

func TestChangesEnd(t *testing.T) {
	for _, c := range []struct {
		err   error
		code  abi.Code
		tries int
	}{{op.ErrConflict, abi.Conflict, maxAttempts}, {op.ErrUnavailable, abi.Unavailable, 1}, {op.ErrUnknown, abi.Unavailable, 1}} {
		b := &busy{Store: &op.Memory{}, err: c.err}
		err := NewRecords(b).PutMember(t.Context(), Member{ID: newID(), Name: "n", Role: Voter})
		if abi.CodeOf(err) != c.code || b.tries != c.tries {
			t.Errorf("%v: PutMember = %v (%s) after %d tries, want %s after %d", c.err, err, abi.CodeOf(err), b.tries, c.code, c.tries)
		}
	}
}

package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

func tokensOn(m *memory) *tokens {
	return &tokens{store: m, log: slog.New(slog.DiscardHandler)}
}

func TestTokenIsHashedAtRest(t *testing.T) {
	store := newMemory()
	tokens := tokensOn(store)
	made, err := tokens.create(context.Background(), client.TokenRequest{Name: "ci", App: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^sett_[A-Za-z0-9_-]{43}$`).MatchString(made.Secret) {
		t.Errorf("secret %q does not carry 32 random bytes behind sett_", made.Secret)
	}
	if made.Last4 != made.Secret[len(made.Secret)-4:] {
		t.Errorf("last4 = %q of secret %q", made.Last4, made.Secret)
	}
	for item, err := range op.All(context.Background(), store, op.System, op.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		body := strings.TrimPrefix(made.Secret, tokenPrefix)
		for at := 0; at+8 <= len(body); at++ {
			if part := body[at : at+8]; strings.Contains(string(item.Value), part) {
				t.Errorf("record %q holds part of the secret", item.Key)
			}
		}
	}
	got, err := tokensOn(store).check(context.Background(), made.Secret)
	if err != nil || got != made.Token {
		t.Errorf("check = %+v, %v; want %+v", got, err, made.Token)
	}
	other, err := tokens.create(context.Background(), client.TokenRequest{Name: "ci"})
	if err != nil || other.Secret == made.Secret || other.ID == made.ID {
		t.Errorf("second token %+v, %v; want another one", other.Token, err)
	}
}

func TestTokenCheckRefuses(t *testing.T) {
	tokens := tokensOn(newMemory())
	made, err := tokens.create(context.Background(), client.TokenRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"", "sett_", made.Secret + "x", made.Secret[:len(made.Secret)-1], strings.ToUpper(made.Secret), made.ID} {
		if _, err := tokens.check(context.Background(), secret); abi.CodeOf(err) != abi.Unauthorized {
			t.Errorf("check(%q): %v, want %s", secret, err, abi.Unauthorized)
		}
	}
	if err := tokens.revoke(context.Background(), made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.check(context.Background(), made.Secret); abi.CodeOf(err) != abi.Unauthorized {
		t.Errorf("check of a revoked token: %v, want %s at once", err, abi.Unauthorized)
	}
	if err := tokens.revoke(context.Background(), made.ID); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("revoke twice: %v, want %s", err, abi.NotFound)
	}
}

func TestTokenRequestLimits(t *testing.T) {
	for _, test := range []struct {
		ask client.TokenRequest
		ok  bool
	}{
		{client.TokenRequest{Name: "a laptop"}, true},
		{client.TokenRequest{Name: strings.Repeat("n", maxTokenNameBytes), App: "shop"}, true},
		{client.TokenRequest{}, false},
		{client.TokenRequest{Name: strings.Repeat("n", maxTokenNameBytes+1)}, false},
		{client.TokenRequest{Name: "a\nb"}, false},
		{client.TokenRequest{Name: "\xff"}, false},
		{client.TokenRequest{Name: "x", App: "../etc"}, false},
		{client.TokenRequest{Name: "x", App: "Shop"}, false},
	} {
		_, err := tokensOn(newMemory()).create(context.Background(), test.ask)
		if (err == nil) != test.ok || err != nil && abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("create %+v: %v, want accepted %v", test.ask, err, test.ok)
		}
	}
}

func TestTokensAreLimitedInNumber(t *testing.T) {
	store := newMemory()
	for i := range MaxTokens {
		id := fmt.Sprintf("%06d", i)
		store.put(t, "t/"+id, fmt.Sprintf(`{"id":%q,"sha256":%q}`, id, strings.Repeat("0", 64)))
	}
	tokens := tokensOn(store)
	if _, err := tokens.create(context.Background(), client.TokenRequest{Name: "one more"}); abi.CodeOf(err) != abi.Conflict {
		t.Errorf("token over the limit: %v, want %s", err, abi.Conflict)
	}
	if err := tokens.revoke(context.Background(), "000007"); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.create(context.Background(), client.TokenRequest{Name: "one more"}); err != nil {
		t.Errorf("token after one was revoked: %v", err)
	}
}

func TestDamagedTokenKeepsNobodyElseOut(t *testing.T) {
	store := newMemory()
	tokens := tokensOn(store)
	made, err := tokens.create(context.Background(), client.TokenRequest{Name: "good"})
	if err != nil {
		t.Fatal(err)
	}
	for id, value := range map[string]string{"a": "{", "b": `{"id":"b","sha256":""}`, "c": `{"id":"other","sha256":"` + strings.Repeat("0", 64) + `"}`} {
		store.put(t, "t/"+id, value)
	}
	fresh := tokensOn(store)
	if _, err := fresh.check(context.Background(), made.Secret); err != nil {
		t.Errorf("check beside damaged records: %v", err)
	}
	if list, err := fresh.list(context.Background()); err != nil || len(list) != 1 {
		t.Errorf("list = %v, %v; want the good one", list, err)
	}
}

func TestTokenRevokedElsewhereEndsWithinTheCachesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		here, elsewhere := tokensOn(store), tokensOn(store)
		made, err := here.create(context.Background(), client.TokenRequest{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := here.check(context.Background(), made.Secret); err != nil {
				t.Fatal(err)
			}
		}
		if store.lists > 3 {
			t.Errorf("the store was read %d times for 100 requests at once", store.lists)
		}
		if err := elsewhere.revoke(context.Background(), made.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(tokenCacheAge)
		if _, err := here.check(context.Background(), made.Secret); abi.CodeOf(err) != abi.Unauthorized {
			t.Errorf("check %v after revocation elsewhere: %v, want %s", tokenCacheAge, err, abi.Unauthorized)
		}
		store.fail = errors.New("disk is gone")
		time.Sleep(tokenCacheAge)
		if _, err := here.check(context.Background(), made.Secret); err == nil {
			t.Error("check without a store let a token in")
		}
	})
}

// leaderless is a store that reads, and whose changes wait for a leader.
type leaderless struct{ *memory }

func (leaderless) Commit(ctx context.Context, _ op.Txn) (op.Result, error) {
	<-ctx.Done()
	return op.Result{}, ctx.Err()
}

func (l leaderless) List(ctx context.Context, namespace string, q op.Query) (op.Page, error) {
	if q.Read.Consistency == op.Strong {
		<-ctx.Done()
		return op.Page{}, ctx.Err()
	}
	return l.memory.List(ctx, namespace, q)
}

// TestTokensWithoutALeader holds that whoever has a token does not wait for who changes one.
func TestTokensWithoutALeader(t *testing.T) {
	for name, change := range map[string]func(context.Context, *tokens) error{
		"create": func(ctx context.Context, tokens *tokens) error {
			_, err := tokens.create(ctx, client.TokenRequest{Name: "x"})
			return err
		},
		"revoke": func(ctx context.Context, tokens *tokens) error { return tokens.revoke(ctx, "x") },
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			made, err := tokensOn(store).create(context.Background(), client.TokenRequest{Name: "kept"})
			if err != nil {
				t.Fatal(err)
			}
			tokens := &tokens{store: leaderless{store}, log: slog.New(slog.DiscardHandler)}
			ctx, cancel := context.WithCancel(context.Background())
			changed := make(chan error)
			go func() { changed <- change(ctx, tokens) }()
			time.Sleep(tokenCacheAge)
			if _, err := tokens.check(context.Background(), made.Secret); err != nil { // never returns, if it waits
				t.Errorf("check during %s: %v", name, err)
			}
			cancel()
			if err := <-changed; !errors.Is(err, context.Canceled) {
				t.Errorf("%s = %v, want %v", name, err, context.Canceled)
			}
		})
	}
}

// TestTokenCacheUnderRace checks, creates and revokes at once; a token never works once its revocation returned.
func TestTokenCacheUnderRace(t *testing.T) {
	tokens := tokensOn(newMemory())
	keeper, err := tokens.create(context.Background(), client.TokenRequest{Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for range 50 {
				made, err := tokens.create(context.Background(), client.TokenRequest{Name: fmt.Sprint("worker ", worker)})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := tokens.check(context.Background(), made.Secret); err != nil {
					t.Errorf("new token: %v", err)
				}
				if err := tokens.revoke(context.Background(), made.ID); err != nil {
					t.Error(err)
				}
				if _, err := tokens.check(context.Background(), made.Secret); abi.CodeOf(err) != abi.Unauthorized {
					t.Errorf("revoked token: %v, want %s", err, abi.Unauthorized)
				}
				if _, err := tokens.check(context.Background(), keeper.Secret); err != nil {
					t.Errorf("kept token: %v", err)
				}
			}
		})
	}
	group.Wait()
}

// lagging is a store on a node that is behind: it shows nothing to whoever has seen nothing.
type lagging struct{ *memory }

func (l lagging) List(ctx context.Context, namespace string, q op.Query) (op.Page, error) {
	if q.Read.Seen == 0 && q.Read.Consistency != op.Strong {
		return op.Page{}, nil
	}
	return l.memory.List(ctx, namespace, q)
}

func TestTokenWorksAtOnceOnANodeThatIsBehind(t *testing.T) {
	tokens := &tokens{store: lagging{newMemory()}, log: slog.New(slog.DiscardHandler)}
	made, err := tokens.create(context.Background(), client.TokenRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.check(context.Background(), made.Secret); err != nil {
		t.Errorf("check of a new token: %v", err)
	}
	if err := tokens.revoke(context.Background(), made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.check(context.Background(), made.Secret); abi.CodeOf(err) != abi.Unauthorized {
		t.Errorf("check of a revoked token: %v, want %s", err, abi.Unauthorized)
	}
}

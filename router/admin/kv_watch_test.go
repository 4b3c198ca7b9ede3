package admin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

func set(t testing.TB, m *op.Memory, key, value string) uint64 {
	t.Helper()
	done, err := m.Commit(context.Background(), op.Txn{Namespace: "shop", Ops: []op.Op{{Kind: op.Set, Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	return done.Revision
}

func TestWatchShowsWhatWasAndWhatComes(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	before := set(t, &w.keys, "a/1", "old")
	first := set(t, &w.keys, "a/\xff", "x")
	set(t, &w.keys, "b", "not asked for")
	kv := connect(t, server, "").KV()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var got []string
	var last error
	for c, err := range kv.Watch(ctx, "shop", "a/", before) {
		if last = err; err != nil {
			break
		}
		got = append(got, c.Key+"="+string(c.Value))
		switch len(got) { // each is made only after the one before has arrived
		case 1:
			if c.Revision != first {
				t.Errorf("first change %+v, want revision %d", c, first)
			}
			if _, err := kv.Put(ctx, "shop", "a/1", client.Put{}); err != nil {
				t.Fatal(err)
			}
		case 2:
			if c.Deleted {
				t.Errorf("an empty value shows as deleted: %+v", c)
			}
			if _, err := kv.Delete(ctx, "shop", "a/1"); err != nil {
				t.Fatal(err)
			}
		case 3:
			if !c.Deleted {
				t.Errorf("%+v is not deleted", c)
			}
			cancel()
		}
	}
	if want := []string{"a/\xff=x", "a/1=", "a/1="}; !slices.Equal(got, want) || !errors.Is(last, context.Canceled) {
		t.Errorf("watch: %q, then %v; want %q", got, last, want)
	}
}

// TestWatchFromNowMissesNothing holds that what is changed once the response has begun is seen.
func TestWatchFromNowMissesNothing(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	now := set(t, &w.keys, "k", "before")
	res, err := http.Get(server.URL + "/v1/apps/shop/kv/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if from := res.Header.Get(client.RevisionHeader); from != "4096" || now != 4096 {
		t.Errorf("watch begins at %s, want %d", from, now)
	}
	set(t, &w.keys, "k", "after")
	line := make([]byte, 200)
	n, err := res.Body.Read(line)
	if want := `{"key":"k","revision":8192,"value":"after"}` + "\n"; err != nil || string(line[:n]) != want {
		t.Errorf("line %q, %v; want %q", line[:n], err, want)
	}
}

func TestWatchOfWhatIsCompacted(t *testing.T) {
	w := newWorld(t)
	w.keys.History = 2
	_, server := w.start(t, nil)
	old := set(t, &w.keys, "k", "1")
	for range 4 {
		set(t, &w.keys, "k", "2")
	}
	var errs []error
	for _, err := range connect(t, server, "").KV().Watch(context.Background(), "shop", "", old) {
		errs = append(errs, err)
	}
	var e *client.Error
	if len(errs) != 1 || !errors.Is(errs[0], op.ErrCompacted) || !errors.As(errs[0], &e) || e.Status != 410 || e.Reason != client.Compacted {
		t.Errorf("watch: %v, want %v alone", errs, op.ErrCompacted)
	}
	_, text := call(t, server, "GET", "/v1/apps/shop/kv/watch?from=1", "")
	if !strings.HasPrefix(text, `{"error":{"title":"Gone","status":410,"code":"invalid_input"`) || strings.Count(text, "\n") != 1 {
		t.Errorf("watch as text: %s", text)
	}
}

func TestDrainEndsWatches(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, nil)
	from := set(t, &w.keys, "k", "1")
	var last error
	for _, err := range connect(t, server, "").KV().Watch(context.Background(), "shop", "", from-1) {
		last = err
		a.Drain()
	}
	if abi.CodeOf(last) != abi.Unavailable || !strings.Contains(last.Error(), "the node ended it") {
		t.Errorf("watch at drain ended with %v, want %s", last, abi.Unavailable)
	}
}

func TestWatchesAreLimited(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, func(c *Config) { c.Limits.Followers = 1 })
	from := set(t, &w.keys, "k", "1")
	kv := connect(t, server, "").KV()
	for _, err := range kv.Watch(context.Background(), "shop", "", from-1) {
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range kv.Watch(context.Background(), "shop", "", from-1) {
			if abi.CodeOf(err) != abi.TooManyRequests {
				t.Errorf("second watch: %v, want %s", err, abi.TooManyRequests)
			}
		}
		break
	}
}

func TestWatchHasAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, err := New(w.config())
		if err != nil {
			t.Fatal(err)
		}
		set(t, &w.keys, "k", "1")
		ctx, cancel := context.WithCancel(context.Background())
		out := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.ServeHTTP(out, httptest.NewRequestWithContext(ctx, "GET", "http://localhost/v1/apps/shop/kv/watch", nil))
		}()
		time.Sleep(2*client.WatchHeartbeat + time.Second)
		set(t, &w.keys, "k", "2")
		time.Sleep(client.WatchHeartbeat)
		cancel()
		<-done
		if want := "\n\n" + `{"key":"k","revision":8192,"value":"2"}` + "\n\n"; out.Body.String() != want {
			t.Errorf("watch wrote %q, want %q", out.Body, want)
		}
	})
}

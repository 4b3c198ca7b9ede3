package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

const size = 200_000

// inOrder answers holders of which a node asks first in their order: spread leaves what is not among the nearest.
func inOrder(self, digest string, nodes ...Node) []Node {
	if len(nodes) > nearest {
		panic("spread draws the first of only so many")
	}
	for seed := range 10_000 {
		renamed := slices.Clone(nodes)
		for i := range renamed {
			renamed[i].ID = fmt.Sprintf("%016x", seed*10+i)
		}
		if slices.Equal(spread(self, digest, renamed), renamed) {
			return renamed
		}
	}
	panic("no order found")
}

// fetching fetches content as node "self" from keepers in their order.
type fetching struct {
	*world
	client  *Client
	sink    *modules
	request FetchRequest
}

func newFetching(t *testing.T, content []byte, keepers ...*keeper) *fetching {
	w := newWorld(t)
	var nodes []Node
	for i, k := range keepers {
		nodes = append(nodes, w.serve(fmt.Sprint("keeper", i), k))
	}
	digest := digestOf(content)
	return &fetching{w, w.client("self"), newModules(t), FetchRequest{
		Digest: digest, SizeBytes: int64(len(content)), Holders: inOrder("self", digest, nodes...), Received: new(atomic.Int64),
	}}
}

func (f *fetching) fetch(ctx context.Context) error { return f.client.Fetch(ctx, f.request, f.sink) }

func (f *fetching) wantThere(t *testing.T, content []byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.sink.dir, f.request.Digest))
	if err != nil || !bytes.Equal(b, content) {
		t.Errorf("the module is not there: %d bytes, %v", len(b), err)
	}
	if n := f.request.Received.Load(); n != int64(len(content)) {
		t.Errorf("Received = %d, want %d", n, len(content))
	}
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func(t *testing.T)) { t.Helper(); synctest.Test(t, test) }

func TestFetchFromTheFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		content := bytesOf(size)
		a, b := &keeper{content: content}, &keeper{content: content}
		f := newFetching(t, content, a, b)
		for range 2 { // the second time it is there
			if err := f.fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		f.wantThere(t, content)
		a.want(t, "a", 1, size)
		b.want(t, "b", 0, 0)
	})
}

func TestFetchGoesOnAtTheNextHolder(t *testing.T) {
	for _, stall := range []bool{false, true} {
		t.Run(fmt.Sprint("stall=", stall), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				content := bytesOf(size)
				a, b := &keeper{content: content, cut: 70_001, stall: stall}, &keeper{content: content, cut: 50_000}
				c := &keeper{content: content}
				f := newFetching(t, content, a, b, c)
				start := time.Now()
				if err := f.fetch(t.Context()); err != nil {
					t.Fatal(err)
				}
				f.wantThere(t, content)
				a.want(t, "a", 1, 70_001)
				b.want(t, "b", 1, 50_000)
				c.want(t, "c", 1, size-120_001)
				if got := c.ranges[0]; got != "bytes=120001-" {
					t.Errorf("Range = %q, want %q", got, "bytes=120001-")
				}
				if took := time.Since(start); stall && took != stallTimeout {
					t.Errorf("it took %v, want the silence of %v", took, stallTimeout)
				}
			})
		})
	}
}

func TestFetchOfOneHolderThatBreaksOffOften(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		content := bytesOf(size)
		a := &keeper{content: content, cut: 10_000}
		f := newFetching(t, content, a)
		if err := f.fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.wantThere(t, content)
		a.want(t, "a", 20, size)
	})
}

func TestFetchGivesUp(t *testing.T) {
	content := bytesOf(size)
	for name, test := range map[string]struct {
		keepers []*keeper
		asked   []int64
	}{
		"nobody has it":           {[]*keeper{{status: 404}, {status: 404}}, []int64{1, 1}},
		"nobody can":              {[]*keeper{{status: 503}, {status: 500}}, []int64{fetchPasses, fetchPasses}},
		"one has it not":          {[]*keeper{{status: 404}, {status: 500}}, []int64{1, fetchPasses}},
		"all break off too often": {[]*keeper{{content: content, cut: 100}}, []int64{fetchAttempts}},
		"all lie":                 {[]*keeper{{content: make([]byte, size)}, {content: make([]byte, size)}}, []int64{1, 1}},
		"another length":          {[]*keeper{{content: content[1:]}, {content: append(content[:size:size], 1)}}, []int64{1, 1}},
		"another answer":          {[]*keeper{{status: 204}, {status: 302}}, []int64{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFetching(t, content, test.keepers...)
				err := f.fetch(t.Context())
				if code := abi.CodeOf(err); code != abi.Unavailable {
					t.Errorf("Fetch = %v (%q), want code %q", err, code, abi.Unavailable)
				}
				for i, k := range test.keepers {
					if got := k.asked.Load(); got != test.asked[i] {
						t.Errorf("holder %d was asked %d times, want %d", i, got, test.asked[i])
					}
				}
				if f.sink.Has(f.request.Digest) {
					t.Error("a module was stored")
				}
			})
		})
	}
}

func TestFetchPassesBy(t *testing.T) {
	content := bytesOf(size)
	wrongRange := func(h http.Header) {
		if h.Get("Content-Range") != "" {
			h.Set("Content-Range", "bytes 5-199999/200000")
		}
	}
	for name, bad := range map[string]*keeper{
		"who has it not":        {status: 404},
		"who lies":              {content: make([]byte, size)},
		"who has another size":  {content: content[:size-1]},
		"who answers otherwise": {status: 204},
		"who cannot":            {status: 500},
		"who is silent":         {status: silent},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				good := &keeper{content: content}
				f := newFetching(t, content, bad, good)
				if err := f.fetch(t.Context()); err != nil {
					t.Fatal(err)
				}
				f.wantThere(t, content)
				good.want(t, "the good one", 1, size)
				bad.want(t, "the bad one", 1, bad.sent.Load())
			})
		})
	}
	t.Run("who answers another range", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			first, bad, good := &keeper{content: content, cut: 1000}, &keeper{content: content, alter: wrongRange}, &keeper{content: content}
			f := newFetching(t, content, first, bad, good)
			if err := f.fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
			good.want(t, "the good one", 1, size-1000)
			bad.want(t, "the bad one", 1, bad.sent.Load())
		})
	})
}

// Bytes of an honest holder that broke off and of one that lies are wrong together: nobody knows whose. Then holders are
// not mixed, and each shows what it is.
func TestFetchFindsTheLiar(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		content := bytesOf(size)
		honest, liar := &keeper{content: content, cut: 1000}, &keeper{content: make([]byte, size)}
		good := &keeper{content: content}
		f := newFetching(t, content, honest, liar, good)
		if err := f.fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.wantThere(t, content)
		honest.want(t, "the honest one", 1, 1000)
		liar.want(t, "the liar", 1, size-1000)
		good.want(t, "the good one", 1, size)

		// Without a good one the liar is found out too, and the honest one goes on being asked.
		honest, liar = &keeper{content: content, cut: 150_000}, &keeper{content: make([]byte, size)}
		f = newFetching(t, content, honest, liar)
		if err := f.fetch(t.Context()); abi.CodeOf(err) != abi.Unavailable {
			t.Errorf("Fetch = %v, want code %q", err, abi.Unavailable)
		}
		liar.want(t, "the liar", 2, 50_000+size)
		if n := honest.asked.Load(); n < fetchPasses {
			t.Errorf("the honest one was asked %d times, want more", n)
		}
	})
}

// A holder that gave bytes and is gone may have been the liar: the last one is not blamed for it.
func TestFetchBlamesNobodyForAnother(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		content := bytesOf(size)
		liar, honest := &keeper{content: make([]byte, size), cut: 1000, gone: 1}, &keeper{content: content, fails: 1}
		f := newFetching(t, content, liar, honest)
		if err := f.fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.wantThere(t, content)
		liar.want(t, "the liar", 2, 1000)
		honest.want(t, "the honest one", 3, 2*size-1000)
	})
}

func TestFetchOfAFullDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		content := bytesOf(size)
		k := &keeper{content: content}
		f := newFetching(t, content, k)
		f.sink.fail = abi.WithCode(abi.NoSpace, errors.New("disk full"))
		if err := f.fetch(t.Context()); abi.CodeOf(err) != abi.NoSpace {
			t.Errorf("Fetch = %v, want code %q", err, abi.NoSpace)
		}
		k.want(t, "the holder", 1, size)
	})
}

func TestFetchEndsWithItsContext(t *testing.T) {
	content := bytesOf(size)
	for name, k := range map[string]*keeper{
		"stalled": {content: content, cut: 1000, stall: true},
		"pausing": {status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFetching(t, content, k)
				ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
				defer cancel()
				if err := f.fetch(ctx); abi.CodeOf(err) != abi.Timeout || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Fetch = %v, want code %q", err, abi.Timeout)
				}
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
				if err := f.fetch(ctx); abi.CodeOf(err) != abi.Unavailable || !errors.Is(err, context.Canceled) {
					t.Errorf("Fetch = %v, want code %q", err, abi.Unavailable)
				}
			})
		})
	}
}

func TestFetchRefuses(t *testing.T) {
	f := newFetching(t, bytesOf(10))
	for _, r := range []FetchRequest{{Digest: "../../etc/passwd", SizeBytes: 1}, {Digest: f.request.Digest}} {
		if err := f.client.Fetch(t.Context(), r, f.sink); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("Fetch(%+v) = %v, want code %q", r, err, abi.InvalidInput)
		}
	}
}

func TestFetchOncePerModule(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		content := bytesOf(size)
		slow, good := &keeper{content: content, cut: 1000, stall: true}, &keeper{content: content}
		f := newFetching(t, content, slow, good)
		results := make(chan error, 3)
		first, cancel := context.WithCancel(t.Context())
		go func() { results <- f.fetch(first) }()
		synctest.Wait()
		for range 2 {
			go func() { results <- f.fetch(t.Context()) }()
		}
		synctest.Wait()
		if n := slow.asked.Load(); n != 1 {
			t.Errorf("the holder was asked %d times at once, want 1", n)
		}
		cancel() // the next takes over
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("the first Fetch = %v, want %v", err, context.Canceled)
		}
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		f.wantThere(t, content)
		good.want(t, "the good one", 1, size-1000)
	})
}

// Twenty nodes that learn of a module at once share its three nearest holders.
func TestFetchSpreads(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		content := bytesOf(size)
		keepers := make([]*keeper, 5)
		var nodes []Node
		for i := range keepers {
			keepers[i] = &keeper{content: content}
			nodes = append(nodes, w.serve(fmt.Sprintf("%016x", i), keepers[i]))
		}
		results := make(chan error)
		for i := range 20 {
			c, sink := w.client(fmt.Sprintf("%016x", 100+i)), newModules(t)
			go func() {
				results <- c.Fetch(t.Context(), FetchRequest{Digest: digestOf(content), SizeBytes: size, Holders: nodes}, sink)
			}()
		}
		for range 20 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		for i, k := range keepers {
			switch n := k.asked.Load(); {
			case i < nearest && (n < 2 || n > 12):
				t.Errorf("holder %d of the nearest was asked by %d of 20 nodes, want a share", i, n)
			case i >= nearest && n != 0:
				t.Errorf("holder %d, which is far, was asked by %d nodes, want none", i, n)
			}
		}
	})
}

func TestSpread(t *testing.T) {
	nodes := []Node{{"a", "1"}, {"self", "2"}, {"b", "3"}, {"a", "1"}, {"c", "4"}, {"d", "5"}}
	order := spread("self", "digest", nodes)
	if len(order) != 4 || order[3].ID != "d" {
		t.Errorf("spread = %v, want a, b and c in some order, then d", order)
	}
	first := map[string]int{}
	for i := range 3000 {
		first[spread(fmt.Sprint(i), "digest", nodes)[0].ID]++
	}
	for _, id := range []string{"a", "self", "b"} {
		if n := first[id]; n < 900 || n > 1100 {
			t.Errorf("%s is the first of %d of 3000 nodes, want about 1000", id, n)
		}
	}
	if nodes[0].ID != "a" || nodes[4].ID != "c" {
		t.Error("the caller's list was changed")
	}
}

func TestServerSendsModules(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		content := bytesOf(size)
		_, node := w.server("holder", ServerConfig{Modules: newModules(t, content)})
		c := w.client("self")
		for digest, want := range map[string]bool{digestOf(content): true, digestOf(nil): false} {
			if has, err := c.Has(t.Context(), node, digest); has != want || err != nil {
				t.Errorf("Has = %v, %v, want %v", has, err, want)
			}
		}
		if _, err := c.Has(t.Context(), node, "?"); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("Has = %v, want code %q", err, abi.InvalidInput)
		}
		if _, err := c.Has(t.Context(), Node{ID: "nobody", Address: "nowhere"}, digestOf(content)); abi.CodeOf(err) != abi.Unavailable {
			t.Errorf("Has = %v, want code %q", err, abi.Unavailable)
		}
		request := FetchRequest{Digest: digestOf(content), SizeBytes: size}
		body, err := request.body(t.Context(), c, node, 150_000)
		if err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(body); err != nil || !bytes.Equal(rest, content[150_000:]) {
			t.Errorf("a range has %d bytes, %v", len(rest), err)
		}
		answer, err := c.call(t.Context(), node, newGet(request.Digest))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got, want := answer.Header.Get("ETag"), `"`+request.Digest+`"`; got != want {
			t.Errorf("ETag = %s, want %s", got, want)
		}
		request.Holders = []Node{node}
		sink := newModules(t)
		if err := c.Fetch(t.Context(), request, sink); err != nil || !sink.Has(request.Digest) {
			t.Errorf("Fetch = %v", err)
		}
	})
}

func newGet(digest string) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, "http://x/modules/"+digest, nil)
	return r
}

func TestHold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		content := bytesOf(size)
		_, holder := w.server("holder", ServerConfig{Modules: newModules(t, content)})
		there := newModules(t)
		_, node := w.server("node", ServerConfig{Modules: there, Fetcher: w.client("node")})
		c := w.client("self")
		if err := c.Hold(t.Context(), node, digestOf(content), size, []Node{holder}); err != nil {
			t.Fatal(err)
		}
		if !there.Has(digestOf(content)) {
			t.Error("Hold returned before the module was there")
		}
		many := make([]Node, MaxHolders+1)
		if err := c.Hold(t.Context(), node, digestOf(content), size, many); err != nil {
			t.Errorf("Hold of many holders = %v", err)
		}
		for name, test := range map[string]struct {
			digest string
			size   int64
			code   abi.Code
		}{
			"nobody has it": {digestOf(nil), 1, abi.Unavailable}, "no size": {digestOf(nil), 0, abi.InvalidInput}, "no digest": {"x", 1, abi.InvalidInput},
		} {
			if err := c.Hold(t.Context(), node, test.digest, test.size, []Node{holder}); abi.CodeOf(err) != test.code {
				t.Errorf("%s: Hold = %v, want code %q", name, err, test.code)
			}
		}
	})
}

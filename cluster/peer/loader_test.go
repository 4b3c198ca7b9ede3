package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// loads is a loader whose modules are texts, fetched by answer.
type loads struct {
	*Loader
	sink    *modules
	running atomic.Int64
	most    atomic.Int64 // that ran at once
	fetched chan string  // digests, each when its fetch begins
	arrived chan string
}

func newLoads(t *testing.T, answer func(ctx context.Context, r FetchRequest) (string, error)) *loads {
	t.Helper()
	l := &loads{sink: newModules(t), fetched: make(chan string, 1000), arrived: make(chan string, 1000)}
	fetch := func(ctx context.Context, r FetchRequest, into Sink) error {
		n := l.running.Add(1)
		defer l.running.Add(-1)
		for most := l.most.Load(); n > most && !l.most.CompareAndSwap(most, n); most = l.most.Load() {
		}
		l.fetched <- r.Digest
		content, err := answer(ctx, r)
		if err == nil {
			r.Received.Store(int64(len(content)))
			_, err = into.Put(ctx, r.Digest, strings.NewReader(content))
		}
		return err
	}
	var err error
	l.Loader, err = NewLoader(LoaderConfig{
		Fetcher: fetcherFunc(fetch), Modules: l.sink,
		Holders: func(digest string) []Node { return []Node{{ID: "holder of " + digest}} },
		Arrived: func(digest string) { l.arrived <- digest },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func moduleOf(content string) Module {
	return Module{Digest: digestOf([]byte(content)), SizeBytes: int64(len(content))}
}

func TestLoaderFetchesWhatIsMissing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		contents := map[string]string{}
		var wanted []Module
		for i := range 20 {
			content := fmt.Sprint("module ", i)
			wanted = append(wanted, moduleOf(content))
			contents[wanted[i].Digest] = content
		}
		l := newLoads(t, func(ctx context.Context, r FetchRequest) (string, error) {
			if len(r.Holders) != 1 || r.Holders[0].ID != "holder of "+r.Digest || r.SizeBytes != int64(len(contents[r.Digest])) {
				t.Errorf("asked for %+v", r)
			}
			time.Sleep(time.Second)
			return contents[r.Digest], nil
		})
		if l.Missing() != nil {
			t.Errorf("Missing at first = %v, want nil", l.Missing())
		}
		here := wanted[19]
		l.sink.Put(t.Context(), here.Digest, strings.NewReader(contents[here.Digest]))
		l.Want(wanted)
		if n := len(l.Missing()); n != 19 || len(l.Progress()) != 19 {
			t.Errorf("%d are missing, want 19", n)
		}
		if _, ok := l.Missing()[here.Digest]; ok {
			t.Error("what is here is missing")
		}
		for range 19 {
			digest := <-l.arrived
			if _, ok := l.Missing()[digest]; ok || !l.sink.Has(digest) {
				t.Errorf("%s arrived and is missing", digest)
			}
		}
		if l.Missing() != nil || l.most.Load() != DefaultFetches {
			t.Errorf("Missing = %v after %d fetches at once, want nil and %d", l.Missing(), l.most.Load(), DefaultFetches)
		}
		l.Want(wanted)
		synctest.Wait()
		if len(l.fetched) != 19 {
			t.Errorf("%d fetches, want 19", len(l.fetched))
		}
	})
}

func TestLoaderTriesAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var tries atomic.Int64
		l := newLoads(t, func(context.Context, FetchRequest) (string, error) {
			if tries.Add(1) < 12 {
				return "", errors.New("nobody has it")
			}
			return "a", nil
		})
		start := time.Now()
		l.Want([]Module{moduleOf("a")})
		synctest.Wait()
		if p := l.Progress(); len(p) != 1 || p[0].Tries != 1 || p[0].Err == nil || p[0].Module != moduleOf("a") {
			t.Errorf("Progress = %+v, want one try that failed", p)
		}
		<-l.arrived
		if took := time.Since(start); took < time.Minute || took > 11*lastRetry {
			t.Errorf("12 tries took %v, want pauses that grow to %v", took, lastRetry)
		}
	})
}

func TestLoaderRetry(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var tries atomic.Int64
		l := newLoads(t, func(context.Context, FetchRequest) (string, error) {
			if tries.Add(1) == 1 {
				return "", errors.New("nobody has it")
			}
			return "a", nil
		})
		start := time.Now()
		l.Want([]Module{moduleOf("a")})
		synctest.Wait()
		l.Retry()
		<-l.arrived
		if took := time.Since(start); took != 0 {
			t.Errorf("it came after %v, want at once", took)
		}
	})
}

func TestLoaderForgets(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ended := make(chan error, 10)
		l := newLoads(t, func(ctx context.Context, r FetchRequest) (string, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			if r.Digest == moduleOf("late").Digest {
				return "late", nil // it came at the last moment
			}
			return "", ctx.Err()
		})
		l.Want([]Module{moduleOf("a"), moduleOf("late")})
		synctest.Wait()
		l.Want([]Module{moduleOf("b")})
		<-ended
		<-ended
		synctest.Wait()
		if m := l.Missing(); len(m) != 1 || m[moduleOf("b").Digest] != moduleOf("b") {
			t.Errorf("Missing = %v, want b", m)
		}
		l.Want(nil)
		if l.Missing() != nil {
			t.Errorf("Missing = %v, want nil", l.Missing())
		}
		l.Want([]Module{moduleOf("c"), moduleOf("late")}) // late is here by now
		synctest.Wait()
		l.Close()
		l.Want([]Module{moduleOf("d")})
		if m := l.Missing(); len(m) != 1 || len(l.arrived) != 0 {
			t.Errorf("Missing = %v after Close, and %d arrived", m, len(l.arrived))
		}
	})
}

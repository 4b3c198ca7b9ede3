package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Limits of a load.
const (
	maxReply    = 1 << 20 // bytes
	loadTick    = time.Millisecond
	requestTime = 20 * time.Second
	idleConns   = 512 // kept to a node
)

// request is what a load asks for.
type request struct{ method, address, path string }

// ask makes a request that must be answered with 200.
func ask(ctx context.Context, by *http.Client, r request) (string, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, "http://"+r.address+r.path, nil)
	if err != nil {
		return "", err
	}
	res, err := by.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", res.StatusCode, body)
	}
	return string(body), err
}

// call is what became of one request of a load.
type call struct {
	begin time.Time
	took  time.Duration
	err   error
}

// load asks nodes in turn, so often a second, until its context ends. The zero value has done nothing yet.
type load struct {
	method, path string
	rate         int // a second

	mu    sync.Mutex // guards calls
	calls []call
}

// run returns when the last request has been answered.
func (l *load) run(ctx context.Context, nodes []*member) {
	by := &http.Client{Timeout: requestTime, Transport: &http.Transport{MaxIdleConnsPerHost: idleConns}}
	defer by.CloseIdleConnections()
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	for start, sent := time.Now(), 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(start).Seconds() * float64(l.rate)); sent < due; sent++ {
			r := request{l.method, nodes[sent%len(nodes)].HTTP, l.path}
			running.Go(func() { l.one(context.WithoutCancel(ctx), by, r) })
		}
	}
}

func (l *load) one(ctx context.Context, by *http.Client, r request) {
	begin := time.Now()
	_, err := ask(ctx, by, r)
	c := call{begin, time.Since(begin), err}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
}

// done is how many requests were answered with 200, failed are the errors of the others.
func (l *load) done() (done int, failed []error) {
	for _, c := range l.calls {
		if c.err != nil {
			failed = append(failed, c.err)
			continue
		}
		done++
	}
	return done, failed
}

// took is how long the answered requests took.
func (l *load) took() (s spread) {
	for _, c := range l.calls {
		if c.err == nil {
			s = append(s, c.took)
		}
	}
	return s
}

// resumed answers when the first request that began after a moment was answered, counted from it.
func (l *load) resumed(after time.Time) (time.Duration, error) {
	first := time.Duration(-1)
	for _, c := range l.calls {
		end := c.begin.Add(c.took).Sub(after)
		if c.err == nil && !c.begin.Before(after) && (first < 0 || end < first) {
			first = end
		}
	}
	if first < 0 {
		return 0, errors.New("no request was answered after it")
	}
	return first, nil
}

package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of one fetch. Higher ones keep trying longer before the caller learns that it failed.
const (
	fetchPasses   = 4  // over all holders without a byte more
	fetchAttempts = 64 // requests in all
	firstPause    = 100 * time.Millisecond
)

var (
	// errAgain ends a reading whose bytes are of no use: the module is to be read from the beginning.
	errAgain   = errors.New("begin again")
	errDigest  = errors.New("the holder's bytes do not have the digest")
	errStalled = errors.New("no bytes came for a while")
	errLies    = errors.New("the holder's answer is not the module that was asked for")
	errTooMany = errors.New("the holders broke off too often")
)

// download reads a module from several holders as if it were one. It is used by one goroutine.
type download struct {
	client  *Client
	ctx     context.Context // of Fetch
	request FetchRequest
	holders []Node // those to ask, in turn
	next    int    // index of the one to ask next

	body     io.ReadCloser   // of the holder that is being read; nil: none is
	current  Node            // that holder
	reading  context.Context // of the request to current
	cancel   context.CancelCauseFunc
	watchdog *time.Timer // cancels when no bytes come

	hash     hash.Hash // of the bytes before offset
	offset   int64
	from     Node  // gave the first of them
	mixed    bool  // others gave some too
	alone    bool  // bytes of several holders were wrong together: from now on they are not mixed
	err      error // the end of a reading; io.EOF is none
	last     error // why the last holder failed
	attempts int
	idle     int // attempts since the last byte
	passes   int // over all holders since the last byte
}

func (c *Client) newDownload(ctx context.Context, r FetchRequest) *download {
	d := &download{client: c, ctx: ctx, request: r, holders: spread(c.config.Self, r.Digest, r.Holders)}
	d.restart()
	return d
}

// restart begins a reading.
func (d *download) restart() {
	d.close()
	d.hash, d.offset, d.mixed, d.err = sha256.New(), 0, false, nil
	d.tell()
}

// Read reads the module. The last byte comes only when all have the digest.
func (d *download) Read(b []byte) (int, error) {
	switch {
	case d.err != nil:
		return 0, d.err
	case d.offset == d.request.SizeBytes:
		return 0, io.EOF
	}
	for {
		if d.body == nil {
			if d.err = d.open(); d.err != nil {
				return 0, d.err
			}
		}
		n, err := d.receive(b)
		if n > 0 && d.offset == d.request.SizeBytes {
			d.close()
			d.err = d.check()
			return n, d.err
		}
		if err != nil {
			d.lost(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// receive reads from the current holder.
func (d *download) receive(b []byte) (int, error) {
	d.watchdog.Reset(stallTimeout)
	n, err := d.body.Read(b[:min(int64(len(b)), d.request.SizeBytes-d.offset)])
	d.watchdog.Stop() // what is done with the bytes takes its time
	if n > 0 {
		if d.offset == 0 {
			d.from = d.current
		}
		d.mixed = d.mixed || d.from != d.current
		d.hash.Write(b[:n])
		d.offset += int64(n)
		d.idle, d.passes = 0, 0
		d.client.metrics.received.Add(float64(n))
		d.tell()
	}
	return n, err
}

// tell says how far it is.
func (d *download) tell() {
	if d.request.Received != nil {
		d.request.Received.Store(d.offset)
	}
}

// check looks at the digest of all bytes. Who delivered wrong ones alone is not asked again.
func (d *download) check() error {
	if hex.EncodeToString(d.hash.Sum(nil)) == d.request.Digest {
		return nil
	}
	d.client.metrics.fetches[outcomeWrongBytes].Inc()
	if d.mixed {
		d.alone = true
	} else {
		d.drop(d.from, errDigest)
	}
	return errAgain
}

// lost notes that the current holder broke off.
func (d *download) lost(err error) {
	if cause := context.Cause(d.reading); cause != nil {
		err = cause
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	d.last = fmt.Errorf("%s: %w", d.current.ID, err)
	d.close()
}

// drop removes a holder that is of no use.
func (d *download) drop(h Node, why error) {
	d.last = fmt.Errorf("%s: %w", h.ID, why)
	d.client.config.Log.Warn("drop holder of module", "module", d.request.Digest, "node", h.ID, "err", why)
	i := slices.Index(d.holders, h)
	d.holders = slices.Delete(d.holders, i, i+1)
	if i < d.next {
		d.next--
	}
	d.idle = max(0, d.idle-1) // it no longer belongs to the pass
}

// open asks holders in turn until one answers with what comes next.
func (d *download) open() error {
	if d.alone && d.offset > 0 {
		return errAgain
	}
	for {
		if err := d.pause(); err != nil {
			return err
		}
		h := d.holders[d.next%len(d.holders)]
		d.next = d.next%len(d.holders) + 1
		d.attempts++
		d.idle++
		err := d.ask(h)
		switch {
		case err == nil:
			d.current = h
			return nil
		case d.ctx.Err() != nil:
			return d.ctx.Err()
		case abi.CodeOf(err) == abi.NotFound || errors.Is(err, errLies):
			d.drop(h, err)
		default:
			d.last = fmt.Errorf("%s: %w", h.ID, err)
		}
	}
}

// pause waits before each pass over the holders but the first, and says when there have been enough.
func (d *download) pause() error {
	switch {
	case len(d.holders) == 0:
		return d.because(ErrNoHolder)
	case d.attempts >= fetchAttempts:
		return d.because(errTooMany)
	case d.idle < len(d.holders):
		return nil
	}
	d.idle = 0
	if d.passes++; d.passes >= fetchPasses {
		return d.because(errTooMany)
	}
	timer := time.NewTimer(jittered(firstPause << (d.passes - 1)))
	defer timer.Stop()
	select {
	case <-d.ctx.Done():
		return d.ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (d *download) because(err error) error {
	if d.last == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, d.last)
}

// ask opens the holder's bytes from the offset on.
func (d *download) ask(h Node) error {
	ctx, cancel := context.WithCancelCause(d.ctx)
	watchdog := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	body, err := d.request.body(ctx, d.client, h, d.offset)
	watchdog.Stop()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return err
	}
	d.body, d.reading, d.cancel, d.watchdog = body, ctx, cancel, watchdog
	return nil
}

// body asks one holder for the module's bytes from offset on.
func (r *FetchRequest) body(ctx context.Context, c *Client, n Node, offset int64) (io.ReadCloser, error) {
	q := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: r.path()}, Header: http.Header{}}
	status := http.StatusOK
	if offset > 0 {
		q.Header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
		status = http.StatusPartialContent
	}
	answer, err := c.call(ctx, n, q)
	if err != nil {
		return nil, err
	}
	switch {
	case answer.StatusCode != status:
		err = problemOf(answer)
		if answer.StatusCode < http.StatusBadRequest || answer.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			err = errLies
		}
	case answer.ContentLength != r.SizeBytes-offset:
		err = errLies
	case offset > 0 && answer.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", offset, r.SizeBytes-1, r.SizeBytes):
		err = errLies
	}
	if err != nil {
		answer.Body.Close()
		return nil, err
	}
	return answer.Body, nil
}

// close ends the reading of the current holder, if there is one.
func (d *download) close() {
	if d.body == nil {
		return
	}
	d.watchdog.Stop()
	d.body.Close()
	d.cancel(nil)
	d.body = nil
}

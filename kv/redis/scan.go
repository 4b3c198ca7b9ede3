package redis

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/sett-run/sett/kv/op"
)

// defaultCount is how many keys SCAN looks at without COUNT.
const defaultCount = 10

// cursors gives the store's cursors, which are text, numbers: clients want those. They are held by the server and
// not by a connection, because the next step of a scan often comes on another one.
type cursors struct {
	mu    sync.Mutex // guards what follows
	open  map[uint64]openScan
	order []uint64 // of open, oldest first
}

// openScan is where a scan goes on.
type openScan struct {
	app, prefix, cursor string
}

func newCursors() *cursors { return &cursors{open: make(map[uint64]openScan)} }

// keep answers a number for s. Numbers fit in 53 bits, for clients that hold them as floats, and cannot be guessed
// from one another.
func (c *cursors) keep(s openScan) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.order) == MaxCursors {
		delete(c.open, c.order[0])
		c.order = c.order[1:]
	}
	for {
		n := 1 + rand.Uint64N(1<<53-1)
		if _, taken := c.open[n]; !taken {
			c.open[n] = s
			c.order = append(c.order, n)
			return n
		}
	}
}

// find answers the scan of an app that goes on with number n. It can be asked for again.
func (c *cursors) find(app string, n uint64) (openScan, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, found := c.open[n]
	return s, found && s.app == app
}

// scanOptions are those of SCAN.
type scanOptions struct {
	pattern string
	count   int
	nothing bool // TYPE asks for what no key has
}

func parseScanOptions(args [][]byte) (o scanOptions, err error) {
	o = scanOptions{pattern: "*", count: defaultCount}
	for ; len(args) > 0; args = args[2:] {
		switch {
		case len(args) < 2:
			return o, errSyntax
		case is(args[0], "match"):
			o.pattern = string(args[1])
		case is(args[0], "count"):
			n, err := parseInteger(args[1])
			switch {
			case err != nil:
				return o, err
			case n < 1:
				return o, errSyntax
			}
			o.count = int(min(n, op.MaxPageKeys))
		case is(args[0], "type"):
			o.nothing = !is(args[1], "string")
		default:
			return o, errSyntax
		}
	}
	return o, nil
}

// runScan is SCAN cursor [MATCH pattern] [COUNT keys] [TYPE type].
func runScan(ctx context.Context, c *conn, args [][]byte) {
	at, err := strconv.ParseUint(string(args[1]), 10, 64)
	if err != nil {
		c.out.fail(errCursor)
		return
	}
	o, err := parseScanOptions(args[2:])
	if err != nil {
		c.failRead(err)
		return
	}
	scan, found := openScan{app: c.app, prefix: literalPrefix(o.pattern)}, true
	if at != 0 {
		scan, found = c.server.cursors.find(c.app, at)
	}
	switch {
	case !found:
		c.out.fail(errScanTooOld)
		return
	case o.nothing || len(scan.prefix) > op.MaxKeyBytes:
		c.out.scanned(0, nil)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	page, err := c.list(ctx, op.Query{Prefix: scan.prefix, Cursor: scan.cursor, Limit: o.count})
	if err != nil {
		c.failRead(err)
		return
	}
	var next uint64
	if scan.cursor = page.Cursor; scan.cursor != "" {
		next = c.server.cursors.keep(scan)
	}
	c.out.scanned(next, matching(nil, page.Items, o.pattern))
}

// scanned writes SCAN's reply.
func (w *writer) scanned(next uint64, keys []string) {
	w.array(2)
	w.text(strconv.FormatUint(next, 10))
	w.texts(keys)
}

func (w *writer) texts(all []string) {
	w.array(len(all))
	for _, s := range all {
		w.text(s)
	}
}

func (c *conn) list(ctx context.Context, q op.Query) (op.Page, error) {
	q.KeysOnly, q.Read = true, c.session()
	page, err := c.server.config.Store.List(ctx, c.app, q)
	if err == nil {
		c.server.saw(page.Revision)
	}
	return page, err
}

// matching appends the keys that match a pattern.
func matching(keys []string, items []op.Listed, pattern string) []string {
	for i := range items {
		if matches(pattern, items[i].Key) {
			keys = append(keys, items[i].Key)
		}
	}
	return keys
}

// runKeys lists the keys of one moment.
func runKeys(ctx context.Context, c *conn, args [][]byte) {
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	pattern := string(args[1])
	q := op.Query{Prefix: literalPrefix(pattern)}
	if len(q.Prefix) > op.MaxKeyBytes {
		c.out.array(0)
		return
	}
	var keys []string
	for size := 0; ; {
		page, err := c.list(ctx, q)
		if err != nil {
			c.failRead(err)
			return
		}
		n := len(keys)
		for keys = matching(keys, page.Items, pattern); n < len(keys); n++ {
			size += len(keys[n])
		}
		if size > MaxReplyBytes {
			c.out.fail(errReplySize)
			return
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			c.out.texts(keys)
			return
		}
	}
}

func runDBSize(ctx context.Context, c *conn, _ [][]byte) {
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	u, err := c.server.config.Store.Usage(ctx, c.app)
	if err != nil {
		c.failRead(err)
		return
	}
	c.out.integer(u.Keys)
}

// runFlush deletes the app's keys, a part at a time.
func runFlush(ctx context.Context, c *conn, args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "async") && !is(args[1], "sync") {
		c.out.fail(errSyntax)
		return
	}
	for {
		n, err := c.deleteSome(ctx)
		if err != nil {
			c.failWrite(err)
			return
		}
		if n < op.MaxDeleteKeys {
			c.out.ok()
			return
		}
	}
}

// deleteSome deletes up to op.MaxDeleteKeys keys. Each call has the time of a command.
func (c *conn) deleteSome(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	r, err := c.commit(ctx, nil, []op.Op{{Kind: op.DeletePrefix}})
	if err != nil {
		return 0, err
	}
	return r[0].Integer, nil
}

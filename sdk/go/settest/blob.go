//go:build !wasip1

package settest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Buckets makes buckets that handlers reach with package blob in this test, empty at first. Without it they get
// blob.ErrUnsupported. What handlers put is there until the test ends.
//
//	settest.Buckets(t, "pics")
//	blob.Bucket("pics").Put(settest.Context(t), "cat.jpg", picture)
//	settest.Get(t, "/thumbnail/cat.jpg")
func Buckets(t testing.TB, names ...string) {
	t.Helper()
	var s *shelf
	change(t, func(w *host.World) {
		if w.Objects == nil {
			w.Objects = &shelf{buckets: map[string]map[string]*object{}, streams: map[uint32]any{}}
		}
		s = w.Objects.(*shelf)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if err := op.ValidateBucket(name); err != nil {
			t.Fatalf("settest: %v", err)
		}
		if s.buckets[name] == nil {
			s.buckets[name] = map[string]*object{}
		}
	}
}

// shelf is the objects of a test.
type shelf struct {
	mu      sync.Mutex // guards all below, and what streams hold
	buckets map[string]map[string]*object
	streams map[uint32]any // *bytes.Reader or *draft, by number
	last    uint32         // stream
	puts    int
}

// object is one that is there. It does not change.
type object struct {
	info op.ObjectInfo
	body []byte
}

// draft is an object that is written.
type draft struct {
	put  op.ObjectPut
	body []byte
}

// find answers a bucket's object, which may be nil.
func (s *shelf) find(bucket, key string) (*object, error) {
	if err := (op.ObjectName{App: host.App, Bucket: bucket, Key: key}).Validate(); err != nil {
		return nil, err
	}
	objects, ok := s.buckets[bucket]
	if !ok {
		return nil, fmt.Errorf("%s: %w", bucket, op.ErrNoBucket)
	}
	return objects[key], nil
}

// there is find of an object that must be there, with an ETag if one is given.
func (s *shelf) there(bucket, key, etag string) (*object, error) {
	o, err := s.find(bucket, key)
	switch {
	case err != nil:
		return nil, err
	case o == nil:
		return nil, fmt.Errorf("%.80q: %w", key, op.ErrNoObject)
	case etag != "" && etag != o.info.ETag:
		return nil, fmt.Errorf("its ETag is %s: %w", o.info.ETag, op.ErrPrecondition)
	}
	return o, nil
}

// holds says whether a condition holds of an object, which may be nil.
func holds(c op.ObjectCondition, o *object) error {
	if c.Absent && o != nil {
		return fmt.Errorf("it is there: %w", op.ErrPrecondition)
	}
	if c.ETag != "" && (o == nil || o.info.ETag != c.ETag) {
		return fmt.Errorf("its ETag is not %s: %w", c.ETag, op.ErrPrecondition)
	}
	return nil
}

// Head is for host.Objects.
func (s *shelf) Head(_ context.Context, bucket, key string) (op.ObjectInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.there(bucket, key, "")
	if err != nil {
		return op.ObjectInfo{}, err
	}
	return o.info, nil
}

// Open is for host.Objects.
func (s *shelf) Open(_ context.Context, o *abi.ObjectOpen) (opened abi.ObjectOpened, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.there(o.Bucket, o.Key, o.ETag)
	if err != nil {
		return opened, err
	}
	first, size := o.First, int64(len(found.body))
	if first < 0 {
		first = max(0, size+first)
	}
	if o.Length < 0 {
		return opened, fmt.Errorf("%d bytes: %w", o.Length, op.ErrInvalid)
	}
	if first >= size && o.First > 0 {
		return opened, fmt.Errorf("byte %d of %d: %w", first, size, abi.ErrNoRange)
	}
	body := found.body[first:]
	if o.Length > 0 {
		body = body[:min(o.Length, int64(len(body)))]
	}
	opened = abi.ObjectOpened{First: first, Length: int64(len(body)), Info: found.info}
	opened.Stream, err = s.add(bytes.NewReader(body))
	return opened, err
}

// add opens a stream.
func (s *shelf) add(stream any) (uint32, error) {
	if len(s.streams) == abi.MaxObjectStreams {
		return 0, fmt.Errorf("%w: %d", abi.ErrObjectStreams, abi.MaxObjectStreams)
	}
	s.last++
	s.streams[s.last] = stream
	return s.last, nil
}

// streamOf answers a stream of a kind.
func streamOf[S any](s *shelf, number uint32) (stream S, err error) {
	stream, ok := s.streams[number].(S)
	if !ok {
		err = fmt.Errorf("stream %d: %w", number, abi.ErrNoStream)
	}
	return stream, err
}

// Read is for host.Objects.
func (s *shelf) Read(_ context.Context, stream uint32, to []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := streamOf[*bytes.Reader](s, stream)
	if err != nil || r.Len() == 0 {
		return 0, err
	}
	return r.Read(to)
}

// Create is for host.Objects.
func (s *shelf) Create(_ context.Context, p *op.ObjectPut) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(p.Name.Bucket, p.Name.Key)
	if err == nil {
		err = p.About.Validate()
	}
	if err == nil {
		err = holds(p.If, o)
	}
	if err != nil {
		return 0, err
	}
	d := &draft{put: *p}
	d.put.About = cloneAbout(p.About)
	return s.add(d)
}

func cloneAbout(a op.ObjectAbout) op.ObjectAbout {
	a.Metadata = maps.Clone(a.Metadata)
	return a
}

// Write is for host.Objects.
func (s *shelf) Write(_ context.Context, w *abi.ObjectWrite) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := streamOf[*draft](s, w.Stream)
	if err == nil {
		d.body = append(d.body, w.Data...)
	}
	return err
}

// Commit is for host.Objects.
func (s *shelf) Commit(_ context.Context, stream uint32) (op.ObjectInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := streamOf[*draft](s, stream)
	if err != nil {
		return op.ObjectInfo{}, err
	}
	delete(s.streams, stream)
	if size := d.put.Body.Size; size >= 0 && size != int64(len(d.body)) {
		return op.ObjectInfo{}, fmt.Errorf("body has %d bytes, not %d: %w", len(d.body), size, op.ErrInvalid)
	}
	sum := md5.Sum(d.body)
	if d.put.Body.MD5 != nil && !bytes.Equal(d.put.Body.MD5, sum[:]) {
		return op.ObjectInfo{}, fmt.Errorf("MD5 is %x, not %x: %w", sum, d.put.Body.MD5, op.ErrInvalid)
	}
	return s.put(d.put, &object{info: op.ObjectInfo{ETag: hex.EncodeToString(sum[:]), About: d.put.About}, body: d.body})
}

// put has an object be there, if the condition of p holds.
func (s *shelf) put(p op.ObjectPut, o *object) (op.ObjectInfo, error) {
	old, err := s.find(p.Name.Bucket, p.Name.Key)
	if err == nil {
		err = holds(p.If, old)
	}
	if err != nil {
		return op.ObjectInfo{}, err
	}
	s.puts++
	o.info.Bucket, o.info.Key, o.info.ID = p.Name.Bucket, p.Name.Key, fmt.Sprintf("%032x", s.puts)
	o.info.Size, o.info.Modified = int64(len(o.body)), time.Now().UTC()
	s.buckets[p.Name.Bucket][p.Name.Key] = o
	return o.info, nil
}

// Close is for host.Objects.
func (s *shelf) Close(_ context.Context, stream uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := streamOf[any](s, stream)
	delete(s.streams, stream)
	return err
}

// Copy is for host.Objects.
func (s *shelf) Copy(_ context.Context, c *op.ObjectCopy) (op.ObjectInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, err := s.there(c.From.Bucket, c.From.Key, c.FromTag)
	if err != nil {
		return op.ObjectInfo{}, err
	}
	o := &object{info: from.info, body: from.body}
	if c.About != nil {
		if err := c.About.Validate(); err != nil {
			return op.ObjectInfo{}, err
		}
		o.info.About = cloneAbout(*c.About)
	}
	return s.put(op.ObjectPut{Name: c.Name, If: c.If}, o)
}

// Delete is for host.Objects.
func (s *shelf) Delete(_ context.Context, d *abi.ObjectDelete) (found bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(d.Keys) > op.MaxObjectDeletes {
		return false, fmt.Errorf("%d keys, at most %d are deleted at once: %w", len(d.Keys), op.MaxObjectDeletes, op.ErrTooLarge)
	}
	for _, key := range d.Keys {
		o, err := s.find(d.Bucket, key)
		if err == nil {
			err = holds(op.ObjectCondition{ETag: d.ETag}, o)
		}
		if err != nil {
			return found, err
		}
		found = found || o != nil
		delete(s.buckets[d.Bucket], key)
	}
	return found, nil
}

// List is for host.Objects. A token is what the page before ended with.
func (s *shelf) List(_ context.Context, l *abi.ObjectList) (page op.ObjectPage, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := l.Validate(); err != nil {
		return page, err
	}
	if _, err := s.find(l.Bucket, "k"); err != nil {
		return page, err
	}
	after, err := base64.RawURLEncoding.DecodeString(l.Token)
	if err != nil {
		return page, fmt.Errorf("token %.40q: %w", l.Token, op.ErrInvalid)
	}
	page.Last = max(string(after), l.After)
	limit := l.Limit
	if limit == 0 || limit > op.MaxObjectPage {
		limit = op.MaxObjectPage
	}
	for _, key := range slices.Sorted(maps.Keys(s.buckets[l.Bucket])) {
		prefix := common(l.ObjectQuery, key)
		if !strings.HasPrefix(key, l.Prefix) || key <= page.Last || prefix != "" && prefix == page.Last {
			continue
		}
		if len(page.Objects)+len(page.Prefixes) == limit {
			page.Token = base64.RawURLEncoding.EncodeToString([]byte(page.Last))
			break
		}
		if page.Last = key; prefix != "" {
			page.Last = prefix
			page.Prefixes = append(page.Prefixes, prefix)
			continue
		}
		page.Objects = append(page.Objects, s.buckets[l.Bucket][key].info)
	}
	return page, nil
}

// common answers the common prefix that a key belongs to, or nothing.
func common(q op.ObjectQuery, key string) string {
	rest, ok := strings.CutPrefix(key, q.Prefix)
	if before, _, found := strings.Cut(rest, q.Delimiter); ok && found && q.Delimiter != "" {
		return q.Prefix + before + q.Delimiter
	}
	return ""
}

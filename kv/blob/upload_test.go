package blob

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

func TestUpload(t *testing.T) {
	o := withBucket(t)
	ctx := t.Context()
	u, err := o.Create(ctx, pics("big"), About{Metadata: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	datas := [][]byte{noise(1, MinPartBytes), noise(2, MinPartBytes+3), noise(3, 10)}
	var parts []Part
	sum := md5.New()
	for n, number := range []int{1, 3, 7} {
		if _, err := o.PutPart(ctx, u, number, body([]byte("replaced"))); err != nil {
			t.Fatal(err)
		}
		p, err := o.PutPart(ctx, u, number, body(datas[n]))
		if err != nil {
			t.Fatal(err)
		}
		one := md5.Sum(datas[n])
		sum.Write(one[:])
		parts = append(parts, p)
	}
	if _, err := o.PutPart(ctx, u, 5, body(noise(4, 100))); err != nil { // is left out
		t.Fatal(err)
	}
	got, more, err := o.Parts(ctx, u, 1, 2)
	if err != nil || !more || len(got) != 2 || got[0].Number != 3 || got[1].Number != 5 {
		t.Errorf("Parts = %+v, %t, %v", got, more, err)
	}
	all, _, err := o.Uploads(ctx, app, "pics", "b", Upload{})
	if err != nil || len(all) != 1 || all[0] != u || all[0].Started().IsZero() {
		t.Errorf("Uploads = %+v, %v", all, err)
	}
	for _, wrong := range [][]Part{nil, {parts[1], parts[0]}, {parts[0], {Number: 2}}, {{Number: 1, ETag: "x"}}} {
		if _, err := o.Complete(ctx, u, wrong, Condition{}); !errors.Is(err, ErrPart) && !errors.Is(err, op.ErrInvalid) {
			t.Errorf("Complete(%+v) = %v", wrong, err)
		}
	}
	if _, err := o.Complete(ctx, u, []Part{parts[2], {Number: 9}}, Condition{}); !errors.Is(err, ErrTooSmall) {
		t.Errorf("Complete with a small part = %v", err)
	}
	i, err := o.Complete(ctx, u, parts, Condition{Absent: true})
	if want := fmt.Sprintf("%x-3", sum.Sum(nil)); err != nil || i.ETag != want || i.Parts != 3 || i.About.Metadata["a"] != "b" {
		t.Fatalf("Complete = %+v, %v, want the ETag %s", i, err, want)
	}
	if got := read(t, o, "big"); !bytes.Equal(got, slices.Concat(datas...)) {
		t.Error("the object is not its parts")
	}
	if usage, err := o.Usage(ctx, app, ""); err != nil || usage.Bytes != i.Size || usage.Objects != 1 {
		t.Errorf("Usage = %+v, %v, want the object's %d bytes alone", usage, err, i.Size)
	}
	if again, err := o.Complete(ctx, u, parts, Condition{Absent: true}); err != nil || again.ID != i.ID {
		t.Errorf("Complete again = %+v, %v, want what it made", again, err)
	}
	put(t, o, "big", []byte("another"))
	if _, err := o.Complete(ctx, u, parts, Condition{}); !errors.Is(err, ErrNoUpload) {
		t.Errorf("Complete of what was replaced = %v", err)
	}
}

func TestUploadRefusals(t *testing.T) {
	o := withBucket(t)
	ctx := t.Context()
	u, err := o.Create(ctx, pics("k"), About{})
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range []int{0, -1, MaxParts + 1} {
		if _, err := o.PutPart(ctx, u, number, body(nil)); !errors.Is(err, op.ErrInvalid) {
			t.Errorf("part %d: %v", number, err)
		}
	}
	if _, err := o.PutPart(ctx, u, MaxParts, body([]byte("x"))); err != nil {
		t.Error(err)
	}
	other := u
	other.ID = newID(u.Started())
	for _, wrong := range []Upload{{Name: pics("k"), ID: "x"}, {Name: pics("l"), ID: u.ID}, other} {
		if _, err := o.PutPart(ctx, wrong, 1, body(nil)); !errors.Is(err, ErrNoUpload) {
			t.Errorf("part of %+v: %v", wrong, err)
		}
	}
	if err := o.Abort(ctx, u); err != nil {
		t.Error(err)
	}
	if err := o.Abort(ctx, u); !errors.Is(err, ErrNoUpload) {
		t.Errorf("Abort again = %v", err)
	}
	if usage, err := o.Usage(ctx, app, ""); err != nil || usage.Bytes != 0 {
		t.Errorf("Usage = %+v, %v", usage, err)
	}
}

// TestHeard has a bucket tell of its objects whatever it is asked to, as long as somebody listens.
func TestHeard(t *testing.T) {
	heard := true
	o, err := Open(Config{Dir: t.TempDir(), Store: new(op.Memory), Heard: func(a, b string) bool { return heard && a == app && b == "pics" }})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	ctx := t.Context()
	want := func(bucket string, events bool) {
		t.Helper()
		if b, err := o.Bucket(ctx, app, bucket); err != nil || b.Events != events {
			t.Errorf("%s is %+v, %v, want events %v", bucket, b, err, events)
		}
	}
	for _, name := range []string{"pics", "other"} {
		if err := o.CreateBucket(ctx, app, Bucket{Name: name}); err != nil {
			t.Fatal(err)
		}
		want(name, name == "pics")
	}
	o.ChangeBucket(ctx, app, Bucket{Name: "pics"})
	want("pics", true)
	heard = false
	o.ChangeBucket(ctx, app, Bucket{Name: "pics"})
	want("pics", false)
	if apps, err := o.Apps(ctx, op.Local); err != nil || !slices.Equal(apps, []string{app}) {
		t.Errorf("Apps = %q, %v", apps, err)
	}
}

func TestEvents(t *testing.T) {
	o := withBucket(t)
	ctx := t.Context()
	i := put(t, o, "a", []byte("x"))
	o.Copy(ctx, Copy{Name: pics("b"), From: pics("a")})
	u, _ := o.Create(ctx, pics("c"), About{})
	p, _ := o.PutPart(ctx, u, 1, body([]byte("y")))
	o.Complete(ctx, u, []Part{p}, Condition{})
	by := Origin{Function: "clean", Depth: 3}
	o.By(by).DeleteMany(ctx, app, "pics", "a", "c", "none")
	all, err := o.Events(ctx, app)
	if err != nil {
		t.Fatal(err)
	}
	var got, ids []string
	for n, e := range all {
		got = append(got, e.Name+" "+e.Key)
		ids = append(ids, e.ID)
		if n > 0 && e.Sequencer < all[n-1].Sequencer || len(e.Sequencer) != 16 {
			t.Errorf("sequencer %s comes after %s", e.Sequencer, all[n-1].Sequencer)
		}
		if want := map[bool]Origin{true: by}[e.Name == RemovedDelete]; e.Origin != want {
			t.Errorf("%s %s: the origin is %+v, want %+v", e.Name, e.Key, e.Origin, want)
		}
	}
	want := []string{"ObjectCreated:Put a", "ObjectCreated:Copy b", "ObjectCreated:CompleteMultipartUpload c", "ObjectRemoved:Delete a", "ObjectRemoved:Delete c"}
	if !slices.Equal(got, want) {
		t.Fatalf("Events = %q, want %q", got, want)
	}
	if e := all[0]; e.Bucket != "pics" || e.Size != 1 || e.ETag != i.ETag || e.ObjectID != i.ID || e.Time.IsZero() {
		t.Errorf("the first event is %+v", e)
	}
	if err := o.Settle(ctx, app, append(ids[1:], "none")...); err != nil {
		t.Error(err)
	}
	if err := o.ChangeBucket(ctx, app, Bucket{Name: "pics", Events: false}); err != nil {
		t.Error(err)
	}
	put(t, o, "silent", nil)
	if left, err := o.Events(ctx, app); err != nil || len(left) != 1 || left[0].ID != ids[0] {
		t.Errorf("Events = %+v, %v, want the one that was not settled", left, err)
	}
	o.ChangeBucket(ctx, app, Bucket{Name: "pics", Events: true})
	put(t, o, "d", nil)
	n := 0
	for _, err := range o.Happened(ctx, app) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
		put(t, o, "e", nil)
	}
}

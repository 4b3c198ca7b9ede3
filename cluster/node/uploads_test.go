package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

func upload(s registry.UploadSource) registry.Settings {
	return registry.Settings{Triggers: []registry.Trigger{{Upload: &s}}}
}

// putObject puts an object in app default, as origin says.
func putObject(t *testing.T, n *Node, bucket, key string, by blob.Origin) {
	t.Helper()
	name := blob.Name{App: "default", Bucket: bucket, Key: key}
	if _, err := n.objects.By(by).Put(t.Context(), blob.Put{Name: name, Body: blob.Body{Reader: strings.NewReader("x"), Size: 1}}); err != nil {
		t.Fatal(err)
	}
}

// TestUploads puts objects, which functions are told of whose rules want it, but not who has put them without a rule.
func TestUploads(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	deployWith(t, n, "all", wasmtest.Answer("done"), upload(registry.UploadSource{Bucket: "pics"})) // makes the bucket
	deployWith(t, n, "pngs", wasmtest.Answer("done"), upload(registry.UploadSource{Bucket: "pics", Prefix: "in/", Suffix: ".png", Existing: true}))
	deployWith(t, n, "gone", wasmtest.Answer("done"), upload(registry.UploadSource{Bucket: "pics", Event: registry.UploadRemoved}))
	putObject(t, n, "pics", "in/a.png", blob.Origin{})
	putObject(t, n, "pics", "out/a.png", blob.Origin{Function: "all", Depth: 1})
	putObject(t, n, "pics", "in/b.png", blob.Origin{Function: "pngs"}) // its rules say so
	if _, err := n.objects.Delete(ctx, blob.Name{App: "default", Bucket: "pics", Key: "in/a.png"}, blob.Condition{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the events to be handled", func() bool {
		return len(invoked(n, "all")[abi.TriggerUpload]) == 2 && len(invoked(n, "pngs")[abi.TriggerUpload]) == 2 && len(invoked(n, "gone")[abi.TriggerUpload]) == 1 &&
			empty(t, n, queue.UploadQueue("all", "pics"), queue.UploadQueue("pngs", "pics"), queue.UploadQueue("gone", "pics"))
	})
	if events, err := n.objects.Events(ctx, "default"); err != nil || len(events) != 0 {
		t.Errorf("Events = %v, %v, want none", events, err)
	}

	settings := upload(registry.UploadSource{Bucket: "none", Existing: true})
	if _, err := deployFunction(ctx, n, wasmtest.Answer("x"), client.DeployFunction{Name: "late", Settings: settings}); abi.CodeOf(err) != abi.NotFound || !strings.Contains(err.Error(), "bucket none in app default: no such bucket") {
		t.Errorf("Deploy for a bucket that is not there: %v", err)
	}
	if n.registry.Snapshot().Function("default", "late") != nil {
		t.Error("it was deployed all the same")
	}
}

// TestBucketEvents has a bucket tell what becomes of its objects as long as a function listens, and a while longer.
func TestBucketEvents(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	tells := func(want bool) {
		t.Helper()
		if b, err := n.objects.Bucket(ctx, "default", "pics"); err != nil || b.Events != want {
			t.Errorf("the bucket is %+v, %v, want events %v", b, err, want)
		}
	}
	if err := n.objects.CreateBucket(ctx, "default", blob.Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	tells(false)
	deployWith(t, n, "all", wasmtest.Answer("done"), upload(registry.UploadSource{Bucket: "pics"}))
	tells(true)
	if err := n.objects.ChangeBucket(ctx, "default", blob.Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	tells(true)
	if err := n.objects.DeleteBucket(ctx, "default", "pics"); err != nil {
		t.Fatal(err)
	}
	if err := n.objects.CreateBucket(ctx, "default", blob.Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	tells(true)
	if err := n.Remove(ctx, "default", []string{"all"}); err != nil {
		t.Fatal(err)
	}
	before, after := map[string]time.Time{}, map[string]time.Time{}
	if err := n.sweepBucketsOf(ctx, "default", before, after); err != nil || len(after) != 1 {
		t.Errorf("sweepBucketsOf notes %v, %v, want the bucket", after, err)
	}
	tells(true)
	after["default/pics"] = time.Now().Add(-orphanGrace - time.Second)
	if err := n.sweepBucketsOf(ctx, "default", after, before); err != nil {
		t.Error(err)
	}
	tells(false)
	if _, err := n.Rollback(ctx, "default", "all", 1); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Rollback of what is removed: %v", err)
	}
}

// TestUploadsInCluster tells of what was put by way of any node, also when another gives the events.
func TestUploadsInCluster(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b, c := join(t, a, "b"), join(t, a, "c")
	all := []*Node{a, b, c}
	deployWith(t, b, "all", wasmtest.Answer("done"), upload(registry.UploadSource{Bucket: "pics"}))
	told := func() int {
		ids := map[string]bool{} // of invocations: one that ran for another node is recorded by both
		for _, node := range all {
			for _, a := range invoked(node, "all")[abi.TriggerUpload] {
				ids[a.Invocation] = true
			}
		}
		return len(ids)
	}
	for _, n := range all {
		putObject(t, n, "pics", n.Name(), blob.Origin{})
	}
	await(t, "three objects to be told of", func() bool { return told() == 3 })
	await(t, "three voters", func() bool {
		return !slices.ContainsFunc(a.store.Replica().Servers(), func(s replica.Server) bool { return !s.Voter }) && len(a.store.Replica().Servers()) == 3
	})
	await(t, "another leader", func() bool {
		if a.store.Replica().Leading() != 0 {
			if err := a.store.Replica().TransferLeadership(t.Context()); err != nil {
				t.Log(err) // on a slow machine it takes too long, and is tried again
			}
		}
		return b.store.Replica().Leading()+c.store.Replica().Leading() != 0
	})
	for _, n := range all {
		putObject(t, n, "pics", "late-"+n.Name(), blob.Origin{})
	}
	await(t, "six objects to be told of", func() bool { return told() == 6 })
}

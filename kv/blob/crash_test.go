//go:build unix

package blob

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
)

// crashDir is set when the test binary is a child that keeps objects there until it is killed.
const crashDir = "SETT_TEST_BLOB_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Println("error", crashing(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// openReal opens objects over a replicated store of one node.
func openReal(dir string) (*kv.Store, *Objects, error) {
	s, err := kv.Open(context.Background(), kv.Config{Dir: filepath.Join(dir, "store")})
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(s.CaughtUp(context.Background()), s.RaiseLevel(context.Background(), kv.Level))
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	o, err := Open(Config{Dir: filepath.Join(dir, "chunks"), Store: s})
	return s, o, err
}

// crashing puts objects, in parts and at once, while it collects, and says which are acknowledged.
func crashing(dir string) error {
	_, o, err := openReal(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := o.CreateBucket(ctx, app, Bucket{Name: "pics"}); err != nil && !errors.Is(err, op.ErrBucketExists) {
		return err
	}
	var mu sync.Mutex
	say := func(key string, data []byte) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %x\n", key, sha256.Sum256(data))
	}
	run := newID(timeOf("")) // the keys of this run
	fail := make(chan error)
	for worker := range 3 {
		go func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%s/%d/%d", run, worker, n)
				data := noise(byte(rand.Int()), rand.IntN(2<<20))
				if err := keep(ctx, o, key, data, n%4 == 3); err != nil {
					fail <- err
				}
				say(key, data)
			}
		}()
	}
	go func() {
		for {
			if err := errors.Join(collectSome(ctx, o), o.Sweep(ctx)); err != nil {
				fail <- err
			}
		}
	}()
	return <-fail
}

// collectSome has chunks that nothing names collected as if they were a day old.
func collectSome(ctx context.Context, o *Objects) error {
	c, err := o.chunks.write(ctx, strings.NewReader(newID(time.Now())), "")
	if err != nil {
		return err
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(o.chunks.path(c.Digest), yesterday, yesterday); err != nil {
		return err
	}
	if _, err := o.Collect(ctx); err != nil {
		return err
	}
	o.background.Lock()
	for digest := range o.unnamed {
		o.unnamed[digest] = yesterday
	}
	o.background.Unlock()
	removed, err := o.Collect(ctx)
	if err == nil && removed == 0 { // those of a process that was killed come along
		err = errors.New("nothing was collected")
	}
	return err
}

// keep puts an object, at once or in parts.
func keep(ctx context.Context, o *Objects, key string, data []byte, inParts bool) error {
	if !inParts {
		_, err := o.Put(ctx, Put{Name: pics(key), Body: body(data)})
		return err
	}
	u, err := o.Create(ctx, pics(key), About{})
	if err != nil {
		return err
	}
	p, err := o.PutPart(ctx, u, 1, body(data))
	if err != nil {
		return err
	}
	_, err = o.Complete(ctx, u, []Part{p}, Condition{})
	return err
}

// TestKilled kills a process that keeps objects, some times over, and reads all that it acknowledged.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes for some seconds")
	}
	dir := t.TempDir()
	said := map[string]string{}
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		stop := len(said) + 20 + rand.IntN(20)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			key, sum, ok := strings.Cut(lines.Text(), " ")
			if !ok || len(sum) != 2*sha256.Size {
				continue // cut off by the kill, or an error
			}
			if said[key] = sum; len(said) == stop {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if len(said) < stop {
			t.Fatalf("the child ended by itself after %d objects", len(said))
		}
	}
	s, o, err := openReal(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for key, want := range said {
		_, r, err := o.Open(t.Context(), pics(key))
		if err != nil {
			t.Errorf("acknowledged object: %v", err)
			continue
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, r); err != nil || fmt.Sprintf("%x", sum.Sum(nil)) != want {
			t.Errorf("%s: %v, or other bytes", key, err)
		}
		r.Close()
	}
	page, err := o.List(t.Context(), app, "pics", Query{})
	if err != nil || len(page.Objects) < len(said) || page.Token != "" {
		t.Errorf("List = %d objects, %v, want %d at least", len(page.Objects), err, len(said))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "chunks", "*"+partial)); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

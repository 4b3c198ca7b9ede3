package kv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/client"
)

const (
	idleMB     = 64 // kv.md's limit
	settleTime = 10 * time.Second
	starts     = 10    // of each kind
	loadKeys   = 50000 // of smallBytes, by loadClients
	loadLarge  = 10000 // and of largeBytes
	loadUsers  = 32
)

// measureMemory runs sett up as users do: how soon it is ready, and what it takes when idle and after a load.
func measureMemory(ctx context.Context, p plan, out *record.Output) error {
	program, err := subject.BuildSett(ctx, p.dir)
	if err != nil {
		return err
	}
	var empty, again []time.Duration
	for range starts {
		dir, err := os.MkdirTemp(p.dir, "up-")
		if err != nil {
			return err
		}
		for _, took := range []*[]time.Duration{&empty, &again} {
			n, err := subject.StartUp(ctx, program, dir)
			if err != nil {
				return err
			}
			n.Stop()
			*took = append(*took, n.Took)
		}
	}
	add(out.File, "sett up until it is ready", "new directory", "start_ms", empty)
	add(out.File, "sett up until it is ready", "existing directory", "start_ms", again)
	slices.Sort(empty)
	slices.Sort(again)
	fmt.Fprintf(out.Out, "sett up, from the program's start until it is ready, %d times: new directory median %v (lowest %v), existing one %v (%v)\n",
		starts, quantile(empty, 0.5).Round(time.Millisecond/10), empty[0].Round(time.Millisecond/10),
		quantile(again, 0.5).Round(time.Millisecond/10), again[0].Round(time.Millisecond/10))
	n, err := subject.StartUp(ctx, program, filepath.Join(p.dir, "up"))
	if err != nil {
		return err
	}
	defer n.Stop()
	return errors.Join(idle(ctx, n, out.Out), loadUp(ctx, n, out.Out))
}

// idle says what a node takes that has nothing to do.
func idle(ctx context.Context, n *subject.Up, out io.Writer) error {
	before, err := subject.CPU(n.PID())
	if err != nil {
		return err
	}
	if err := sleep(ctx, settleTime); err != nil {
		return err
	}
	after, err := subject.CPU(n.PID())
	if err != nil {
		return err
	}
	kib, err := subject.ResidentKiB(n.PID())
	if err != nil {
		return err
	}
	mb := kib >> 10
	fmt.Fprintf(out, "sett up, idle for %v: %d MB resident (below %d: %s), %.1f %% of a processor\n", settleTime, mb, idleMB, record.Want(mb < idleMB),
		100*(after-before).Seconds()/settleTime.Seconds())
	return nil
}

// loadUp writes over the admin plane, and says what the node takes then, and later.
func loadUp(ctx context.Context, n *subject.Up, out io.Writer) error {
	if err := write(ctx, n, loadKeys, smallBytes); err != nil {
		return err
	}
	if err := write(ctx, n, loadLarge, largeBytes); err != nil {
		return err
	}
	fmt.Fprintf(out, "sett up, after %d keys of %d B and %d of %d B:", loadKeys, smallBytes, loadLarge, largeBytes)
	for _, wait := range []time.Duration{0, settleTime} {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		kib, err := subject.ResidentKiB(n.PID())
		if err != nil {
			return err
		}
		fmt.Fprintf(out, " %d MB resident", kib>>10)
		if wait > 0 {
			fmt.Fprintf(out, " %v later", wait)
		}
	}
	fmt.Fprintln(out)
	return nil
}

func write(ctx context.Context, n *subject.Up, keys, bytes int) error {
	c, err := client.New("http://"+n.Admin, "")
	if err != nil {
		return err
	}
	value := make([]byte, bytes)
	var next atomic.Int64
	faults := make([]error, loadUsers)
	var users sync.WaitGroup
	for i := range faults {
		users.Go(func() {
			for k := next.Add(1); k <= int64(keys) && faults[i] == nil; k = next.Add(1) {
				o := op.Op{Kind: op.Set, Key: fmt.Sprintf("%d/%d", bytes, k), Value: value}
				_, faults[i] = c.KV().Commit(ctx, op.Txn{Namespace: "default", Ops: []op.Op{o}})
			}
		})
	}
	users.Wait()
	return errors.Join(faults...)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

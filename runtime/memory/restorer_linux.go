//go:build linux && !sett_portable

package memory

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Ways of the kernel's to say which pages differ from the image.
const (
	methodTrack  = "track"  // userfaultfd and PAGEMAP_SCAN: written pages are listed and copied back
	methodScan   = "scan"   // PAGEMAP_SCAN, Linux 6.7: private pages are found among all and copied back
	methodAdvise = "advise" // madvise: all private pages are dropped
)

// restorer gives regions their image back. It may be used by many goroutines at once, on different regions.
type restorer struct {
	method  string
	pagemap int // -1 with methodAdvise
	tracker int // userfaultfd; -1 unless methodTrack
	runs    int
	scans   sync.Pool // of *scan
}

// newRestorer finds out what the kernel offers.
func newRestorer() *restorer {
	r := &restorer{method: methodAdvise, pagemap: -1, tracker: -1, runs: scanRegions}
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return r
	}
	r.method, r.pagemap = methodScan, fd
	if r.probe() != nil {
		r.close()
		r.method = methodAdvise
		return r
	}
	if r.tracker, err = openTracker(); err != nil {
		return r
	}
	r.method = methodTrack
	if r.probe() != nil {
		unix.Close(r.tracker)
		r.method, r.tracker = methodScan, -1
	}
	return r
}

// close is called when no restore runs and none will.
func (r *restorer) close() {
	for _, fd := range []*int{&r.pagemap, &r.tracker} {
		if *fd >= 0 {
			unix.Close(*fd)
		}
		*fd = -1
	}
}

// probe restores a memory of which it knows what was written, twice: kernels before 6.7 answer an error, and one
// that lists anything else is not used.
func (r *restorer) probe() error {
	page := uint64(pageSize())
	mem := make([]byte, roundUp(trackFrom+4*page, WasmPage))
	mem[len(mem)-1] = 1
	img, err := NewImage(mem)
	if err != nil {
		return err
	}
	defer img.Close()
	reg, err := newRegion(img.stored + 4*page)
	if err != nil {
		return err
	}
	defer reg.drop()
	if err := reg.arm(img); err != nil {
		return err
	}
	written := []uint64{2 * page, img.stored - page, img.stored + page}
	for range 2 {
		for _, at := range written {
			reg.base[at] = 9
		}
		if reg.base[page] != 0 || reg.base[img.stored+2*page] != 0 { // only read
			return errors.New("fresh memory is not zero")
		}
		done, err := r.copyBack(reg, uint64(len(reg.base)), passCopy, keepPages)
		if err != nil {
			return err
		}
		if done.Pages != len(written) {
			return fmt.Errorf("%d pages are listed, %d were written", done.Pages, len(written))
		}
		for _, at := range written {
			if !img.equal(reg.base[at:at+page], at) {
				return fmt.Errorf("the page at %#x is not restored", at)
			}
		}
	}
	if reg.tracked != (r.method == methodTrack) {
		return errors.New("the memory could not be tracked")
	}
	return nil
}

// restore makes the first high bytes of a region the image's again, and lets keep private pages at most stay.
func (r *restorer) restore(reg *region, high uint64, pass pass, keep int) (Restored, error) {
	var done Restored
	var err error
	if r.method != methodAdvise {
		if done, err = r.copyBack(reg, high, pass, keep); err == nil && !done.Discarded {
			return done, nil
		}
	}
	// Too much to copy, or no way of finding it.
	done.Discarded, done.Kept = true, 0
	return done, reg.refresh(high)
}

// copying is one restore by copying.
type copying struct {
	restorer *restorer
	region   *region
	pass     pass
	keep     int
	done     Restored
	start    uint64 // where the scan began that goes on
	tracking bool   // what the scan does not find is protected
	upTo     uint64 // where the protected ends
	err      error
}

// copyBack restores private pages until there are more than keep, which it tells by Discarded.
func (r *restorer) copyBack(reg *region, high uint64, pass pass, keep int) (Restored, error) {
	s, _ := r.scans.Get().(*scan)
	if s == nil {
		s = newScan(r.runs)
	}
	defer r.scans.Put(s)
	c := copying{restorer: r, region: reg, pass: pass, keep: keep}
	if reg.image == nil || reg.image.stored < trackFrom {
		err := s.each(r.pagemap, reg.base[:high], soughtPrivate(), c.found)
		return c.result(err)
	}
	stored := reg.image.stored
	what := soughtPrivate()
	if reg.tracked {
		what = soughtWritten()
	} else if r.tracker >= 0 && pass != passFirst {
		c.tracking = reg.track(r.tracker) == nil
	}
	err := s.each(r.pagemap, reg.base[:stored], what, c.found)
	if err == nil && c.tracking && c.goesOn() {
		reg.tracked = reg.protect(r.tracker, c.upTo, stored) == nil
		c.tracking = false
	}
	if err == nil && high > stored && c.goesOn() {
		c.start = stored
		err = s.each(r.pagemap, reg.base[stored:high], soughtAnonymous(), c.found)
	}
	return c.result(err)
}

func (c *copying) goesOn() bool { return c.err == nil && !c.done.Discarded }

func (c *copying) result(err error) (Restored, error) {
	if c.pass != passSweep {
		c.done.Kept = c.done.Pages
	}
	return c.done, errors.Join(err, c.err)
}

// found restores a run of private pages.
func (c *copying) found(from, to uint64) bool {
	from, to = from+c.start, to+c.start
	page := uint64(pageSize())
	c.done.Pages += int((to - from) / page)
	if c.done.Pages > c.keep {
		c.done.Discarded = true
		return false
	}
	if c.tracking {
		// What was written stays writable: it will be written again, and costs no fault then.
		c.tracking = c.region.protect(c.restorer.tracker, c.upTo, from) == nil
		c.upTo = to
	}
	if c.pass == passSweep {
		c.err = c.sweep(from, to, page)
		return c.err == nil
	}
	c.region.image.restore(c.region.base[from:to], from)
	return true
}

// sweep restores a run of private pages, and drops those that are as in the image: the last call did not write
// them, so the next need not be made to copy them.
func (c *copying) sweep(from, to, page uint64) error {
	r := c.region
	for from < to {
		end := from
		for end < to && r.image.equal(r.base[end:end+page], end) {
			end += page
		}
		if err := r.discard(from, end); err != nil {
			return err
		}
		if c.start == 0 && (r.tracked || c.tracking) {
			if err := r.protect(c.restorer.tracker, from, end); err != nil {
				return err
			}
		}
		for from = end; from < to && !r.image.equal(r.base[from:from+page], from); from += page {
			r.image.restore(r.base[from:from+page], from)
			c.done.Kept++
		}
	}
	return nil
}

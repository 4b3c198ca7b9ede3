package logs

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, Config{})
		l.Write(line("f", "1", "past"))
		l.Write(line("g", "1", "other"))
		ctx, cancel := context.WithCancel(t.Context())
		var got []abi.Line
		done := make(chan struct{})
		go func() {
			defer close(done)
			for line := range l.Follow(ctx, Query{App: "app", Function: "f"}) {
				got = append(got, line)
			}
		}()
		synctest.Wait()
		for i := range 3 {
			l.Write(line("f", "1", fmt.Sprint("new", i)))
			l.Write(line("g", "1", "other"))
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		if messages(got) != "past new0 new1 new2" {
			t.Errorf("Follow yielded %q", messages(got))
		}
		cancel()
		<-done
		if n := len(*l.followers.Load()); n != 0 {
			t.Errorf("%d followers after the end", n)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	l := open(t, Config{})
	l.Write(line("f", "1", "one"))
	l.Write(line("f", "1", "two"))
	for got := range l.Follow(t.Context(), Query{}) {
		if got.Message != "one" {
			t.Errorf("Follow yielded %q first", got.Message)
		}
		break // while reading the past
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for range l.Follow(cancelled, Query{}) {
		n++
	}
	if n != 2 {
		t.Errorf("with a cancelled context: %d lines, want the past", n)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range l.Follow(context.Background(), Query{}) {
		}
	}()
	l.Close()
	<-ended
	if n := len(*l.followers.Load()); n != 0 {
		t.Errorf("%d followers after the end", n)
	}
}

// TestSlowFollower lets a reader fall behind: it loses lines, is told how many, and gets those after.
func TestSlowFollower(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		fit  int
	}{
		"many lines":  {"m", maxBuffered},
		"large lines": {strings.Repeat("m", maxLineBytes), maxBufferBytes/(entry{line: line("f", "1", strings.Repeat("m", maxLineBytes))}.size()) + 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := open(t, Config{})
			ctx, cancel := context.WithCancel(t.Context())
			resume := make(chan struct{})
			var got []abi.Line
			done := make(chan struct{})
			go func() {
				defer close(done)
				for line := range l.Follow(ctx, Query{Function: "f"}) {
					got = append(got, line)
					<-resume
				}
			}()
			synctest.Wait()
			l.Write(line("f", "1", "first"))
			synctest.Wait() // the reader has it, and rests
			const dropped = 37
			for range c.fit + dropped {
				l.Write(line("f", "1", c.text))
			}
			close(resume)
			synctest.Wait()
			l.Write(line("f", "1", "last"))
			synctest.Wait()
			cancel()
			<-done
			if len(got) != c.fit+3 {
				t.Fatalf("%s: %d lines, want %d", name, len(got), c.fit+3)
			}
			told := got[len(got)-2]
			if told.Message != "37 lines dropped: this reader is too slow" || told.Stream != abi.StreamPlatform || got[len(got)-1].Message != "last" {
				t.Errorf("%s: told %+v, then %q", name, told, got[len(got)-1].Message)
			}
		})
	}
}

func TestTooManyFollowers(t *testing.T) {
	l := open(t, Config{})
	for range maxFollowers {
		if !l.attach(&follower{}) {
			t.Fatal("a follower was refused")
		}
	}
	var got []abi.Line
	for line := range l.Follow(context.Background(), Query{}) {
		got = append(got, line)
	}
	if len(got) != 1 || !strings.Contains(got[0].Message, "128 readers follow already") {
		t.Errorf("one follower too many got %v", got)
	}
}

// TestFollowMissesNothing starts followers while lines are written: each sees every line once, in order.
func TestFollowMissesNothing(t *testing.T) {
	const lines, readers = 500, 8
	l := open(t, Config{})
	var group sync.WaitGroup
	for r := range readers {
		group.Go(func() {
			for len(l.Read(Query{Limit: lines})) < r*lines/readers/2 { // start at different times
				time.Sleep(time.Microsecond)
			}
			next := 0
			for line := range l.Follow(context.Background(), Query{Function: "f"}) {
				if want := fmt.Sprint(next); line.Message != want {
					t.Errorf("reader %d got %s, want %s", r, line.Message, want)
					return
				}
				if next++; next == lines {
					return
				}
			}
		})
	}
	for i := range lines {
		l.Write(line("f", "1", fmt.Sprint(i)))
	}
	group.Wait()
}

package replica

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 3, 1, 2, 3})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF})
	f.Add(append(request{number: 7, wait: time.Second, kind: askPropose, argument: []byte("x")}.header(), 'x'))
	f.Add(append(reply{number: 7, status: statusDone, answer: []byte("x")}.header(), 'x'))
	f.Fuzz(func(t *testing.T, stream []byte) {
		content, err := readFrame(bufio.NewReader(bytes.NewReader(stream)), 1<<10)
		if err != nil {
			return
		}
		if len(content) > 1<<10 || !bytes.Equal(content, stream[frameHeaderSize:frameHeaderSize+len(content)]) {
			t.Fatalf("content %x of stream %x", content, stream)
		}
		if q, err := parseRequest(content); err == nil {
			if again := append(q.header(), q.argument...); !bytes.Equal(again, stream[:len(again)]) {
				t.Errorf("request %x is written as %x", stream, again)
			}
		}
		if p, err := parseReply(content); err == nil {
			if again := append(p.header(), p.answer...); !bytes.Equal(again, stream[:len(again)]) {
				t.Errorf("reply %x is written as %x", stream, again)
			}
			index, rest, err := parseIndex(p.answer)
			if err == nil && (index != binary.BigEndian.Uint64(p.answer) || len(rest) != len(p.answer)-8) {
				t.Errorf("answer %x has index %d", p.answer, index)
			}
		}
	})
}

func TestFrameLimits(t *testing.T) {
	for size, ok := range map[int]bool{0: true, maxRequestBytes: true, maxRequestBytes + 1: false} {
		stream := append(binary.BigEndian.AppendUint32(nil, uint32(size)), make([]byte, size)...)
		content, err := readFrame(bufio.NewReader(bytes.NewReader(stream)), maxRequestBytes)
		if (err == nil) != ok || ok && len(content) != size {
			t.Errorf("frame of %d bytes: %d bytes, %v", size, len(content), err)
		}
	}
	// What is announced and does not come takes no memory.
	stream := binary.BigEndian.AppendUint32(nil, maxRequestBytes)
	if got := testing.AllocsPerRun(1, func() {
		if _, err := readFrame(bufio.NewReaderSize(bytes.NewReader(stream), 16), maxRequestBytes); err == nil {
			t.Error("a cut frame is no error")
		}
	}); got > 10 {
		t.Errorf("a cut frame makes %v allocations", got)
	}
}

func TestRequestWait(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]time.Duration{
		0: 0, time.Second: time.Second, math.MaxInt64: (1<<32 - 1) * time.Millisecond,
	} {
		q, err := parseRequest(request{number: 1, wait: wait, kind: 2}.header()[frameHeaderSize:])
		if err != nil || q.wait != want {
			t.Errorf("wait %v is read as %v, %v, want %v", wait, q.wait, err, want)
		}
	}
}

// TestRefusals has a follower, a stranger's request and a wrong id refused for certain.
func TestRefusals(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		follower := g.others(leader)[0]
		calls := g.replicas[leader].calls
		for name, c := range map[string]struct {
			kind     byte
			argument string
		}{
			"propose to a follower":    {askPropose, "1 k 1"},
			"read index of a follower": {askReadIndex, ""},
			"term of another":          {askTermOf, strings.Repeat("x", 1000)},
			"unknown":                  {77, ""},
		} {
			_, err := calls.call(t.Context(), follower, c.kind, []byte(c.argument))
			if !errors.Is(err, errRefused) {
				t.Errorf("%s: %v, want %v", name, err, errRefused)
			}
		}
		if _, err := calls.call(t.Context(), "nobody", askReadIndex, nil); !errors.Is(err, errRefused) {
			t.Errorf("call nobody: %v, want %v", err, errRefused)
		}
		// Once it was asked, nothing is certain.
		g.net.Hold(follower, leader)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := calls.call(ctx, follower, askPropose, []byte("1 k 1")); err == nil || errors.Is(err, errRefused) {
			t.Errorf("call without an answer: %v, want an error other than %v", err, errRefused)
		}
		g.net.Heal()
	})
}

// TestResolve has members found by what their ids resolve to, not by the addresses in the configuration.
func TestResolve(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := newGroup(t, "")
		resolve := func(c *Config) { c.Resolve = func(id string) (string, error) { return id, nil } }
		for _, id := range g.ids {
			old := []Server{{"a", "old-a", true}, {"b", "old-b", true}, {"c", "old-c", true}}
			g.start(id, old, resolve)
		}
		leader := g.leader()
		for i, id := range g.others(leader) {
			g.mustIncr(id, "k", int64(i+1))
			g.mustRead(id, "k", int64(i+1))
		}
	})
}

func TestStreamLimit(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		m := g.replicas["a"].mux
		m.mu.Lock()
		before := m.taken
		m.mu.Unlock()
		stranger, err := g.net.Listen("stranger")
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for i := range maxStreams - before + 10 {
			conn, err := stranger.Dial(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.Write([]byte{streamCalls})
			if i >= maxStreams-before {
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					refused++
				}
			}
			time.Sleep(time.Millisecond)
		}
		if refused == 0 {
			t.Error("no stream over the limit was refused")
		}
	})
}

func TestStatsOfLeader(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		g.mustIncr(leader, "k", 1)
		s := g.replicas[leader].Stats()
		want := Stats{State: "Leader", Term: s.Term, FirstIndex: 1, LastIndex: 4, CommitIndex: 4, Applied: 4}
		if d := cmp.Diff(want, s); d != "" {
			t.Errorf("stats (-want +got):\n%s", d)
		}
	})
}

package peer

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// TestTrailersTravel: a request's trailers reach another node and a reply's come back, of whole bodies and of those in pieces.
func TestTrailersTravel(t *testing.T) {
	some := []abi.Field{{Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "\xff"}, {Name: "Empty"}}
	long := []abi.Field{{Name: "X-Sum", Value: strings.Repeat("a", maxTrailersText)}}
	for _, c := range []struct {
		name         string
		list         []abi.Field
		more, stream bool
		want         []abi.Field
	}{
		{"whole", some, false, false, some},
		{"whole, reply in pieces", some, false, true, some},
		{"long", long, false, true, long},
		{"in pieces", some, true, true, some},
		{"in pieces, none", nil, true, true, nil},
		{"in pieces, too long", long, true, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			_, node := w.server("b", ServerConfig{Invoker: invokerFunc(func(_ context.Context, i Invocation) (*abi.Result, error) {
				e := i.Event
				r := &abi.Result{Reply: abi.Reply{Status: 200, Trailers: e.Trailers}}
				if e.Stream == nil {
					return r, nil
				}
				if r.Streamed = true; e.Stream.Start(r) != nil {
					t.Error("the reply cannot begin")
				}
				if !e.More {
					return r, nil
				}
				n, err := io.Copy(io.Discard, e.Stream)
				if want := int64(100_000); n != want || err != nil {
					t.Errorf("body of %d bytes, %v, want %d", n, err, want)
				}
				r.Trailers = e.Stream.Trailers()
				return r, err
			})})
			i := piecesOf(newNear(strings.NewReader(strings.Repeat("a", 100_000))), c.more)
			i.Event.Stream.(*near).trailers = c.list
			if !c.more {
				i.Event.Trailers = c.list
			}
			if !c.stream {
				i.Event.Stream = nil
			}
			result, err := w.client("a").Invoke(t.Context(), node, i)
			if err != nil || !slices.Equal(result.Trailers, c.want) || result.Streamed != c.stream {
				t.Errorf("Invoke = %+v, %v, want trailers %v", result, err, c.want)
			}
		})
	}
}

// TestOlderNodesSkipTrailers: their envelopes have no trailers, and what they send has none.
func TestOlderNodesSkipTrailers(t *testing.T) {
	i := invocation([]byte("body"))
	plain, err := encodeInvocation(i, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	i.Event.Trailers = []abi.Field{{Name: "X", Value: "y"}}
	message, err := encodeInvocation(i, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var older struct {
		App         string `cbor:"1,keyasint"`
		Function    string `cbor:"2,keyasint"`
		Version     int    `cbor:"3,keyasint"`
		RemainingMS int64  `cbor:"4,keyasint,omitempty"`
	}
	payload, err := open(message, &older)
	if err != nil || older.App != i.App || older.RemainingMS != 1000 || !strings.HasSuffix(string(plain), string(payload)) {
		t.Errorf("an older node reads %+v, %v", older, err)
	}
	if j, _, err := decodeInvocation(plain); err != nil || j.Event.Trailers != nil {
		t.Errorf("what an older node sends is %+v, %v", j.Event, err)
	}
}

// FuzzReadTrailers has another node send any envelope's trailers.
func FuzzReadTrailers(f *testing.F) {
	f.Add(packTrailers([]abi.Field{{Name: "X", Value: "y"}}))
	f.Add([]byte("\x12\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := unpackTrailers(data)
		if err != nil {
			return
		}
		again, err := unpackTrailers(packTrailers(list))
		if err != nil || !slices.Equal(list, again) || len(list) > abi.MaxHeaders {
			t.Errorf("%v, %v, want %v", again, err, list)
		}
	})
}

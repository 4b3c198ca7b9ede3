package component

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// finishWith finishes a body with trailers.
func (w *world) finishWith(body, stream uint64, trailers ...string) {
	w.do(drop+"output-stream", stream)
	ptr, n := w.pairs(trailers...)
	w.do("[static]fields.from-list", ptr, n/2, result)
	w.do("[static]outgoing-body.finish", body, 1, w.u32(result+4), result)
	if w.u8(result) != 0 {
		w.t.Errorf("finish = %d", w.u8(result))
	}
}

// TestResponseTrailers: they come with a response that is held, and at the end of one that was begun; what is begun behind them
// announces them in place of its length.
func TestResponseTrailers(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(w *world, body, stream uint64)
		head string // "name: value" of what was sent first; "": it is held
	}{
		{"held", func(w *world, body, stream uint64) {
			w.write(stream, "a")
			w.finishWith(body, stream, "X-Sum", "1", "x-sum", "2")
		}, ""},
		{"begun", func(w *world, body, stream uint64) {
			w.write(stream, "a")
			w.sleep(time.Second)
			w.finishWith(body, stream, "X-Sum", "1", "x-sum", "2")
		}, "A: b"},
		{"finished, and then waits", func(w *world, body, stream uint64) {
			w.write(stream, "a")
			w.finishWith(body, stream, "X-Sum", "1", "x-sum", "2")
			w.sleep(time.Second)
		}, "A: b|Trailer: X-Sum|Trailer: x-sum"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				_, out := w.begin(new(abi.Event))
				to := new(client)
				w.call.Pieces = to
				body, stream := w.open(out, "A", "b")
				c.run(w, body, stream)
				var reply abi.Reply
				if err := w.call.Reply(&reply); err != nil {
					t.Fatal(err)
				}
				if want := []abi.Field{{Name: "X-Sum", Value: "1"}, {Name: "x-sum", Value: "2"}}; !slices.Equal(reply.Trailers, want) {
					t.Errorf("trailers %v, want %v", reply.Trailers, want)
				}
				var head []string
				if to.head != nil {
					for _, h := range to.head.Headers {
						head = append(head, h.Name+": "+h.Value)
					}
				}
				if got := strings.Join(head, "|"); got != c.head {
					t.Errorf("head %q, want %q", got, c.head)
				}
			})
		})
	}
}

// TestTrailersOfWrongBody: a body that is not what its headers announce has no trailers, and nothing of them is held.
func TestTrailersOfWrongBody(t *testing.T) {
	w := newWorld(t)
	_, out := w.begin(new(abi.Event))
	body, stream := w.open(out, "Content-Length", "2")
	w.write(stream, "a")
	w.do(drop+"output-stream", stream)
	held := w.call.held
	ptr, n := w.pairs("X", "1")
	w.do("[static]fields.from-list", ptr, n/2, result)
	w.do("[static]outgoing-body.finish", body, 1, w.u32(result+4), result)
	if w.u8(result) != 1 || w.call.held != held {
		t.Errorf("finish = %d, %d bytes are held, want %d", w.u8(result), w.call.held, held)
	}
}

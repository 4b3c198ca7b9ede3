//go:build !wasip1

package host

import (
	"bytes"
	"io"
)

// Pieces is the client of one invocation that reads or answers in pieces.
type Pieces struct {
	Rest  io.Reader // what follows the event's body; nil: nothing
	Reply []byte    // what ReplyStart was given, a message; nil: nothing
	Body  []byte    // what ReplySend was given
}

var client *Pieces // guarded by mu; nil: nobody takes pieces

// LendPieces has p take pieces until restore is called.
func LendPieces(p *Pieces) (restore func()) { return lend(&client, p) }

func pieces() *Pieces {
	mu.Lock()
	defer mu.Unlock()
	if client == nil {
		panic("host: nobody takes a reply in pieces")
	}
	return client
}

// BodyRead reads what follows the event's body; 0: that is all.
func BodyRead(b []byte) int {
	p := pieces()
	if p.Rest == nil || len(b) == 0 {
		return 0
	}
	n, err := io.ReadAtLeast(p.Rest, b, 1)
	if err != nil && err != io.EOF {
		panic(err) // on a node the invocation ends here
	}
	return n
}

// ReplyStart sends a reply, a message, of which more follows.
func ReplyStart(b []byte) { pieces().Reply = bytes.Clone(b) }

// ReplySend sends more of the reply's body.
func ReplySend(b []byte) {
	p := pieces()
	p.Body = append(p.Body, b...)
}

package trust

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

func testRequest() Request {
	return Request{Invite: "0123456789abcdef", Secret: Secret{1}, ID: "fedcba9876543210", Name: "n", Version: "v1", Level: 1, CSR: []byte("csr")}
}

func testAnswer() Answer {
	return Answer{Certificate: []byte("cert"), Roots: []byte("roots"), Keys: [][]byte{make([]byte, 32)},
		Peers: []Peer{{ID: "0123456789abcdef", Gossip: "a:1", Port: "a:2"}}, Role: Reader}
}

func TestMessages(t *testing.T) {
	b, err := encodeRequest(testRequest())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeRequest(b); err != nil || !reflect.DeepEqual(got, testRequest()) {
		t.Errorf("decodeRequest = %+v, %v", got, err)
	}
	for n := range b {
		if _, err := decodeRequest(b[:n]); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("decodeRequest of %d of %d bytes = %v", n, len(b), err)
		}
	}
	b, err = encodeReply(testAnswer(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeReply(b); err != nil || !reflect.DeepEqual(got, testAnswer()) {
		t.Errorf("decodeReply = %+v, %v", got, err)
	}
	long := strings.Repeat("ä", maxMessageBytes)
	b, _ = encodeReply(Answer{}, abi.WithCode(abi.Conflict, io.ErrUnexpectedEOF))
	if _, err := decodeReply(b); abi.CodeOf(err) != abi.Conflict || err.Error() != io.ErrUnexpectedEOF.Error() {
		t.Errorf("decodeReply of an error = %v (%s)", err, abi.CodeOf(err))
	}
	b, _ = encodeReply(Answer{}, abi.WithCode(abi.Conflict, &refusal{err: errorText("x" + long)}))
	if _, err := decodeReply(b); abi.CodeOf(err) != abi.Conflict || len(err.Error()) > maxMessageBytes {
		t.Errorf("decodeReply of a long error = %v", err)
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }

func TestMessageLimits(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"invite": func(r *Request) { r.Invite = "x" }, "id": func(r *Request) { r.ID = "" },
		"name": func(r *Request) { r.Name = "" }, "region": func(r *Request) { r.Region = "-" },
		"version": func(r *Request) { r.Version = strings.Repeat("v", maxVersionBytes+1) },
		"csr":     func(r *Request) { r.CSR = make([]byte, MaxRequestBytes+1) },
	} {
		r := testRequest()
		change(&r)
		if err := r.Validate(); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("%s: Validate = %v", name, err)
		}
	}
	for name, change := range map[string]func(*Answer){
		"role": func(a *Answer) { a.Role = "" }, "certificate": func(a *Answer) { a.Certificate = nil },
		"keys": func(a *Answer) { a.Keys = nil }, "key": func(a *Answer) { a.Keys[0] = []byte("short") },
		"peers": func(a *Answer) { a.Peers = make([]Peer, MaxPeers+1) }, "peer": func(a *Answer) { a.Peers[0].ID = "" },
		"address": func(a *Answer) { a.Peers[0].Port = "a" },
	} {
		a := testAnswer()
		change(&a)
		if err := a.validate(); err == nil {
			t.Errorf("%s: validate accepts it", name)
		}
	}
	most := Request{Invite: newID(), ID: newID(), Name: strings.Repeat("n", 63), Region: strings.Repeat("r", 63),
		Version: strings.Repeat("v", maxVersionBytes), CSR: make([]byte, MaxRequestBytes)}
	if b, err := encodeRequest(most); err != nil || len(b) > maxJoinRequestBytes {
		t.Errorf("the largest request has %d bytes, %v, want at most %d", len(b), err, maxJoinRequestBytes)
	}
}

func FuzzJoinRequest(f *testing.F) {
	b, _ := encodeRequest(testRequest())
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRequest(b)
		if err != nil {
			if abi.CodeOf(err) != abi.InvalidInput {
				t.Errorf("decodeRequest = %v without its code", err)
			}
			return
		}
		b, err = encodeRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeRequest(b); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("decodeRequest = %+v, then %+v, %v", r, again, err)
		}
	})
}

func FuzzJoinReply(f *testing.F) {
	b, _ := encodeReply(testAnswer(), nil)
	f.Add(b)
	b, _ = encodeReply(Answer{}, abi.WithCode(abi.Conflict, io.EOF))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeReply(b)
		if err != nil {
			return
		}
		if b, err = encodeReply(a, nil); err != nil {
			t.Fatal(err)
		}
		if again, err := decodeReply(b); err != nil || !reflect.DeepEqual(again, a) {
			t.Errorf("decodeReply = %+v, then %+v, %v", a, again, err)
		}
	})
}

func FuzzParsePEM(f *testing.F) {
	a, err := NewAuthority()
	if err != nil {
		f.Fatal(err)
	}
	text, _ := a.PEM()
	f.Add(text)
	f.Add(a.Roots())
	f.Fuzz(func(t *testing.T, text []byte) {
		if a, err := ParseAuthority(text); err == nil {
			if _, err := a.PEM(); err != nil {
				t.Errorf("PEM = %v", err)
			}
		}
	})
}

// recorder is a connection that keeps what its owner writes.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.sent.Write(b)
	return r.Conn.Write(b)
}

// hello is what a client sends first.
func hello(protocols ...string) []byte {
	here, there := net.Pipe()
	r := &recorder{Conn: here}
	go func() {
		there.Read(make([]byte, 64<<10))
		there.Close()
	}()
	c := tls.Client(r, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	_ = c.HandshakeContext(context.Background()) // fails: nobody answers
	return r.sent.Bytes()
}

// FuzzPort feeds bytes to a port: nobody comes in by them.
func FuzzPort(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(hello(ProtocolRaft))
	f.Add(hello(ProtocolJoin))
	f.Add(hello(ProtocolRaft, ProtocolJoin))
	f.Add(hello("h2"))
	f.Add(hello())
	i, err := OpenIdentity("", newID())
	if err != nil {
		f.Fatal(err)
	}
	a, err := NewAuthority()
	if err == nil {
		err = i.IssuedBy(a)
	}
	if err != nil {
		f.Fatal(err)
	}
	network := newMemory().host("a")
	l, _ := network.Listen(context.Background(), "a:1")
	p, err := OpenPort(Config{Listener: l, Network: network, Identity: i})
	if err != nil {
		f.Fatal(err)
	}
	defer p.Close()
	raft, join := p.Stream(ProtocolRaft), p.Stream(ProtocolJoin)
	f.Fuzz(func(t *testing.T, b []byte) {
		here, there := net.Pipe()
		s, err := p.strangers.admit(there)
		if err != nil {
			t.Fatal(err)
		}
		var work sync.WaitGroup
		work.Go(func() { p.greet(s) })
		work.Go(func() { io.Copy(io.Discard, here) })
		here.Write(b)
		here.Close()
		work.Wait()
		if len(raft.accepted)+len(join.accepted) > 0 {
			t.Errorf("%q comes in", b)
		}
		if len(p.strangers.conns) > 0 {
			t.Errorf("%q stays", b)
		}
	})
}

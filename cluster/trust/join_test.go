package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// joinable is a node that lets others join.
func (d *den) joinable(name string) *testNode {
	n := d.node(name)
	peer := Peer{ID: n.identity.ID(), Gossip: name + ":7946", Port: name + ":7000"}
	d.serve(n, Admission{Records: d.records, Peers: func(context.Context) []Peer { return []Peer{peer} }})
	return n
}

func (d *den) serve(n *testNode, a Admitter) {
	var work sync.WaitGroup
	work.Go(func() {
		if err := n.ServeJoins(context.Background(), a); err != nil {
			d.t.Errorf("ServeJoins = %v", err)
		}
	})
	d.t.Cleanup(func() { n.Close(); work.Wait() })
	synctest.Wait()
}

func (d *den) invite(i Invitation) Token {
	d.t.Helper()
	if i.Addresses == nil {
		i.Addresses = []string{"a:7000"}
	}
	t, err := d.records.Invite(d.t.Context(), i)
	if err != nil {
		d.t.Fatal(err)
	}
	return t
}

// newcomer is a node that wants to join.
func newcomer(t *testing.T) (*Identity, Request) {
	t.Helper()
	i := open(t, "", newID())
	csr, err := i.NewRequest()
	if err != nil {
		t.Fatal(err)
	}
	return i, Request{ID: i.ID(), Name: "new", Region: "eu", Version: "v1", Level: 3, CSR: csr}
}

func TestJoin(t *testing.T) { synctest.Test(t, testJoin) }

func testJoin(t *testing.T) {
	d := newDen(t)
	a := d.joinable("a")
	echo(t, a.Stream(ProtocolRaft))
	token, err := ParseToken(d.invite(Invitation{Role: Reader, Addresses: []string{"gone:7000", "a:7000"}}).Text())
	if err != nil {
		t.Fatal(err)
	}
	i, r := newcomer(t)
	network := d.network.host("b")
	var first Answer
	for n := range 2 { // the first answer may have been lost
		answer, err := Join(t.Context(), network, token, r)
		if err != nil {
			t.Fatalf("Join %d = %v", n, err)
		}
		if answer.Role != Reader || len(answer.Keys) != 1 || len(answer.Keys[0]) != 32 || len(answer.Peers) != 1 || answer.Peers[0].Port != "a:7000" {
			t.Errorf("Join %d = %v with peers %v", n, answer, answer.Peers)
		}
		first = answer
	}
	if err := i.Use(first.Certificate, first.Roots); err != nil {
		t.Fatal(err)
	}
	l, _ := network.Listen(t.Context(), "b:7000")
	p, err := OpenPort(Config{Listener: l, Network: network, Identity: i})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := p.Stream(ProtocolRaft).DialNode(t.Context(), "a:7000", a.identity.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := ask(c); got != r.ID || err != nil {
		t.Errorf("the new node is seen as %s, %v, want %s", got, err, r.ID)
	}
	m, _, err := d.records.Member(t.Context(), r.ID, strong())
	if err != nil || m.Role != Reader || m.Name != "new" || m.Region != "eu" || m.Joined.IsZero() {
		t.Errorf("Member = %+v, %v", m, err)
	}
}

func TestJoinIsRefused(t *testing.T) { synctest.Test(t, testJoinIsRefused) }

func testJoinIsRefused(t *testing.T) {
	d := newDen(t)
	a := d.joinable("a")
	network := d.network.host("b")
	_, first := newcomer(t)
	used, gone := d.invite(Invitation{}), d.invite(Invitation{})
	if _, err := Join(t.Context(), network, used, first); err != nil {
		t.Fatal(err)
	}
	if err := d.records.RemoveMember(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	good := d.invite(Invitation{})
	wrong, unknown, elsewhere := good, good, good
	wrong.Secret[0] ^= 1
	unknown.Invite = newID()
	elsewhere.Root[0] ^= 1
	for _, c := range []struct {
		name  string
		token Token
		ask   func(*Request)
		code  abi.Code
		want  string
	}{
		{"used", used, nil, abi.Forbidden, ErrUsedToken.Error()},
		{"removed", used, func(r *Request) { *r = first }, abi.Forbidden, ErrRemoved.Error()},
		{"removed, another token", gone, func(r *Request) { r.ID = first.ID }, abi.Forbidden, ErrRemoved.Error()},
		{"a member's id", good, func(r *Request) { r.ID = a.identity.ID() }, abi.Conflict, "member already"},
		{"wrong secret", wrong, nil, abi.Unauthorized, ErrUnknownToken.Error()},
		{"unknown invite", unknown, nil, abi.Unauthorized, ErrUnknownToken.Error()},
		{"bad certificate request", good, func(r *Request) { r.CSR = []byte("x") }, abi.InvalidInput, "certificate request"},
		{"another cluster", elsewhere, nil, abi.Unavailable, ErrFingerprint.Error()},
		{"bad name", good, func(r *Request) { r.Name = "Not A Label" }, abi.InvalidInput, "name"},
		{"no request", good, func(r *Request) { r.CSR = nil }, abi.InvalidInput, "0 bytes"},
		{"no addresses", Token{Invite: newID()}, nil, abi.InvalidInput, "0 addresses"},
	} {
		_, r := newcomer(t)
		if c.ask != nil {
			c.ask(&r)
		}
		_, err := Join(t.Context(), network, c.token, r)
		if abi.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Join = %v (%s), want %s and %q", c.name, err, abi.CodeOf(err), c.code, c.want)
		}
	}
	_, r := newcomer(t)
	if _, err := Join(t.Context(), network, good, r); err != nil {
		t.Errorf("refusals have spent a good token: %v", err)
	}
}

func TestJoinWithExpiredToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		d.joinable("a")
		token := d.invite(Invitation{TTL: time.Minute})
		wrong := token
		wrong.Secret[0] ^= 1
		_, r := newcomer(t)
		time.Sleep(time.Minute)
		if _, err := Join(t.Context(), d.network.host("b"), token, r); abi.CodeOf(err) != abi.Forbidden || !strings.Contains(err.Error(), "expired") {
			t.Errorf("Join = %v, want that the token has expired", err)
		}
		if _, err := Join(t.Context(), d.network.host("b"), wrong, r); abi.CodeOf(err) != abi.Unauthorized || strings.Contains(err.Error(), "expired") {
			t.Errorf("Join with a wrong secret = %v, want nothing about expiry", err)
		}
	})
}

// TestJoinManInTheMiddle: who is not of the token's cluster sees no request.
func TestJoinManInTheMiddle(t *testing.T) { synctest.Test(t, testJoinManInTheMiddle) }

func testJoinManInTheMiddle(t *testing.T) {
	d, other := newDen(t), newDen(t)
	token := d.invite(Invitation{})
	mitm := other.identity().current.Load().forJoin
	mitm.Certificate = append(mitm.Certificate, d.authority.root.Raw) // the root is no secret
	l, _ := d.network.host("a").Listen(t.Context(), "a:7000")
	defer l.Close()
	seen := make(chan []byte, 1)
	go func() {
		raw, _ := l.Accept()
		c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{mitm}, NextProtos: []string{ProtocolJoin}})
		b, _ := io.ReadAll(c)
		raw.Close()
		seen <- b
	}()
	_, r := newcomer(t)
	if _, err := Join(t.Context(), d.network.host("b"), token, r); err == nil {
		t.Error("Join comes through")
	}
	if b := <-seen; len(b) > 0 {
		t.Errorf("the other end has read %d bytes", len(b))
	}
}

// TestJoinAfterRotation: a token made before the root was replaced works while the old root is trusted.
func TestJoinAfterRotation(t *testing.T) { synctest.Test(t, testJoinAfterRotation) }

func testJoinAfterRotation(t *testing.T) {
	d := newDen(t)
	a := d.joinable("a")
	before := d.invite(Invitation{})
	rotated, err := d.authority.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	d.replace(rotated)
	if err := d.records.Renew(t.Context(), a.identity); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]Token{"before": before, "after": d.invite(Invitation{})} {
		i, r := newcomer(t)
		answer, err := Join(t.Context(), d.network.host("b"), token, r)
		if err == nil {
			err = i.Use(answer.Certificate, answer.Roots)
		}
		if err != nil {
			t.Errorf("token of %s the rotation: %v", name, err)
		}
	}
}

// admitFunc is an Admitter.
type admitFunc func(context.Context, Request) (Answer, error)

func (f admitFunc) Admit(ctx context.Context, r Request) (Answer, error) { return f(ctx, r) }

func TestJoinTriesOtherAddresses(t *testing.T) { synctest.Test(t, testJoinTriesOtherAddresses) }

func testJoinTriesOtherAddresses(t *testing.T) {
	d := newDen(t)
	d.serve(d.node("leaderless"), admitFunc(func(context.Context, Request) (Answer, error) {
		return Answer{}, abi.WithCode(abi.Unavailable, errors.New("no leader"))
	}))
	broken := d.node("broken")
	d.serve(broken, admitFunc(func(context.Context, Request) (Answer, error) { return Answer{}, errors.New("a secret cause") }))
	d.joinable("a")
	_, r := newcomer(t)
	token := d.invite(Invitation{Addresses: []string{"leaderless:7000", "broken:7000", "a:7000"}})
	if _, err := Join(t.Context(), d.network.host("b"), token, r); err != nil {
		t.Errorf("Join = %v", err)
	}
	token.Addresses = token.Addresses[:2]
	_, err := Join(t.Context(), d.network.host("b"), token, r)
	if err == nil || !strings.Contains(err.Error(), "no leader") || strings.Contains(err.Error(), "secret cause") || abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Join = %v (%s), want that there is no leader, and no cause without a code", err, abi.CodeOf(err))
	}
	synctest.Wait()
	if !strings.Contains(broken.log.String(), "a secret cause") {
		t.Errorf("the cause is not logged: %s", broken.log)
	}
}

// TestJoinRates: a host that guesses is slowed down, and others are not; all together are limited.
func TestJoinRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		a := d.joinable("a")
		wrong := d.invite(Invitation{})
		wrong.Secret[0] ^= 1
		attempt := func(host string, token Token) abi.Code {
			_, r := newcomer(t)
			_, err := Join(t.Context(), d.network.host(host), token, r)
			return abi.CodeOf(err)
		}
		for n := range wrongTokenBurst {
			if got := attempt("guesser", wrong); got != abi.Unauthorized {
				t.Errorf("guess %d: %s", n, got)
			}
		}
		if got := attempt("guesser", d.invite(Invitation{})); got != abi.TooManyRequests {
			t.Errorf("guess %d: %s, want %s", wrongTokenBurst, got, abi.TooManyRequests)
		}
		for n := range joinBurst - wrongTokenBurst {
			if got := attempt("other", d.invite(Invitation{})); got != "" {
				t.Errorf("join %d of another host: %s", n, got)
			}
		}
		if got := attempt("third", d.invite(Invitation{})); got != abi.TooManyRequests {
			t.Errorf("join %d of all: %s, want %s", joinBurst+1, got, abi.TooManyRequests)
		}
		if got := a.refused(t, reasonRate); got != 2 {
			t.Errorf("refused for their rate: %d, want 2", got)
		}
		time.Sleep(wrongTokenPause)
		if got := attempt("guesser", d.invite(Invitation{})); got != "" {
			t.Errorf("after a pause: %s", got)
		}
	})
}

// TestJoinRatesOfGarbage: whoever sends what is no request, or is refused before the token is looked at, keeps nobody else out.
func TestJoinRatesOfGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		tooOld := func(_ context.Context, r Request) error {
			if r.Level == 0 {
				return abi.WithCode(abi.Conflict, errors.New("too old"))
			}
			return nil
		}
		d.serve(d.node("a"), Admission{Records: d.records, Peers: func(context.Context) []Peer { return nil }, Accept: tooOld})
		for range 2 * joinBurst {
			c := d.dialJoin(t)
			if err := writeFrame(c, []byte("garbage")); err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadAll(c)
			c.Close()
		}
		_, old := newcomer(t)
		old.Level = 0
		for range 2 * joinBurst {
			if _, err := Join(t.Context(), d.network.host("old"), d.invite(Invitation{}), old); err == nil {
				t.Fatal("an old node joins")
			}
		}
		_, r := newcomer(t)
		if _, err := Join(t.Context(), d.network.host("other"), d.invite(Invitation{}), r); err != nil {
			t.Errorf("join of another host: %v", err)
		}
	})
}

func TestWrongTokensHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWrongTokens()
		for n := range maxWrongHosts + wrongTokenBurst {
			w.note(fmt.Sprint("host", n))
		}
		if len(w.hosts) != maxWrongHosts+1 || w.allowed("new") || !w.allowed("host1") {
			t.Errorf("%d hosts, new allowed %v, host1 allowed %v; want %d, false, true", len(w.hosts), w.allowed("new"), w.allowed("host1"), maxWrongHosts+1)
		}
		time.Sleep(wrongTokenPause * wrongTokenBurst)
		w.note("late")
		if len(w.hosts) != 1 {
			t.Errorf("%d hosts are remembered, want 1", len(w.hosts))
		}
	})
}

// dialJoin is a connection on which a request is expected.
func (d *den) dialJoin(t *testing.T) net.Conn {
	t.Helper()
	raw, err := d.network.host("x").Dial(t.Context(), "a:7000")
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{ProtocolJoin}})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestJoinRequestThatCannotBeRead(t *testing.T) { synctest.Test(t, testJoinRequestThatCannotBeRead) }

func testJoinRequestThatCannotBeRead(t *testing.T) {
	d := newDen(t)
	a := d.joinable("a")
	for _, c := range []struct {
		name, sent string
		code       abi.Code
	}{
		{"not CBOR", "\x00\x00\x00\x01\xff", abi.InvalidInput},
		{"empty", "\x00\x00\x00\x00", abi.InvalidInput},
		{"too long", "\x00\x00\x40\x01", abi.TooLarge},
	} {
		conn := d.dialJoin(t)
		io.WriteString(conn, c.sent)
		b, err := readFrame(conn, maxJoinReplyBytes)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := decodeReply(b); abi.CodeOf(err) != c.code {
			t.Errorf("%s: the reply is %v (%s), want %s", c.name, err, abi.CodeOf(err), c.code)
		}
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	synctest.Wait()
	if got := a.refused(t, reasonRequest); got != 3 {
		t.Errorf("refused for their request: %d, want 3", got)
	}
}

// TestSilentJoin: who asks to join and does not say so is hung up on, and Close does not wait for it.
func TestSilentJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		a := d.joinable("a")
		start := time.Now()
		conn := d.dialJoin(t)
		io.WriteString(conn, "\x00")
		if _, err := io.Copy(io.Discard, conn); time.Since(start) != joinReadTimeout {
			t.Errorf("it is hung up on after %v: %v", time.Since(start), err)
		}
		conn.Close()
		synctest.Wait()
		if len(a.strangers.conns) != 0 {
			t.Error("it counts as a stranger still")
		}
		conn = d.dialJoin(t)
		defer conn.Close()
		synctest.Wait()
		if len(a.strangers.conns) != 1 {
			t.Error("who asks to join is no stranger")
		}
		start = time.Now()
		a.Close()
		if time.Since(start) > 0 {
			t.Errorf("Close takes %v", time.Since(start))
		}
	})
}

func TestAcceptRefuses(t *testing.T) { synctest.Test(t, testAcceptRefuses) }

func testAcceptRefuses(t *testing.T) {
	d := newDen(t)
	n := d.node("a")
	d.serve(n, Admission{Records: d.records, Peers: func(context.Context) []Peer { return nil },
		Accept: func(_ context.Context, r Request) error {
			return abi.WithCode(abi.Unsupported, fmt.Errorf("version %s is too old", r.Version))
		}})
	_, r := newcomer(t)
	if _, err := Join(t.Context(), d.network.host("b"), d.invite(Invitation{}), r); abi.CodeOf(err) != abi.Unsupported || !strings.Contains(err.Error(), "v1 is too old") {
		t.Errorf("Join = %v", err)
	}
}

// TestSilentCluster: an address that lets in and does not answer is given up.
func TestSilentCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		n := d.node("a")
		d.serve(n, admitFunc(func(ctx context.Context, _ Request) (Answer, error) {
			<-ctx.Done()
			return Answer{}, ctx.Err()
		}))
		l := d.node("silent").Stream(ProtocolJoin)
		defer l.Close()
		_, r := newcomer(t)
		for address, want := range map[string]time.Duration{"a:7000": joinAdmitTimeout, "silent:7000": joinTimeout} {
			start := time.Now()
			_, err := Join(t.Context(), d.network.host("b"), d.invite(Invitation{Addresses: []string{address}}), r)
			if err == nil || time.Since(start) != want {
				t.Errorf("%s: Join = %v after %v, want an error after %v", address, err, time.Since(start), want)
			}
		}
	})
}

package trust

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of those who ask to join this node. Higher ones let more nodes join at once, and more guesses be made.
const (
	joinsPerSecond   = 5
	joinBurst        = 10
	wrongTokenPause  = 12 * time.Second // a host that has shown wrong tokens, or asked what cannot be, may try again that often
	wrongTokenBurst  = 5                // such requests of a host before it has to pause
	maxWrongHosts    = 1024             // hosts that are remembered for it; those beyond count as one
	joinReadTimeout  = 5 * time.Second
	joinAdmitTimeout = 20 * time.Second
)

// Admitter decides who joins. An Admission is one.
type Admitter interface {
	// Admit answers a request, which is valid. An error with a code is told to the one who asks, message and all;
	// one without is logged. Unauthorized means a wrong token, after which the host is slowed down.
	Admit(ctx context.Context, r Request) (Answer, error)
}

// ServeJoins lets a answer those who ask to join, until ctx ends or the port is closed; then it waits for the answers
// under way.
func (p *Port) ServeJoins(ctx context.Context, a Admitter) error {
	s := p.Stream(ProtocolJoin)
	j := &joins{port: p, admitter: a, all: rate.NewLimiter(joinsPerSecond, joinBurst), wrong: newWrongTokens()}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	defer s.Close()
	var work sync.WaitGroup
	defer work.Wait()
	for {
		c, err := s.accept()
		if err != nil {
			return nil // closed
		}
		work.Go(func() { j.serve(ctx, c) })
	}
}

// joins answers those who ask to join.
type joins struct {
	port     *Port
	admitter Admitter
	all      *rate.Limiter
	wrong    *wrongTokens
}

// serve reads one request and writes one reply.
func (j *joins) serve(ctx context.Context, c *Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.raw.Close() })()
	host := hostOf(c.RemoteAddr())
	answer, err := j.answer(ctx, host, c)
	if err != nil && ctx.Err() == nil {
		j.port.refuse(host, err)
	}
	reply, err := encodeReply(answer, err)
	if err == nil && len(reply) > maxJoinReplyBytes {
		err = fmt.Errorf("the reply has %d bytes, at most %d are allowed", len(reply), maxJoinReplyBytes)
	}
	if err == nil {
		_ = c.SetWriteDeadline(time.Now().Add(joinReadTimeout)) // a connection that cannot have one is an in-memory one
		err = writeFrame(c, reply)
	}
	if err != nil && ctx.Err() == nil {
		j.port.config.Log.Warn("answer who joins", "from", host, "err", err)
	}
}

// answer answers a *refusal, whose code and message are for the one who asks.
func (j *joins) answer(ctx context.Context, host string, c net.Conn) (Answer, error) {
	_ = c.SetReadDeadline(time.Now().Add(joinReadTimeout))
	b, err := readFrame(c, maxJoinRequestBytes)
	if err != nil {
		return Answer{}, refused(reasonRequest, err)
	}
	if !j.wrong.allowed(host) {
		return Answer{}, tooMany()
	}
	r, err := decodeRequest(b)
	if err != nil {
		j.wrong.note(host)
		return Answer{}, refused(reasonRequest, err)
	}
	if !j.all.Allow() {
		return Answer{}, tooMany()
	}
	ctx, cancel := context.WithTimeout(ctx, joinAdmitTimeout)
	defer cancel()
	answer, err := j.admitter.Admit(ctx, r)
	if err == nil {
		j.port.config.Log.Info("node joins", "node", r.ID, "name", r.Name, "from", host, "role", string(answer.Role))
		return answer, nil
	}
	switch abi.CodeOf(err) {
	case abi.Unauthorized:
		j.wrong.note(host)
		return Answer{}, refused(reasonToken, err)
	case abi.Forbidden:
		return Answer{}, refused(reasonToken, err)
	case abi.Conflict, abi.InvalidInput: // maybe before the token was looked at
		j.wrong.note(host)
	}
	return Answer{}, refused(reasonRequest, err)
}

func tooMany() *refusal {
	return refused(reasonRate, abi.WithCode(abi.TooManyRequests, errors.New("too many have asked to join; try again in a minute")))
}

// wrongTokens slows down hosts that show them, or ask what cannot be.
type wrongTokens struct {
	mu    sync.Mutex // guards hosts
	hosts map[string]*rate.Limiter
}

func newWrongTokens() *wrongTokens { return &wrongTokens{hosts: map[string]*rate.Limiter{}} }

// allowed says whether a host may try.
func (w *wrongTokens) allowed(host string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.hosts[host]
	if l == nil && len(w.hosts) >= maxWrongHosts {
		l = w.hosts["others"]
	}
	return l == nil || l.Tokens() >= 1
}

// note remembers that a host has shown a wrong token.
func (w *wrongTokens) note(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hosts[host] == nil && len(w.hosts) >= maxWrongHosts {
		for name, l := range w.hosts {
			if l.Tokens() >= wrongTokenBurst {
				delete(w.hosts, name)
			}
		}
		if len(w.hosts) >= maxWrongHosts {
			host = "others"
		}
	}
	l := w.hosts[host]
	if l == nil {
		l = rate.NewLimiter(rate.Every(wrongTokenPause), wrongTokenBurst)
		w.hosts[host] = l
	}
	l.Allow()
}

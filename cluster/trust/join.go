package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sett-run/sett/cluster"
	"github.com/sett-run/sett/sdk/abi"
)

// joinTimeout is how long one address of a token is tried.
const joinTimeout = 30 * time.Second

// Join asks the addresses of a token, one after another, to let a node in. It ends with the first answer, and with the
// first refusal that the others would repeat: abi.Unauthorized, Forbidden, Conflict or InvalidInput. The secret is sent
// only to who has proved to be of the token's cluster (else ErrFingerprint). Joining again with the same CSR key and
// token, because an answer was lost, works until the token expires.
func Join(ctx context.Context, network cluster.Network, t Token, r Request) (Answer, error) {
	r.Invite, r.Secret = t.Invite, t.Secret
	if err := errors.Join(t.Validate(), r.Validate()); err != nil {
		return Answer{}, fmt.Errorf("join: %w", err)
	}
	var errs []error
	for _, address := range t.Addresses {
		a, err := joinAt(ctx, network, address, t.Root, r)
		if err == nil {
			return a, nil
		}
		errs = append(errs, fmt.Errorf("join by %s: %w", address, err))
		if ctx.Err() != nil || final(err) {
			break
		}
	}
	return Answer{}, errors.Join(errs...)
}

// final says whether other nodes would refuse too.
func final(err error) bool {
	switch abi.CodeOf(err) {
	case abi.Unauthorized, abi.Forbidden, abi.Conflict, abi.InvalidInput:
		return true
	}
	return false
}

func joinAt(ctx context.Context, network cluster.Network, address string, root Fingerprint, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	raw, err := network.Dial(ctx, address)
	if err != nil {
		return Answer{}, abi.WithCode(abi.Unavailable, err)
	}
	defer raw.Close()
	verify := func(state tls.ConnectionState) error { return verifyRoot(state.PeerCertificates, root) }
	conn, err := handshakeWithin(ctx, raw, &tls.Config{NextProtos: []string{ProtocolJoin}, VerifyConnection: verify})
	if err != nil {
		return Answer{}, abi.WithCode(abi.Unavailable, err)
	}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	request, err := encodeRequest(r)
	if err != nil {
		return Answer{}, err
	}
	if err := writeFrame(conn, request); err != nil {
		return Answer{}, abi.WithCode(abi.Unavailable, err)
	}
	reply, err := readFrame(conn, maxJoinReplyBytes)
	if err != nil {
		return Answer{}, abi.WithCode(abi.Unavailable, errors.Join(context.Cause(ctx), err))
	}
	return decodeReply(reply)
}

func handshakeWithin(ctx context.Context, raw net.Conn, c *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	return dialTLS(ctx, raw, c)
}

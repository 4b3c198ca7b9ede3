package trust

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of invites. Each is a way into the cluster until it is used or expires.
const (
	MaxInvites       = 64 // that wait to be used; invites made at the same moment may pass it
	DefaultInviteTTL = time.Hour
	MinInviteTTL     = time.Second
	MaxInviteTTL     = 7 * 24 * time.Hour
)

// Invitation says what an invite is for.
type Invitation struct {
	Role      Role          // Voter when empty
	TTL       time.Duration // DefaultInviteTTL when 0
	Addresses []string      // of TLS ports, for the token
}

// invite is the record of a token. It holds nothing that makes one.
type invite struct {
	Hash    []byte    `json:"hash"` // SHA-256 of the secret, which is random and long enough
	Role    Role      `json:"role"`
	Expires time.Time `json:"expires"`
	Node    string    `json:"node,omitempty"` // that has used it; empty: none has
	Key     []byte    `json:"key,omitempty"`  // Fingerprint of the node's first key
}

// Invite makes a token for one node. It forgets the invites that have expired, and answers abi.TooManyRequests when
// MaxInvites are left that nobody has used.
func (r *Records) Invite(ctx context.Context, i Invitation) (Token, error) {
	t, err := r.invite(ctx, i)
	if err != nil {
		return Token{}, fmt.Errorf("make invite: %w", err)
	}
	return t, nil
}

func (r *Records) invite(ctx context.Context, i Invitation) (t Token, err error) {
	if i.Role == "" {
		i.Role = Voter
	}
	if i.TTL == 0 {
		i.TTL = DefaultInviteTTL
	}
	if i.TTL < MinInviteTTL || i.TTL > MaxInviteTTL {
		return t, abi.WithCode(abi.InvalidInput, fmt.Errorf("it would live %v, want %v to %v", i.TTL, MinInviteTTL, MaxInviteTTL))
	}
	a, _, err := r.Authority(ctx, strong())
	if err != nil {
		return t, err
	}
	t = Token{Addresses: i.Addresses, Root: a.Fingerprint(), Invite: newID(), Secret: newSecret()}
	if err := errors.Join(i.Role.Validate(), t.Validate()); err != nil {
		return t, err
	}
	ops, err := r.expiredInvites(ctx)
	if err != nil {
		return t, err
	}
	hash := sha256.Sum256(t.Secret[:])
	text, err := json.Marshal(invite{Hash: hash[:], Role: i.Role, Expires: time.Now().Add(i.TTL).UTC()})
	if err != nil {
		return t, err
	}
	key := InvitePrefix + t.Invite
	return t, r.commit(ctx, []op.Check{{Key: key}}, append(ops, set(key, text))...)
}

// expiredInvites answers what deletes them.
func (r *Records) expiredInvites(ctx context.Context) (ops []op.Op, err error) {
	page, err := r.store.List(ctx, op.System, op.Query{Prefix: InvitePrefix, Read: strong()})
	if err != nil {
		return nil, coded(err)
	}
	waiting := 0
	for _, item := range page.Items {
		var i invite
		if err := json.Unmarshal(item.Value, &i); err != nil {
			return nil, fmt.Errorf("parse record %s: %w", item.Key, err)
		}
		switch {
		case time.Now().Before(i.Expires):
			if i.Node == "" {
				waiting++
			}
		case len(ops) < op.MaxOps-1: // the others next time
			ops = append(ops, op.Op{Kind: op.Delete, Key: item.Key})
		}
	}
	if waiting >= MaxInvites {
		return nil, abi.WithCode(abi.TooManyRequests, fmt.Errorf("%d invites wait to be used and have not expired, no more are allowed", waiting))
	}
	return ops, nil
}

// Redemption is the use of a token by a node.
type Redemption struct {
	Invite string
	Secret Secret
	Key    Fingerprint // of the key the node has shown to hold
	Member Member      // the node; its role and times are not looked at
}

// Redeem uses a token and makes the node a member, both or neither. A token admits one node with one key, which may use
// it again until it expires. Errors: ErrUnknownToken, coded abi.Unauthorized, for one that is not known or whose secret
// is another; ErrExpiredToken, ErrUsedToken and ErrRemoved, coded abi.Forbidden; abi.Conflict when the id is that of
// another member.
func (r *Records) Redeem(ctx context.Context, d Redemption) (role Role, err error) {
	err = attempt(func() error {
		role, err = r.redeem(ctx, d)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("use token: %w", err)
	}
	return role, nil
}

func (r *Records) redeem(ctx context.Context, d Redemption) (Role, error) {
	i, revision, err := r.known(ctx, d)
	if err != nil {
		return "", err
	}
	again := i.Node == d.Member.ID && subtle.ConstantTimeCompare(i.Key, d.Key[:]) == 1
	switch {
	case !time.Now().Before(i.Expires):
		return "", abi.WithCode(abi.Forbidden, ErrExpiredToken)
	case i.Node != "" && !again:
		return "", abi.WithCode(abi.Forbidden, ErrUsedToken)
	}
	m, _, err := r.Member(ctx, d.Member.ID, strong())
	switch {
	case err != nil && !errors.Is(err, op.ErrNotFound):
		return "", err
	case err == nil && !m.Removed.IsZero():
		return "", abi.WithCode(abi.Forbidden, ErrRemoved)
	case err == nil && again:
		return m.Role, nil
	case err == nil:
		return "", abi.WithCode(abi.Conflict, fmt.Errorf("node %s is a member already; a node that lost its data joins under a new id", m.ID))
	}
	i.Node, i.Key = d.Member.ID, d.Key[:]
	m = Member{ID: i.Node, Name: d.Member.Name, Region: d.Member.Region, Role: i.Role, Joined: time.Now().UTC()}
	return i.Role, r.admit(ctx, d.Invite, revision, i, m)
}

// known answers the invite of a redemption that knows its secret.
func (r *Records) known(ctx context.Context, d Redemption) (i invite, revision uint64, err error) {
	item, err := r.store.Get(ctx, op.System, InvitePrefix+d.Invite, strong())
	if err != nil && !errors.Is(err, op.ErrNotFound) {
		return i, 0, coded(err)
	}
	if err == nil {
		if err := json.Unmarshal(item.Value, &i); err != nil {
			return i, 0, fmt.Errorf("parse record %s: %w", item.Key, err)
		}
	}
	hash := sha256.Sum256(d.Secret[:])
	if subtle.ConstantTimeCompare(i.Hash, hash[:]) != 1 {
		return i, 0, abi.WithCode(abi.Unauthorized, ErrUnknownToken)
	}
	return i, item.Revision, nil
}

// admit writes the used invite and the new member, if neither has changed.
func (r *Records) admit(ctx context.Context, id string, revision uint64, i invite, m Member) error {
	if err := m.validate(); err != nil {
		return err
	}
	used, err := json.Marshal(i)
	if err != nil {
		return err
	}
	member, err := json.Marshal(m)
	if err != nil {
		return err
	}
	inviteKey, memberKey := InvitePrefix+id, MemberPrefix+m.ID
	return r.commit(ctx, []op.Check{{Key: inviteKey, Revision: revision}, {Key: memberKey}}, set(inviteKey, used), set(memberKey, member))
}

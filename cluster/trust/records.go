package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Keys in namespace op.System.
const (
	AuthorityKey = "cluster/ca"
	KeyringKey   = "cluster/keyring"
	InvitePrefix = "cluster/invites/" // then the invite's id
	MemberPrefix = "cluster/members/" // then the node's id
)

const maxAttempts = 16 // tries of a change while others change the same record

// Store is where the records are. Package kv's Store is one. Its errors wrap those of package op.
type Store interface {
	Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
}

// Records is what the store holds of the cluster's trust. Reads that take an op.Read see what it says; all else reads
// strongly. Errors are coded: abi.NotFound for a record that is not there, Conflict for one that is or that has changed,
// Unavailable when the store has no leader, and what a method names. Its methods may be called concurrently.
type Records struct{ store Store }

// NewRecords reads and writes in a store.
func NewRecords(s Store) *Records { return &Records{s} }

// strong reads what was acknowledged last.
func strong() op.Read { return op.Read{Consistency: op.Strong} }

// Authority answers the cluster's, with the revision of its record.
func (r *Records) Authority(ctx context.Context, read op.Read) (a *Authority, revision uint64, err error) {
	item, err := r.store.Get(ctx, op.System, AuthorityKey, read)
	if err != nil {
		return nil, 0, fmt.Errorf("read authority: %w", coded(err))
	}
	a, err = ParseAuthority(item.Value)
	return a, item.Revision, err
}

// PutAuthority replaces the record that has a revision, 0 meaning that there is none, as when the cluster is made.
func (r *Records) PutAuthority(ctx context.Context, a *Authority, revision uint64) error {
	text, err := a.PEM()
	if err == nil {
		err = r.commit(ctx, []op.Check{{Key: AuthorityKey, Revision: revision}}, set(AuthorityKey, text))
	}
	if err != nil {
		return fmt.Errorf("write authority: %w", err)
	}
	return nil
}

// Keyring answers the gossip keys, the current one first, with the revision of their record.
func (r *Records) Keyring(ctx context.Context, read op.Read) (keys [][]byte, revision uint64, err error) {
	item, err := r.store.Get(ctx, op.System, KeyringKey, read)
	if err != nil {
		return nil, 0, fmt.Errorf("read keyring: %w", coded(err))
	}
	if err := errors.Join(json.Unmarshal(item.Value, &keys), validateKeys(keys)); err != nil {
		return nil, 0, fmt.Errorf("read keyring: %w", err)
	}
	return keys, item.Revision, nil
}

// PutKeyring replaces the record that has a revision, 0 meaning that there is none. Keys have 16, 24 or 32 bytes; the
// first one is the current.
func (r *Records) PutKeyring(ctx context.Context, keys [][]byte, revision uint64) error {
	if err := validateKeys(keys); err != nil {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("write keyring: %w", err))
	}
	text, err := json.Marshal(keys)
	if err == nil {
		err = r.commit(ctx, []op.Check{{Key: KeyringKey, Revision: revision}}, set(KeyringKey, text))
	}
	if err != nil {
		return fmt.Errorf("write keyring: %w", err)
	}
	return nil
}

// Member is a node that was let in. One that was removed stays, so that it does not come back.
type Member struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Region  string    `json:"region,omitempty"`
	Role    Role      `json:"role"`
	Joined  time.Time `json:"joined"`
	Removed time.Time `json:"removed,omitzero"` // zero: it has not been
}

func (m Member) validate() error {
	if !validID(m.ID) {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("node id %.40q is not %d hexadecimal digits", m.ID, idDigits))
	}
	if err := registry.CheckName("node", m.Name); err != nil {
		return err
	}
	if m.Region != "" {
		if err := registry.CheckName("region", m.Region); err != nil {
			return err
		}
	}
	return m.Role.Validate()
}

// Members answers all that were ever let in, by ascending id, those that were removed too.
func (r *Records) Members(ctx context.Context, read op.Read) ([]Member, error) {
	var members []Member
	for item, err := range op.All(ctx, r.store, op.System, op.Query{Prefix: MemberPrefix, Read: read}) {
		if err != nil {
			return nil, fmt.Errorf("list members: %w", coded(err))
		}
		m, err := parseMember(item)
		if err != nil {
			return nil, fmt.Errorf("list members: %w", err)
		}
		members = append(members, m)
	}
	return members, nil
}

// Member answers one member, a removed one too, with the revision of its record.
func (r *Records) Member(ctx context.Context, id string, read op.Read) (m Member, revision uint64, err error) {
	item, err := r.store.Get(ctx, op.System, MemberPrefix+id, read)
	if err != nil {
		return m, 0, fmt.Errorf("read member %.40q: %w", id, coded(err))
	}
	m, err = parseMember(item)
	return m, item.Revision, err
}

func parseMember(item op.Item) (m Member, err error) {
	if err := json.Unmarshal(item.Value, &m); err != nil {
		return m, fmt.Errorf("parse record %s: %w", item.Key, err)
	}
	m.ID = strings.TrimPrefix(item.Key, MemberPrefix)
	return m, nil
}

// PutMember makes or replaces a member. One that was removed stays so: ErrRemoved, coded abi.Forbidden. Removed is
// ignored.
func (r *Records) PutMember(ctx context.Context, m Member) error {
	m.Removed = time.Time{}
	err := m.validate()
	if err == nil {
		err = r.changeMember(ctx, m.ID, func(old Member, found bool) (Member, error) {
			if found && !old.Removed.IsZero() {
				return old, abi.WithCode(abi.Forbidden, ErrRemoved)
			}
			return m, nil
		})
	}
	if err != nil {
		return fmt.Errorf("write member %.40q: %w", m.ID, err)
	}
	return nil
}

// RemoveMember makes a node one that was removed; again is no error.
func (r *Records) RemoveMember(ctx context.Context, id string) error {
	err := r.changeMember(ctx, id, func(m Member, found bool) (Member, error) {
		if !found {
			return m, abi.WithCode(abi.NotFound, errors.New("no such member"))
		}
		if m.Removed.IsZero() {
			m.Removed = time.Now().UTC()
		}
		return m, nil
	})
	if err != nil {
		return fmt.Errorf("remove member %.40q: %w", id, err)
	}
	return nil
}

// changeMember replaces a member's record with what change makes of it, as often as another comes in between.
func (r *Records) changeMember(ctx context.Context, id string, change func(m Member, found bool) (Member, error)) error {
	return attempt(func() error {
		m, revision, err := r.Member(ctx, id, strong())
		if err != nil && !errors.Is(err, op.ErrNotFound) {
			return err
		}
		if m, err = change(m, err == nil); err != nil {
			return err
		}
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return r.commit(ctx, []op.Check{{Key: MemberPrefix + id, Revision: revision}}, set(MemberPrefix+id, text))
	})
}

// Renew gets an identity a new certificate, and the roots that are trusted now, from the authority in this node's copy
// of the store: so it works without a leader, and after the certificate has expired. It answers ErrRemoved, coded
// abi.Forbidden, for a node that was removed.
func (r *Records) Renew(ctx context.Context, i *Identity) error {
	local := op.Read{Consistency: op.Local}
	a, _, err := r.Authority(ctx, local)
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	m, _, err := r.Member(ctx, i.ID(), local)
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if !m.Removed.IsZero() {
		return abi.WithCode(abi.Forbidden, fmt.Errorf("renew certificate: %w", ErrRemoved))
	}
	return i.IssuedBy(a)
}

// IssuedBy gets the identity a certificate from an authority that is at hand: that of the first node, and renewals.
func (i *Identity) IssuedBy(a *Authority) error {
	csr, err := i.NewRequest()
	if err != nil {
		return err
	}
	cert, err := a.Issue(csr, i.id)
	if err != nil {
		return err
	}
	return i.Use(cert, a.Roots())
}

func (r *Records) commit(ctx context.Context, checks []op.Check, ops ...op.Op) error {
	_, err := r.store.Commit(ctx, op.Txn{Namespace: op.System, Checks: checks, Ops: ops})
	return coded(err)
}

func set(key string, value []byte) op.Op { return op.Op{Kind: op.Set, Key: key, Value: value} }

// attempt repeats a change that another one came before.
func attempt(change func() error) (err error) {
	for range maxAttempts {
		if err = change(); !errors.Is(err, op.ErrConflict) {
			return err
		}
	}
	return err
}

// coded gives an error of the store its code.
func coded(err error) error {
	return abi.WithMeaning(err, []abi.Meaning{
		{Err: op.ErrNotFound, Code: abi.NotFound}, {Err: op.ErrConflict, Code: abi.Conflict}, {Err: op.ErrUnavailable, Code: abi.Unavailable},
		{Err: op.ErrUnknown, Code: abi.Unavailable}, {Err: op.ErrClosed, Code: abi.Unavailable}, {Err: op.ErrQuota, Code: abi.NoSpace},
		{Err: context.DeadlineExceeded, Code: abi.Timeout},
	})
}

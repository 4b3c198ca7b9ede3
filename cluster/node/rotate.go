package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Times of a rotation.
const (
	// stepWithin is how long all nodes may take to follow one step of a rotation. A longer one waits for slow nodes;
	// after a shorter one more rotations are left half done.
	stepWithin  = 30 * time.Second
	rotatePause = 100 * time.Millisecond // between looks
)

// fingerprintBytes is how much of a digest tells keyrings and roots apart.
const fingerprintBytes = 8

// Rotate replaces what the cluster's nodes know each other by, while they go on. Errors are coded: abi.InvalidInput for
// a secret that there is not, abi.Conflict while another rotation runs, and abi.Unavailable when nodes do not follow. A
// rotation that was left half done goes on with the next.
func (n *Node) Rotate(ctx context.Context, s client.Secret) error {
	switch s {
	case client.SecretKeys:
		return n.RotateKeys(ctx)
	case client.SecretAuthority:
		return n.RotateAuthority(ctx)
	}
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("rotate %.40q: it is %s or %s", s, client.SecretKeys, client.SecretAuthority))
}

// RotateKeys has the living nodes gossip with a new key and forget all others. A node that is away meanwhile gets the
// new one from the store's group when it is back.
func (n *Node) RotateKeys(ctx context.Context) error {
	keys, _, err := n.den.records.Keyring(ctx, op.Read{Consistency: op.Strong})
	if err != nil {
		return fmt.Errorf("rotate gossip keys: %w", err)
	}
	keys = keys[:min(len(keys), 2)] // a rotation that was left half done has another one behind the current
	key := make([]byte, 32)
	rand.Read(key) // never fails, crypto/rand
	before := keys
	for _, ring := range [][][]byte{append(slices.Clone(keys), key), append([][]byte{key}, keys...), {key}} {
		if err = n.replaceKeyring(ctx, before, ring); err == nil {
			want := keyringName(ring)
			err = n.awaitAll(ctx, n.livingIDs, func(s client.ClusterStatus) bool { return s.Keyring == want })
		}
		if err != nil {
			return fmt.Errorf("rotate gossip keys: %w", err)
		}
		before = ring
	}
	n.log.Info("gossip keys rotated", "keyring", keyringName(before))
	return nil
}

// replaceKeyring makes the keys that begin as before does those of a ring.
func (n *Node) replaceKeyring(ctx context.Context, before, ring [][]byte) error {
	keys, revision, err := n.den.records.Keyring(ctx, op.Read{Consistency: op.Strong})
	if err != nil {
		return err
	}
	if len(keys) < len(before) || !slices.EqualFunc(keys[:len(before)], before, bytes.Equal) {
		return abi.WithCode(abi.Conflict, errors.New("they were changed meanwhile"))
	}
	return n.den.records.PutKeyring(ctx, ring, revision)
}

// RotateAuthority replaces the authority's root, and with it the certificates of all nodes. The root before is trusted
// until all members have theirs of the new one, so that none, which may be away, is shut out.
func (n *Node) RotateAuthority(ctx context.Context) error {
	authority, revision, err := n.den.records.Authority(ctx, op.Read{Consistency: op.Strong})
	if err != nil {
		return fmt.Errorf("rotate authority: %w", err)
	}
	if _, rotating := authority.Rotating(); !rotating {
		if authority, err = authority.Rotate(); err == nil {
			err = n.den.records.PutAuthority(ctx, authority, revision)
		}
		if err != nil {
			return fmt.Errorf("rotate authority: %w", err)
		}
	}
	want := rootName(authority.Fingerprint())
	under := func(s client.ClusterStatus) bool { return s.Root == want }
	if err := n.awaitAll(ctx, n.memberIDs, under); err != nil {
		return fmt.Errorf("rotate authority: the root before is still trusted, rotate again to go on: %w", err)
	}
	now, revision, err := n.den.records.Authority(ctx, op.Read{Consistency: op.Strong})
	if err == nil && now.Fingerprint() != authority.Fingerprint() {
		err = abi.WithCode(abi.Conflict, errors.New("it was changed meanwhile"))
	}
	if err == nil {
		err = n.den.records.PutAuthority(ctx, now.Retire(), revision)
	}
	if err != nil {
		return fmt.Errorf("rotate authority: %w", err)
	}
	n.log.Info("authority rotated", "root", want)
	return nil
}

// awaitAll returns when all nodes say what they should. Who they are is asked for anew, as some may come or be removed.
func (n *Node) awaitAll(ctx context.Context, ids func() []string, satisfied func(client.ClusterStatus) bool) error {
	end, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	done := map[string]bool{}
	for {
		var left []string
		for _, id := range ids() {
			if !done[id] {
				done[id] = n.says(end, id, satisfied)
			}
			if !done[id] {
				left = append(left, n.nameOf(id))
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-end.Done():
			return abi.WithCode(abi.Unavailable, fmt.Errorf("nodes that do not follow: %s: %w", strings.Join(left, ", "), context.Cause(end)))
		case <-time.After(rotatePause):
		}
	}
}

func (n *Node) says(ctx context.Context, id string, satisfied func(client.ClusterStatus) bool) bool {
	if id == n.ID() {
		return satisfied(n.Status())
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	s, err := n.adminOf(id).Cluster(ctx)
	return err == nil && satisfied(s)
}

func (n *Node) livingIDs() []string {
	ids := []string{n.ID()}
	for _, m := range n.living() {
		ids = append(ids, m.ID)
	}
	return ids
}

// memberIDs are all that were let in and not removed.
func (n *Node) memberIDs() (ids []string) {
	for id, m := range *n.den.members.Load() {
		if m.Removed.IsZero() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// secrets names, without telling it, what this node is known by.
func (n *Node) secrets() (keyring, root string) {
	n.den.refresh.Lock()
	defer n.den.refresh.Unlock()
	return keyringName(n.den.keys), rootName(n.den.identity.Issuer())
}

func keyringName(keys [][]byte) string {
	sum := sha256.Sum256(bytes.Join(keys, nil)) // of 32 random bytes each: it tells nothing of them
	return hex.EncodeToString(sum[:fingerprintBytes])
}

func rootName(f trust.Fingerprint) string { return hex.EncodeToString(f[:fingerprintBytes]) }

package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Limits of tokens.
const (
	// MaxTokens is how many a cluster keeps; each is compared at every request with a token.
	MaxTokens = 1000
	// maxTokenNameBytes keeps lists readable.
	maxTokenNameBytes = 128
	// tokenCacheAge is how long a token revoked on another node still works here. Less reads the store more often.
	tokenCacheAge = time.Second

	tokenPrefix      = "sett_" // so that scanners find leaked ones
	tokenRandomBytes = 32
	tokenIDBytes     = 6
	tokenKeyPrefix   = "t/"
)

// tokenRecord is a token at rest: its hash, never its secret. But S3's signatures are made with the secret itself, so
// that of an access key must be kept; it is no bearer token, and its hash is nothing's.
type tokenRecord struct {
	client.Token
	SHA256   string `json:"sha256"` // of the secret, hexadecimal
	S3Secret string `json:"s3_secret,omitempty"`
}

// tokens keeps and checks bearer tokens.
type tokens struct {
	store TokenStore
	log   *slog.Logger
	cache atomic.Pointer[tokenCache]

	changing sync.Mutex // held while tokens are changed, which waits for a leader; taken before mu
	mu       sync.Mutex // held while the cache is read anew, as it is here
	seen     uint64     // of the newest change made here, under mu: what is read is not older
}

// tokenCache is what the store held at a time.
type tokenCache struct {
	read    time.Time
	entries []tokenEntry
}

type tokenEntry struct {
	hash     [sha256.Size]byte
	token    client.Token
	s3       string // secret of an access key
	revision uint64
}

// check answers the token that has this secret. All hashes are compared, each in constant time, so that the
// time taken says nothing about them.
func (t *tokens) check(ctx context.Context, secret string) (client.Token, error) {
	cache, err := t.current(ctx)
	if err != nil {
		return client.Token{}, err
	}
	hash := sha256.Sum256([]byte(secret))
	found := -1
	for i := range cache.entries {
		if subtle.ConstantTimeCompare(hash[:], cache.entries[i].hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return client.Token{}, abi.WithCode(abi.Unauthorized, errors.New("unknown or revoked token"))
	}
	return cache.entries[found].token, nil
}

// current answers the tokens, at most tokenCacheAge old.
func (t *tokens) current(ctx context.Context) (*tokenCache, error) {
	if c := t.cache.Load(); c != nil && time.Since(c.read) < tokenCacheAge {
		return c, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.cache.Load(); c != nil && time.Since(c.read) < tokenCacheAge {
		return c, nil // another request read it meanwhile
	}
	return t.fill(ctx)
}

// fresh answers the tokens as they are here now.
func (t *tokens) fresh(ctx context.Context) (*tokenCache, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fill(ctx)
}

// fill fills the cache from the store. The caller holds mu.
func (t *tokens) fill(ctx context.Context) (*tokenCache, error) {
	c, err := t.read(ctx, op.Read{Consistency: op.Session, Seen: t.seen})
	if err == nil {
		t.cache.Store(c)
	}
	return c, err
}

// read answers what the store holds.
func (t *tokens) read(ctx context.Context, see op.Read) (*tokenCache, error) {
	c := &tokenCache{read: time.Now()}
	q := op.Query{Prefix: tokenKeyPrefix, Read: see}
	for item, err := range op.All(ctx, t.store, op.System, q) {
		if err != nil {
			return nil, fmt.Errorf("read tokens: %w", err)
		}
		e, err := readToken(item)
		if err != nil { // it lets nobody in, and must not keep the others out
			t.log.Error("read token", "key", item.Key, "err", err)
			continue
		}
		c.entries = append(c.entries, e)
	}
	return c, nil
}

func readToken(item op.Item) (tokenEntry, error) {
	var r tokenRecord
	if err := json.Unmarshal(item.Value, &r); err != nil {
		return tokenEntry{}, err
	}
	hash, err := hex.DecodeString(r.SHA256)
	if err != nil || len(hash) != sha256.Size || tokenKeyPrefix+r.ID != item.Key {
		return tokenEntry{}, errors.New("record is damaged")
	}
	return tokenEntry{hash: [sha256.Size]byte(hash), token: r.Token, s3: r.S3Secret, revision: item.Revision}, nil
}

// create makes a token and answers it with its secret, which nobody can learn again.
func (t *tokens) create(ctx context.Context, r client.TokenRequest) (client.TokenResponse, error) {
	if err := checkTokenRequest(r); err != nil {
		return client.TokenResponse{}, err
	}
	random := make([]byte, tokenRandomBytes+tokenIDBytes)
	rand.Read(random)
	secret := tokenPrefix + base64.RawURLEncoding.EncodeToString(random[:tokenRandomBytes])
	hash := sha256.Sum256([]byte(secret))
	record := tokenRecord{SHA256: hex.EncodeToString(hash[:]), Token: client.Token{
		ID: hex.EncodeToString(random[tokenRandomBytes:]), Name: r.Name, App: r.App,
		Created: time.Now().UTC().Truncate(time.Millisecond), Last4: secret[len(secret)-4:],
	}}
	if r.S3 {
		record.S3, record.S3Secret, record.SHA256 = true, strings.TrimPrefix(secret, tokenPrefix), strings.Repeat("0", 2*sha256.Size)
		secret = record.S3Secret
	}
	value, err := json.Marshal(record)
	if err != nil {
		return client.TokenResponse{}, fmt.Errorf("encode token: %w", err)
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	c, err := t.fresh(ctx)
	if err != nil {
		return client.TokenResponse{}, err
	}
	if len(c.entries) >= MaxTokens {
		return client.TokenResponse{}, abi.WithCode(abi.Conflict, fmt.Errorf("create token: there are %d, the most allowed; revoke some", MaxTokens))
	}
	key := tokenKeyPrefix + record.ID
	err = t.commit(ctx, op.Check{Key: key}, op.Op{Kind: op.Set, Key: key, Value: value})
	if err != nil {
		return client.TokenResponse{}, fmt.Errorf("create token: %w", err)
	}
	return client.TokenResponse{Token: record.Token, Secret: secret}, nil
}

func checkTokenRequest(r client.TokenRequest) error {
	if r.App != "" {
		if err := registry.CheckName("app", r.App); err != nil {
			return err
		}
	}
	if r.S3 && r.App == "" {
		return abi.WithCode(abi.InvalidInput, errors.New("an access key for S3 is an app's: name the app"))
	}
	if r.Name == "" || len(r.Name) > maxTokenNameBytes || !printable(r.Name) {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("token name: must be 1 to %d bytes of printable text", maxTokenNameBytes))
	}
	return nil
}

// list answers the tokens, oldest first.
func (t *tokens) list(ctx context.Context) ([]client.Token, error) {
	c, err := t.fresh(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]client.Token, 0, len(c.entries))
	for _, e := range c.entries {
		list = append(list, e.token)
	}
	slices.SortStableFunc(list, func(a, b client.Token) int { return a.Created.Compare(b.Created) })
	return list, nil
}

// revoke ends a token. This node refuses it from then on, others within tokenCacheAge.
func (t *tokens) revoke(ctx context.Context, id string) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	c, err := t.read(ctx, op.Read{Consistency: op.Strong}) // else one made elsewhere may not be found
	if err != nil {
		return err
	}
	i := slices.IndexFunc(c.entries, func(e tokenEntry) bool { return e.token.ID == id })
	if i < 0 {
		return abi.WithCode(abi.NotFound, fmt.Errorf("token %.80q: no such token", id))
	}
	key := tokenKeyPrefix + id
	if err := t.commit(ctx, op.Check{Key: key, Revision: c.entries[i].revision}, op.Op{Kind: op.Delete, Key: key}); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// commit changes a token, and lets no one go on with what the cache says. The caller holds changing.
func (t *tokens) commit(ctx context.Context, c op.Check, o op.Op) error {
	done, err := t.store.Commit(ctx, op.Txn{Namespace: op.System, Checks: []op.Check{c}, Ops: []op.Op{o}})
	if err != nil {
		return err
	}
	t.mu.Lock() // what is being read now may be older
	defer t.mu.Unlock()
	t.seen = done.Revision
	t.cache.Store(nil)
	return nil
}

// CreateToken makes a token, as POST /v1/tokens does. It is for the node's own start, where no request can be made.
func (a *Admin) CreateToken(ctx context.Context, r client.TokenRequest) (client.TokenResponse, error) {
	return a.tokens.create(ctx, r)
}

// S3Key answers the app and the secret of an access key for S3; ok is false when there is none of the id. One revoked on
// another node works for tokenCacheAge.
func (a *Admin) S3Key(ctx context.Context, id string) (app, secret string, ok bool, err error) {
	c, err := a.tokens.current(ctx)
	if err != nil {
		return "", "", false, err
	}
	for _, e := range c.entries {
		if e.token.S3 && e.s3 != "" && e.token.ID == id {
			return e.token.App, e.s3, true, nil
		}
	}
	return "", "", false, nil
}

// Tokens lists the tokens, oldest first.
func (a *Admin) Tokens(ctx context.Context) ([]client.Token, error) { return a.tokens.list(ctx) }

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) < 0
}

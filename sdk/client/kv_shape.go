package client

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Headers of keys and values. Sett-Revision of a response is the newest revision it shows; sent back with a request it
// makes the two a session: the request sees at least that.
const (
	RevisionHeader = "Sett-Revision"
	ExpiresHeader  = "Sett-Expires" // when the key expires, RFC 3339; absent: never
)

// KVItem is a key as JSON shows it. Keys and values are any bytes: what is not UTF-8 stands in base64, under the name
// that ends in _base64.
type KVItem struct {
	Key         string    `json:"key"`                  // for people when KeyBase64 is there: with U+FFFD for what is not UTF-8
	KeyBase64   string    `json:"key_base64,omitempty"` // then this is the key
	Revision    uint64    `json:"revision"`             // 0: absent
	Size        int       `json:"size"`                 // of the value, in bytes
	ExpiresAt   time.Time `json:"expires_at,omitzero"`  // absent: never
	Value       *string   `json:"value,omitempty"`      // at most one of the two: none was asked for, or there is none
	ValueBase64 *string   `json:"value_base64,omitempty"`
}

// KVPage is the response that lists keys.
type KVPage struct {
	Keys     []KVItem `json:"keys"`
	Cursor   string   `json:"cursor"`   // for the next page; empty: there is none
	Revision uint64   `json:"revision"` // of the moment that all pages show; a watch can go on from it
}

// KVKey names a key; exactly one of the two is there.
type KVKey struct {
	Key       string `json:"key,omitempty"`
	KeyBase64 string `json:"key_base64,omitempty"`
}

// KVGetRequest asks for several keys as they are at one moment.
type KVGetRequest struct {
	Keys []KVKey `json:"keys"`
}

// KVGetResponse has an item for each key asked for, in that order. An absent one has revision 0.
type KVGetResponse struct {
	Items []KVItem `json:"items"`
}

// KVChange is one line of a watch: what became of a key.
type KVChange struct {
	Key         string    `json:"key"`
	KeyBase64   string    `json:"key_base64,omitempty"`
	Revision    uint64    `json:"revision"`
	Deleted     bool      `json:"deleted,omitempty"` // by somebody or because it expired
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	Value       *string   `json:"value,omitempty"`
	ValueBase64 *string   `json:"value_base64,omitempty"`
}

// KVWatchEnd is the last line of a watch that ends because of an error.
type KVWatchEnd struct {
	Error Problem `json:"error"`
}

// KVWritten is what the change of one key did.
type KVWritten struct {
	Revision uint64 `json:"revision"`
	Found    bool   `json:"found"`             // the key was there before
	Integer  *int64 `json:"integer,omitempty"` // of incr: the new value
}

// KVQuota limits what an app keeps; 0 means no limit.
type KVQuota struct {
	Keys  int64 `json:"keys"`
	Bytes int64 `json:"bytes"` // keys and values
}

// KVUsage is what an app keeps.
type KVUsage struct {
	Keys  int64   `json:"keys"`
	Bytes int64   `json:"bytes"` // keys and values
	Quota KVQuota `json:"quota"`
}

// KVItemOf shows a key without its value.
func KVItemOf(i op.Listed) KVItem {
	out := KVItem{Revision: i.Revision, Size: i.Size, ExpiresAt: i.Expires}
	out.Key, out.KeyBase64 = showKey(i.Key)
	return out
}

// WithValue answers the item with its value, too.
func (i KVItem) WithValue(value []byte) KVItem {
	i.Value, i.ValueBase64 = showBytes(value)
	return i
}

// Listed is the item in the words of package op. Its error says what is damaged.
func (i KVItem) Listed() (op.Listed, error) {
	key, err := readKey("", i.Key, i.KeyBase64)
	if err != nil {
		return op.Listed{}, err
	}
	value, err := readBytes("value", i.Value, i.ValueBase64)
	return op.Listed{Item: op.Item{Key: key, Value: value, Revision: i.Revision, Expires: i.ExpiresAt}, Size: i.Size}, err
}

// KVChangeOf shows a change.
func KVChangeOf(c op.Change) KVChange {
	out := KVChange{Revision: c.Revision, Deleted: c.Deleted, ExpiresAt: c.Expires}
	out.Key, out.KeyBase64 = showKey(c.Key)
	if !c.Deleted {
		out.Value, out.ValueBase64 = showBytes(c.Value)
	}
	return out
}

// Change is the change in the words of package op. Its error says what is damaged.
func (c KVChange) Change() (op.Change, error) {
	key, err := readKey("", c.Key, c.KeyBase64)
	if err != nil {
		return op.Change{}, err
	}
	value, err := readBytes("value", c.Value, c.ValueBase64)
	return op.Change{Key: key, Value: value, Revision: c.Revision, Expires: c.ExpiresAt, Deleted: c.Deleted}, err
}

// KVKeyOf names a key.
func KVKeyOf(key string) KVKey {
	text, encoded := showKey(key)
	if encoded != "" {
		text = ""
	}
	return KVKey{Key: text, KeyBase64: encoded}
}

// KVUsageOf shows what an app keeps.
func KVUsageOf(u op.Usage) KVUsage {
	return KVUsage{Keys: u.Keys, Bytes: u.Bytes, Quota: KVQuota(u.Quota)}
}

// Strings answers the keys that are asked for. Its error, coded abi.InvalidInput, says which is wrong.
func (r KVGetRequest) Strings() ([]string, error) {
	keys := make([]string, len(r.Keys))
	for i, k := range r.Keys {
		var err error
		if keys[i], err = readOneKey(fmt.Sprintf("keys[%d].", i), k); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// ParseConsistency reads the word for a consistency; empty is session.
func ParseConsistency(word string) (op.Consistency, error) {
	switch word {
	case "session", "":
		return op.Session, nil
	case "local":
		return op.Local, nil
	case "strong":
		return op.Strong, nil
	}
	return 0, abi.WithCode(abi.InvalidInput, fmt.Errorf("consistency %.40q: it is local, session or strong", word))
}

func consistencyWord(c op.Consistency) string {
	switch c {
	case op.Local:
		return "local"
	case op.Strong:
		return "strong"
	}
	return "session"
}

// showKey shows a key as text, and in base64 when text cannot say it.
func showKey(key string) (text, encoded string) {
	if utf8.ValidString(key) {
		return key, ""
	}
	return strings.ToValidUTF8(key, "\uFFFD"), base64.StdEncoding.EncodeToString([]byte(key))
}

// readKey is the way back. Encoded wins: the text beside it is for people.
func readKey(at, text, encoded string) (string, error) {
	if encoded == "" {
		return text, nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", damaged(at+"key_base64", err)
	}
	return string(key), nil
}

// readOneKey reads a key of a request, where two would be one too many.
func readOneKey(at string, k KVKey) (string, error) {
	if k.Key != "" && k.KeyBase64 != "" {
		return "", abi.WithCode(abi.InvalidInput, fmt.Errorf("%skey: given as text and in base64", at))
	}
	return readKey(at, k.Key, k.KeyBase64)
}

// showBytes shows a value as text or in base64.
func showBytes(value []byte) (text, encoded *string) {
	if utf8.Valid(value) {
		s := string(value)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(value)
	return nil, &s
}

// readBytes is the way back; nil when neither is there.
func readBytes(name string, text, encoded *string) ([]byte, error) {
	switch {
	case text != nil && encoded != nil:
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("%s: given as text and in base64", name))
	case text != nil:
		return []byte(*text), nil
	case encoded == nil:
		return nil, nil
	}
	value, err := base64.StdEncoding.DecodeString(*encoded)
	if err != nil {
		return nil, damaged(name+"_base64", err)
	}
	return value, nil
}

func damaged(name string, err error) error {
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("%s: %w", name, err))
}

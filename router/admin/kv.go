package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// keyRoutes are the keys and values of an app. A key stands in the query, where percent-encoding says any byte and no
// proxy cleans a slash or a dot away.
func (a *Admin) keyRoutes() map[string]route {
	const kv = "/v1/apps/{app}/kv"
	return a.needing(a.config.KV != nil, "keeps no keys and values", map[string]route{
		"GET " + kv + "/value":         {ofApp, a.getValue},
		"HEAD " + kv + "/value":        {ofApp, a.getValue},
		"PUT " + kv + "/value":         {ofApp, a.putValue},
		"DELETE " + kv + "/value":      {ofApp, a.deleteValue},
		"POST " + kv + "/values":       {ofApp, a.getValues},
		"POST " + kv + "/incr":         {ofApp, a.incrValue},
		"POST " + kv + "/touch":        {ofApp, a.touchKey},
		"POST " + kv + "/transactions": {ofApp, a.commitTxn},
		"GET " + kv + "/keys":          {ofApp, a.listKeys},
		"GET " + kv + "/watch":         {ofApp, a.watchKeys},
		"GET " + kv + "/usage":         {ofApp, a.getUsage},
		"GET " + kv + "/quota":         {admins, a.getQuota},
		"PUT " + kv + "/quota":         {admins, a.setQuota},
	})
}

// getValue answers a key's value as it is.
func (a *Admin) getValue(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "key", "consistency")
	if err != nil {
		return err
	}
	key, read := q.key(), q.read(r)
	if q.err != nil {
		return q.err
	}
	item, err := a.config.KV.Get(r.Context(), r.PathValue("app"), key, read)
	if err != nil {
		return err
	}
	setRevision(w, item.Revision)
	h := w.Header()
	if !item.Expires.IsZero() {
		h.Set(client.ExpiresHeader, item.Expires.UTC().Format(time.RFC3339Nano))
	}
	if hasETag(r.Header.Values("If-None-Match"), h.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(item.Value)))
	w.WriteHeader(http.StatusOK)
	w.Write(item.Value) // the client may have left
	return nil
}

// setRevision tells the revision of a key that is answered.
func setRevision(w http.ResponseWriter, revision uint64) {
	number := strconv.FormatUint(revision, 10)
	w.Header().Set("ETag", `"`+number+`"`)
	w.Header().Set(client.RevisionHeader, number)
}

// putValue sets a key to the request's body.
func (a *Admin) putValue(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "key", "ttl")
	if err != nil {
		return err
	}
	o := op.Op{Kind: op.Set, Key: q.key(), TTL: q.ttl()}
	if q.err != nil {
		return q.err
	}
	if o.Value, err = a.readBody(w, r, op.MaxValueBytes); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			err = fmt.Errorf("%w: %w", op.ErrTooLarge, err)
		}
		return err
	}
	return a.changeKey(w, r, o)
}

func (a *Admin) deleteValue(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "key")
	if err != nil {
		return err
	}
	o := op.Op{Kind: op.Delete, Key: q.key()}
	if q.err != nil {
		return q.err
	}
	return a.changeKey(w, r, o)
}

func (a *Admin) incrValue(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "key", "delta", "min", "max", "ttl")
	if err != nil {
		return err
	}
	o := op.Op{Kind: op.Incr, Key: q.key(), Delta: q.integer("delta", 1), TTL: q.ttl()}
	q.bounds(&o)
	if q.err != nil {
		return q.err
	}
	return a.changeKey(w, r, o)
}

func (a *Admin) touchKey(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "key", "ttl")
	if err != nil {
		return err
	}
	o := op.Op{Kind: op.Touch, Key: q.key(), TTL: q.ttl()}
	if q.err != nil {
		return q.err
	}
	return a.changeKey(w, r, o)
}

// changeKey does one op, when the key is as If-Match and If-None-Match want it, and answers what it did.
func (a *Admin) changeKey(w http.ResponseWriter, r *http.Request, o op.Op) error {
	checks, err := preconditions(r, o.Key)
	if err != nil {
		return err
	}
	done, err := a.config.KV.Commit(r.Context(), op.Txn{Namespace: r.PathValue("app"), Checks: checks, Ops: []op.Op{o}})
	if errors.Is(err, op.ErrConflict) {
		return withStatus(http.StatusPreconditionFailed, abi.Conflict, err)
	}
	if err != nil {
		return err
	}
	result := done.Ops[0]
	if o.Kind == op.Touch && !result.Found {
		return abi.WithCode(abi.NotFound, fmt.Errorf("touch: %.80q: %w", o.Key, op.ErrNotFound))
	}
	setRevision(w, done.Revision)
	out := client.KVWritten{Revision: done.Revision, Found: result.Found}
	if o.Kind == op.Incr {
		out.Integer = &result.Integer
	}
	if o.Kind == op.Delete {
		w.Header().Del("ETag") // of nothing there is none
	}
	return answer(w, http.StatusOK, out)
}

// preconditions reads which state of a key a change is meant for.
// Source: RFC 9110 sections 13.1.1 and 13.1.2, of which one revision, or *, is offered.
func preconditions(r *http.Request, key string) ([]op.Check, error) {
	match, noneMatch := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	switch {
	case len(match)+len(noneMatch) == 0:
		return nil, nil
	case len(match)+len(noneMatch) > 1:
		return nil, abi.WithCode(abi.InvalidInput, errors.New("If-Match and If-None-Match: give one of them, once"))
	case len(noneMatch) == 1 && noneMatch[0] == "*":
		return []op.Check{{Kind: op.HasRevision, Key: key}}, nil
	case len(noneMatch) == 1:
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("If-None-Match %.40q: a change takes * alone, for a key that is absent", noneMatch[0]))
	case match[0] == "*":
		return []op.Check{{Kind: op.IsPresent, Key: key}}, nil
	}
	text := match[0]
	if inner, ok := strings.CutPrefix(text, `"`); ok {
		text = strings.TrimSuffix(inner, `"`)
	}
	revision, err := strconv.ParseUint(text, 10, 64)
	if err != nil || revision == 0 {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("If-Match %.40q: it is one revision, or *", match[0]))
	}
	return []op.Check{{Kind: op.HasRevision, Key: key, Revision: revision}}, nil
}

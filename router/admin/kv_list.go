package admin

import (
	"net/http"
	"strconv"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/client"
)

// Limits of JSON bodies: what the store takes, as base64 or with all that text may have to escape.
const (
	maxTxnJSONBytes  = 8 << 20 // a transaction
	maxKeysJSONBytes = 2 << 20 // the keys of values
)

// listKeys answers a page of keys, without values unless they are asked for.
func (a *Admin) listKeys(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "prefix", "limit", "cursor", "values", "consistency")
	if err != nil {
		return err
	}
	ask := op.Query{Prefix: q.prefix(), Cursor: q.text("cursor"), Limit: q.limit(0, op.MaxPageKeys), KeysOnly: !q.flag("values"), Read: q.read(r)}
	if q.err != nil {
		return q.err
	}
	page, err := a.config.KV.List(r.Context(), r.PathValue("app"), ask)
	if err != nil {
		return err
	}
	out := client.KVPage{Keys: make([]client.KVItem, 0, len(page.Items)), Cursor: page.Cursor, Revision: page.Revision}
	for _, i := range page.Items {
		shown := client.KVItemOf(i)
		if !ask.KeysOnly {
			shown = shown.WithValue(i.Value)
		}
		out.Keys = append(out.Keys, shown)
	}
	w.Header().Set(client.RevisionHeader, strconv.FormatUint(page.Revision, 10))
	return answer(w, http.StatusOK, out)
}

// getValues answers several keys as they are at one moment.
func (a *Admin) getValues(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseQuery(r, "consistency")
	if err != nil {
		return err
	}
	read := q.read(r)
	if q.err != nil {
		return q.err
	}
	var ask client.KVGetRequest
	if err := a.readJSON(w, r, maxKeysJSONBytes, &ask); err != nil {
		return err
	}
	keys, err := ask.Strings()
	if err == nil {
		err = op.ValidateKeys(keys)
	}
	if err != nil {
		return err
	}
	items, err := a.config.KV.GetMany(r.Context(), r.PathValue("app"), keys, read)
	if err != nil {
		return err
	}
	out, seen := client.KVGetResponse{Items: make([]client.KVItem, 0, len(items))}, read.Seen
	for _, i := range items {
		shown := client.KVItemOf(op.Listed{Item: i, Size: len(i.Value)})
		if i.Revision != 0 {
			shown = shown.WithValue(i.Value)
		}
		out.Items = append(out.Items, shown)
		seen = max(seen, i.Revision)
	}
	w.Header().Set(client.RevisionHeader, strconv.FormatUint(seen, 10))
	return answer(w, http.StatusOK, out)
}

// commitTxn does a transaction. A check that fails is 409: what it is about stands in the body, not in a header.
func (a *Admin) commitTxn(w http.ResponseWriter, r *http.Request, _ caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var ask client.KVTxn
	if err := a.readJSON(w, r, maxTxnJSONBytes, &ask); err != nil {
		return err
	}
	t, err := ask.Txn(r.PathValue("app"))
	if err == nil {
		err = t.Validate()
	}
	if err != nil {
		return err
	}
	done, err := a.config.KV.Commit(r.Context(), t)
	if err != nil {
		return err
	}
	w.Header().Set(client.RevisionHeader, strconv.FormatUint(done.Revision, 10))
	return answer(w, http.StatusOK, client.KVResultOf(t, done))
}

// Command todo is a JSON API over the store. A todo and the counts change together, or not at all; what two people
// change at once, one of them is told to look at again.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/kv"
)

type todo struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
	Done bool   `json:"done"`
}

// page is how many todos a list has.
const page = 20

func init() {
	sett.HTTP("GET /todos", list)
	sett.HTTP("POST /todos", create)
	sett.HTTP("PUT /todos/{id}/done", finish)
	sett.HTTP("DELETE /todos/{id}", remove)
}

// key sorts as the ids do.
func key(id int64) string { return fmt.Sprintf("todo/%08d", id) }

// count is where the number of todos is that are done, or open.
func count(done bool) string { return "count/" + strconv.FormatBool(done) }

func list(w sett.ResponseWriter, r *sett.Request) {
	p, err := kv.ListPage(r.Context(), "todo/", r.Query("cursor"), kv.Limit(page))
	if err != nil {
		refuse(w, err)
		return
	}
	todos := make([]json.RawMessage, len(p.Items))
	for i := range p.Items {
		todos[i] = p.Items[i].Value
	}
	counts, err := kv.GetMany(r.Context(), []string{count(false), count(true)})
	if err != nil {
		refuse(w, err)
		return
	}
	open, _ := strconv.Atoi(string(counts[0].Value)) // absent: 0
	done, _ := strconv.Atoi(string(counts[1].Value))
	answer(w, 200, map[string]any{"todos": todos, "cursor": p.Cursor, "open": open, "done": done})
}

func create(w sett.ResponseWriter, r *sett.Request) {
	var t todo
	if err := json.Unmarshal(r.Body, &t); err != nil || t.Text == "" {
		answer(w, 400, map[string]string{"error": "want an object with text"})
		return
	}
	var err error
	if t.ID, err = kv.Incr(r.Context(), "last", 1); err != nil {
		refuse(w, err)
		return
	}
	t.Done = false
	change := new(kv.Txn).Set(key(t.ID), encode(t), kv.IfAbsent).Incr(count(false), 1)
	if _, err := change.Commit(r.Context()); err != nil {
		refuse(w, err)
		return
	}
	answer(w, 201, t)
}

func finish(w sett.ResponseWriter, r *sett.Request) {
	t, revision, err := read(r)
	if err == nil && !t.Done {
		t.Done = true
		change := new(kv.Txn).Set(key(t.ID), encode(t), kv.IfRevision(revision)).Incr(count(false), -1).Incr(count(true), 1)
		_, err = change.Commit(r.Context())
	}
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, 200, t)
}

func remove(w sett.ResponseWriter, r *sett.Request) {
	t, revision, err := read(r)
	if err == nil {
		change := new(kv.Txn).Delete(key(t.ID), kv.IfRevision(revision)).Incr(count(t.Done), -1)
		_, err = change.Commit(r.Context())
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(204)
}

// read answers the todo that the path names, and its revision.
func read(r *sett.Request) (t todo, revision uint64, err error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return t, 0, kv.ErrNotFound
	}
	revision, err = kv.GetJSON(r.Context(), key(id), &t)
	return t, revision, err
}

// refuse says what a client can do about an error; others are 502, with the reason in the function's log.
func refuse(w sett.ResponseWriter, err error) {
	for known, status := range map[error]int{kv.ErrNotFound: 404, kv.ErrConflict: 409, kv.ErrInvalid: 400, kv.ErrCompacted: 410} {
		if errors.Is(err, known) {
			answer(w, status, map[string]string{"error": known.Error()})
			return
		}
	}
	panic(err)
}

func answer(w sett.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(encode(v), '\n'))
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func main() {}

package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/settest"
)

func TestTodo(t *testing.T) {
	for _, tt := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/todos", "", 200, `{"cursor":"","done":0,"open":0,"todos":[]}`},
		{"POST", "/todos", `{"text":"dig","id":7,"done":true}`, 201, `{"id":1,"text":"dig","done":false}`},
		{"POST", "/todos", `{"text":"sleep"}`, 201, `{"id":2,"text":"sleep","done":false}`},
		{"POST", "/todos", `{`, 400, `{"error":"want an object with text"}`},
		{"PUT", "/todos/1/done", "", 200, `{"id":1,"text":"dig","done":true}`},
		{"PUT", "/todos/1/done", "", 200, `{"id":1,"text":"dig","done":true}`},
		{"GET", "/todos", "", 200, `{"cursor":"","done":1,"open":1,"todos":[{"id":1,"text":"dig","done":true},{"id":2,"text":"sleep","done":false}]}`},
		{"PUT", "/todos/3/done", "", 404, `{"error":"key not found"}`},
		{"DELETE", "/todos/x", "", 404, `{"error":"key not found"}`},
		{"DELETE", "/todos/1", "", 204, ""},
		{"GET", "/todos", "", 200, `{"cursor":"","done":0,"open":1,"todos":[{"id":2,"text":"sleep","done":false}]}`},
	} {
		r := settest.Do(t, settest.Request{Method: tt.method, Target: tt.target, Body: tt.body})
		want := tt.want
		if want != "" {
			want += "\n"
		}
		if r.Status != tt.status || string(r.Body) != want {
			t.Errorf("%s %s %s = %d %q, want %d %q", tt.method, tt.target, tt.body, r.Status, r.Body, tt.status, want)
		}
	}
}

// TestPages walks over more todos than a page has, while one is added.
func TestPages(t *testing.T) {
	for n := range page + 5 {
		settest.Do(t, settest.Request{Method: "POST", Target: "/todos", Body: fmt.Sprintf(`{"text":"%d"}`, n)})
	}
	var first, second struct {
		Todos  []todo
		Cursor string
	}
	json.Unmarshal(settest.Get(t, "/todos").Body, &first)
	if err := kv.Set(settest.Context(t), key(99), []byte(`{"id":99}`)); err != nil {
		t.Fatal(err)
	}
	json.Unmarshal(settest.Get(t, "/todos?cursor="+first.Cursor).Body, &second)
	if len(first.Todos) != page || len(second.Todos) != 5 || second.Todos[4].ID != page+5 || second.Cursor != "" {
		t.Errorf("pages = %+v, %+v, want %d and 5 todos", first, second, page)
	}
}

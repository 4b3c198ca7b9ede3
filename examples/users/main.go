// Command users is a small JSON API. Its data is seeded once, when the module is initialised, and every request
// starts from that; what one request creates, the next does not see.
package main

import (
	"encoding/json"
	"strconv"

	sett "github.com/sett-run/sett/sdk/go"
)

type user struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

var users = []user{{1, "Ada"}, {2, "Alan"}, {3, "Barbara"}}

func init() {
	sett.HTTP("GET /users", list)
	sett.HTTP("GET /users/{id}", get)
	sett.HTTP("POST /users", create)
	sett.Warmup(func() { // what encoding/json learns of a type now, no request has to wait for
		_, _ = json.Marshal(users[0])
		_ = json.Unmarshal([]byte(`{"id":1,"name":"Ada"}`), new(user))
	})
}

func list(w sett.ResponseWriter, _ *sett.Request) { answer(w, 200, map[string]any{"users": users}) }

func get(w sett.ResponseWriter, r *sett.Request) {
	for _, u := range users {
		if strconv.Itoa(u.ID) == r.PathValue("id") {
			answer(w, 200, u)
			return
		}
	}
	answer(w, 404, map[string]string{"error": "no user " + r.PathValue("id")})
}

func create(w sett.ResponseWriter, r *sett.Request) {
	var u user
	if err := json.Unmarshal(r.Body, &u); err != nil {
		answer(w, 400, map[string]string{"error": err.Error()})
		return
	}
	if u.Name == "" {
		answer(w, 422, map[string]string{"error": "name is missing"})
		return
	}
	u.ID = len(users) + 1
	w.Header().Set("Location", "/users/"+strconv.Itoa(u.ID))
	answer(w, 201, u)
}

func answer(w sett.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

func main() {}

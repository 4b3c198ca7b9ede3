// Command session knows who is logged in. A session is a key that lives half an hour after it was last used; the
// store forgets it by itself.
package main

import (
	"crypto/rand"
	"errors"
	"strings"
	"time"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/kv"
)

const lifetime = 30 * time.Minute

func init() {
	sett.HTTP("POST /login", login)
	sett.HTTP("GET /me", me)
	sett.HTTP("POST /logout", logout)
}

// login takes the user's name as the body; a real one would ask for proof.
func login(w sett.ResponseWriter, r *sett.Request) {
	if len(r.Body) == 0 {
		w.WriteHeader(400)
		return
	}
	id := rand.Text()
	if err := kv.Set(r.Context(), "session/"+id, r.Body, kv.TTL(lifetime)); err != nil {
		panic(err) // 502; the reason is in the function's log
	}
	w.Header().Set("Set-Cookie", "session="+id+"; HttpOnly; SameSite=Lax; Path=/")
	w.WriteHeader(204)
}

func me(w sett.ResponseWriter, r *sett.Request) {
	key := "session/" + cookie(r, "session")
	user, err := kv.Get(r.Context(), key)
	if err == nil {
		err = kv.Touch(r.Context(), key, lifetime)
	}
	switch {
	case errors.Is(err, kv.ErrNotFound):
		w.WriteHeader(401)
		w.WriteString("log in first\n")
	case err != nil:
		panic(err)
	default:
		w.WriteString(string(user) + "\n")
	}
}

func logout(w sett.ResponseWriter, r *sett.Request) {
	if err := kv.Delete(r.Context(), "session/"+cookie(r, "session")); err != nil {
		panic(err)
	}
	w.WriteHeader(204)
}

func cookie(r *sett.Request, name string) string {
	for pair := range strings.SplitSeq(r.Header("Cookie"), ";") {
		if n, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && n == name {
			return value
		}
	}
	return ""
}

func main() {}

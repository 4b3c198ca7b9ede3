// A guest for tests: a sett module that keeps state. The path says what it does, the query with which key.
package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/kv"
)

func init() {
	sett.HTTP("/{do}", func(w sett.ResponseWriter, r *sett.Request) {
		answer, err := do(r.Context(), r.PathValue("do"), r.Query("key"), r.Body)
		if err != nil {
			answer = "error: " + err.Error()
		}
		w.WriteString(answer)
	})
}

func do(ctx context.Context, what, key string, body []byte) (string, error) {
	switch what {
	case "incr":
		n, err := kv.Incr(ctx, key, 1)
		return strconv.FormatInt(n, 10), err
	case "set":
		return "", kv.Set(ctx, key, body)
	case "get":
		v, err := kv.Get(ctx, key)
		return string(v), err
	case "own": // writes and reads
		return own(ctx, key)
	case "hurry": // does not wait as long as it may
		ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		_, err := kv.Get(ctx, key)
		_, after := kv.Get(ctx, key) // not asked at all
		return strconv.FormatBool(errors.Is(err, context.DeadlineExceeded) && errors.Is(after, context.DeadlineExceeded)), nil
	case "many": // calls until it may not
		for n := 0; ; n++ {
			if _, err := kv.Exists(ctx, key); err != nil {
				return strconv.Itoa(n) + " " + strconv.FormatBool(errors.Is(err, kv.ErrTooMany)), nil
			}
		}
	case "list":
		text := ""
		for item, err := range kv.List(ctx, key) {
			if err != nil {
				return "", err
			}
			text += item.Key + "=" + string(item.Value) + " "
		}
		return text, nil
	}
	return "", errors.New("unknown: " + what)
}

func own(ctx context.Context, key string) (string, error) {
	var t kv.Txn
	t.Set(key, []byte("a"), kv.IfAbsent, kv.TTL(time.Hour)).Append(key, []byte("b")).Incr(key+"/n", 7)
	r, err := t.Commit(ctx)
	if err != nil {
		return "", err
	}
	i, err := kv.GetItem(ctx, key)
	if err != nil {
		return "", err
	}
	err = kv.Set(ctx, key, nil, kv.IfRevision(i.Revision+1))
	left := time.Until(i.Expires)
	return string(i.Value) + " " + strconv.FormatBool(i.Revision == r.Revision) + " " +
		strconv.FormatBool(left > 59*time.Minute && left <= time.Hour) + " " + strconv.FormatBool(errors.Is(err, kv.ErrConflict)), nil
}

func main() {}

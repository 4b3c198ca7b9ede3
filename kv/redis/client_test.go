package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sett-run/sett/kv/op"
)

// TestGoClient uses the server as a program would, through the client library most Go programs have, in both protocols.
func TestGoClient(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		t.Run("RESP"+strconv.Itoa(protocol), func(t *testing.T) {
			store := newMemory()
			_, addr := start(t, Config{Store: store, Authorize: tokens(map[string]string{"shop": "secret"})})
			c := redis.NewClient(&redis.Options{Addr: addr, Username: "shop", Password: "secret", Protocol: protocol, ClientName: "test"})
			defer c.Close()
			useKeys(t, c)
			useTransactions(t, c)
			useScan(t, c)
			if u, err := store.Usage(t.Context(), "default"); err != nil || u.Keys != 0 {
				t.Errorf("app default has %d keys, %v", u.Keys, err)
			}
		})
	}
}

// check fails the test unless a reply is what is wanted.
func check[T any](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
		t.Errorf("%s = %v, %v, want %v", what, got, err, want)
	}
}

func useKeys(t *testing.T, c *redis.Client) {
	t.Helper()
	ctx := t.Context()
	check(t, "Set", c.Set(ctx, "a", "1", 0).Val(), c.Set(ctx, "a", "1", 0).Err(), "OK")
	got, err := c.Get(ctx, "a").Result()
	check(t, "Get", got, err, "1")
	if err := c.Get(ctx, "none").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("Get of nothing = %v, want %v", err, redis.Nil)
	}
	n, err := c.IncrBy(ctx, "a", 41).Result()
	check(t, "IncrBy", n, err, 42)
	made, err := c.SetNX(ctx, "a", "x", 0).Result()
	check(t, "SetNX", made, err, false)
	old, err := c.SetArgs(ctx, "a", "x", redis.SetArgs{Get: true, TTL: time.Hour}).Result()
	check(t, "SetArgs", old, err, "42")
	ttl, err := c.TTL(ctx, "a").Result()
	check(t, "TTL", ttl.Round(time.Minute), err, time.Hour)
	all, err := c.MGet(ctx, "a", "none").Result()
	check(t, "MGet", all, err, []any{"x", nil})
	gone, err := c.Del(ctx, "a", "none").Result()
	check(t, "Del", gone, err, 1)
	info, err := c.InfoMap(ctx, "replication").Result()
	check(t, "InfoMap", info["Replication"]["role"], err, "master")
	name, err := c.ClientGetName(ctx).Result()
	check(t, "ClientGetName", name, err, "test")
	commands, err := c.Command(ctx).Result()
	if err != nil || commands["mset"].StepCount != 2 || commands["get"].ReadOnly != true {
		t.Errorf("Command = %v, %v", commands["mset"], err)
	}
}

func useTransactions(t *testing.T, c *redis.Client) {
	t.Helper()
	ctx := t.Context()
	var got *redis.StringCmd
	_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "t", "1", 0)
		p.Incr(ctx, "t")
		got = p.Get(ctx, "t")
		return nil
	})
	check(t, "TxPipelined", got.Val(), err, "2")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				increaseWatched(t, c)
			}
		})
	}
	all.Wait()
	n, err := c.Get(ctx, "watched").Int()
	check(t, "counter under WATCH", n, err, 100)
}

// increaseWatched counts one by WATCH, GET, SET, as often as it takes.
func increaseWatched(t *testing.T, c *redis.Client) {
	ctx := context.Background()
	for {
		err := c.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, "watched").Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, "watched", n+1, 0)
				return nil
			})
			return err
		}, "watched")
		if err == nil {
			return
		}
		if !errors.Is(err, redis.TxFailedErr) {
			t.Errorf("Watch = %v", err)
			return
		}
	}
}

func useScan(t *testing.T, c *redis.Client) {
	t.Helper()
	ctx := t.Context()
	var want, got []string
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range 3 * op.MaxOps {
			want = append(want, fmt.Sprintf("scan:%03d", i))
			p.Set(ctx, want[i], i, 0)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	i := c.Scan(ctx, 0, "scan:*", 17).Iterator()
	for i.Next(ctx) {
		got = append(got, i.Val())
	}
	slices.Sort(got)
	check(t, "Scan", got, i.Err(), want)
}

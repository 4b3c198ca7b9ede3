package fsm

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sett-run/sett/kv/op"
)

// effectsModel is what keys of an app and of its objects should hold.
type effectsModel map[string]map[string]string

// TestEffectsModel compares effects on two namespaces with a simple model: all of it happens, or nothing.
func TestEffectsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := newMemory()
		state.entry(t, start, Command{Kind: RaiseLevel, Level: 3})
		model := effectsModel{"app": {}, op.ObjectsOf("app"): {}}
		for i := range rapid.IntRange(1, 40).Draw(t, "entries") {
			now := start.Add(time.Duration(i) * time.Second)
			c := Command{Kind: Effects, Namespace: "app"}
			c.Checks, c.Ops = someEffects(t)
			c.Objects.Checks, c.Objects.Ops = someEffects(t)
			_, err := state.entry(t, now, c)[0].Result()
			want := model.run(c)
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Fatalf("%+v = %v, want %v", c, err, want)
			}
			state.check(t)
			for namespace, keys := range model {
				for _, k := range effectKeys() {
					item, err := Get(state, namespace, k, now)
					if value, there := keys[k]; there != (err == nil) || string(item.Value) != value {
						t.Fatalf("after %+v: %s %s = %q, %v, want %q, %v", c, namespace, k, item.Value, err, value, there)
					}
				}
			}
		}
	})
}

func effectKeys() []string { return []string{"a", "b", "n"} }

func someEffects(t *rapid.T) (checks []op.Check, ops []op.Op) {
	for range rapid.IntRange(0, 2).Draw(t, "checks") {
		c := op.Check{Kind: rapid.SampledFrom([]op.CheckKind{op.HasRevision, op.HasValue, op.IsPresent}).Draw(t, "check"),
			Key: rapid.SampledFrom(effectKeys()).Draw(t, "key")}
		if c.Kind == op.HasValue {
			c.Value = []byte(strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "value")))
		}
		checks = append(checks, c)
	}
	for range rapid.IntRange(0, 4).Draw(t, "ops") {
		o := op.Op{Kind: rapid.SampledFrom([]op.Kind{op.Set, op.Delete, op.Incr, op.Incr}).Draw(t, "op"), Key: rapid.SampledFrom(effectKeys()).Draw(t, "key")}
		switch o.Kind {
		case op.Set:
			o.Value = []byte(strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "value")))
		case op.Incr:
			o.Delta, o.Bounded, o.Min, o.Max = rapid.Int64Range(-2, 2).Draw(t, "delta"), true, -3, 3
		}
		ops = append(ops, o)
	}
	return checks, ops
}

// run does a command, or answers why not.
func (m effectsModel) run(c Command) error {
	after := effectsModel{"app": maps.Clone(m["app"]), op.ObjectsOf("app"): maps.Clone(m[op.ObjectsOf("app")])}
	for _, part := range []op.Txn{{Namespace: "app", Checks: c.Checks, Ops: c.Ops},
		{Namespace: op.ObjectsOf("app"), Checks: c.Objects.Checks, Ops: c.Objects.Ops}} {
		keys := after[part.Namespace]
		for _, k := range part.Checks {
			value, there := keys[k.Key]
			if k.Kind == op.HasRevision && there || k.Kind == op.HasValue && (!there || value != string(k.Value)) || k.Kind == op.IsPresent && !there {
				return op.ErrConflict
			}
		}
		for _, o := range part.Ops {
			switch o.Kind {
			case op.Set:
				keys[o.Key] = string(o.Value)
			case op.Delete:
				delete(keys, o.Key)
			case op.Incr:
				n, _ := strconv.ParseInt(keys[o.Key], 10, 64)
				if n += o.Delta; n < o.Min || n > o.Max {
					return op.ErrRange
				}
				keys[o.Key] = fmt.Sprint(n)
			}
		}
	}
	maps.Copy(m, after)
	return nil
}

package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// setOp is the op that writes a value as JSON.
func setOp(key string, value any) (op.Op, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return op.Op{}, fmt.Errorf("encode %s: %w", key, err)
	}
	return op.Op{Kind: op.Set, Key: key, Value: b}, nil
}

// listOf answers the values under a prefix of namespace op.System; what names them in an error.
func listOf[T any](ctx context.Context, in Store, what, prefix string, c op.Consistency) (all []T, err error) {
	for item, err := range op.All(ctx, in, op.System, op.Query{Prefix: prefix, Read: op.Read{Consistency: c}}) {
		if err != nil {
			return nil, coded("list "+what, err)
		}
		var v T
		if err := json.Unmarshal(item.Value, &v); err != nil {
			return nil, fmt.Errorf("read record %s: %w", item.Key, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// put writes a record; what names the act in an error.
func put(ctx context.Context, to Store, what, key string, v any) error {
	write, err := setOp(key, v)
	if err != nil {
		return err
	}
	_, err = to.Commit(ctx, op.Txn{Namespace: op.System, Ops: []op.Op{write}})
	return coded(what, err)
}

// forget deletes a record; the error for one that is not there is missing.
func forget(ctx context.Context, from Store, what, key string, missing error) error {
	item, err := from.Get(ctx, op.System, key, op.Read{Consistency: op.Strong})
	if err == nil {
		t := op.Txn{Namespace: op.System, Checks: []op.Check{{Key: key, Revision: item.Revision}}, Ops: []op.Op{{Kind: op.Delete, Key: key}}}
		_, err = from.Commit(ctx, t)
	}
	if errors.Is(err, op.ErrNotFound) {
		return missing
	}
	return coded(what, err)
}

// coded wraps an error of the store, which is coded abi.Unavailable unless it has a code.
func coded(verb string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", verb, err)
	if abi.CodeOf(err) == abi.Internal {
		return abi.WithCode(abi.Unavailable, err)
	}
	return err
}

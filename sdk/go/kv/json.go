package kv

import (
	"context"
	"encoding/json"
	"strconv"
)

// GetJSON decodes a key's value into v as encoding/json does, and answers its revision, or ErrNotFound.
func GetJSON(ctx context.Context, key string, v any, c ...Consistency) (revision uint64, err error) {
	i, err := GetItem(ctx, key, c...)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(i.Value, v); err != nil {
		return 0, &failure{"kv: decode " + strconv.Quote(key) + ": " + err.Error(), err}
	}
	return i.Revision, nil
}

// SetJSON gives a key v's JSON and answers its new revision.
func SetJSON(ctx context.Context, key string, v any, options ...Option) (revision uint64, err error) {
	value, err := json.Marshal(v)
	if err != nil {
		return 0, &failure{"kv: encode " + strconv.Quote(key) + ": " + err.Error(), err}
	}
	return Put(ctx, key, value, options...)
}

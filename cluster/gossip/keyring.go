package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/sett-run/sett/sdk/abi"
)

const (
	keyBytes = 32 // AES-256
	maxKeys  = 8  // every packet of a stranger is tried with each
)

// checkKeys tells what is wrong with a keyring. It never tells a key.
func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return abi.WithCode(abi.InvalidInput, errors.New("use gossip keys: none given"))
	}
	if len(keys) > maxKeys {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("use gossip keys: %d keys, at most %d", len(keys), maxKeys))
	}
	for i, key := range keys {
		if len(key) != keyBytes {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("use gossip keys: key %d has %d bytes, want %d", i+1, len(key), keyBytes))
		}
	}
	return nil
}

// UseKeys replaces the keyring: 1 to 8 keys of 32 bytes, the one to encrypt with first. A rotation takes three steps, each
// of them on all nodes before the next: the new key behind the old, the new before the old, the new alone.
func (g *Gossip) UseKeys(keys [][]byte) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	g.keysMu.Lock()
	defer g.keysMu.Unlock()
	for _, key := range keys {
		if err := g.keyring.AddKey(bytes.Clone(key)); err != nil {
			return fmt.Errorf("use gossip keys: %w", err)
		}
	}
	if err := g.keyring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("use gossip keys: %w", err)
	}
	wanted := func(key []byte) bool {
		return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
	}
	// memberlist reads the ring without a lock while RemoveKey moves its tail: only removing the last is safe. So all
	// from the first unwanted one on go, and the wanted ones among them come back.
	ring := g.keyring.GetKeys()
	first := slices.IndexFunc(ring, func(key []byte) bool { return !wanted(key) })
	if first < 0 {
		return nil
	}
	tail := ring[first:]
	for _, key := range slices.Backward(tail) {
		if err := g.keyring.RemoveKey(key); err != nil {
			return fmt.Errorf("use gossip keys: %w", err)
		}
	}
	for _, key := range tail {
		if wanted(key) {
			if err := g.keyring.AddKey(key); err != nil {
				return fmt.Errorf("use gossip keys: %w", err)
			}
		}
	}
	return nil
}

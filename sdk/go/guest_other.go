//go:build !wasip1

package sett

import "github.com/sett-run/sett/sdk/go/internal/host"

// Outside WebAssembly the exports are called by package settest.
var _ = func() bool {
	host.Guest.Handle = func(event []byte) ([]byte, error) { return newGuest().handle(event) }
	host.Guest.Describe = describe
	host.Guest.WarmUp = warmUp
	return true
}()

// rehearsing answers a guest of its own: each invocation has one here.
func rehearsing() *guest { return newGuest() }

package queue

import (
	"errors"
	"testing"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

func FuzzParseReceipt(f *testing.F) {
	f.Add(formatReceipt(fsm.Receipt{Queue: 4096, Lease: 1, Sequence: 1<<64 - 1}))
	f.Add("AQEBAQ")
	f.Add("AQEBgAA")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReceipt(text)
		if err != nil {
			if !errors.Is(err, op.ErrInvalid) {
				t.Errorf("parseReceipt(%q) = %v, want %v", text, err, op.ErrInvalid)
			}
			return
		}
		if again := formatReceipt(r); again != text {
			t.Errorf("formatReceipt(parseReceipt(%q)) = %q", text, again)
		}
	})
}

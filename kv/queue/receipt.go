package queue

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

const receiptVersion = 1 // the first byte of an encoded receipt

// formatReceipt is a receipt as callers hand it back: base64url of the version and three unsigned varints.
func formatReceipt(r fsm.Receipt) string {
	b := binary.AppendUvarint([]byte{receiptVersion}, r.Queue)
	b = binary.AppendUvarint(b, r.Lease)
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(b, r.Sequence))
}

// parseReceipt reads what formatReceipt wrote, or answers op.ErrInvalid.
func parseReceipt(text string) (r fsm.Receipt, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) == 0 || b[0] != receiptVersion {
		return fsm.Receipt{}, errReceipt
	}
	b = b[1:]
	for _, field := range []*uint64{&r.Queue, &r.Lease, &r.Sequence} {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return fsm.Receipt{}, errReceipt
		}
		*field, b = n, b[size:]
	}
	if len(b) > 0 || formatReceipt(r) != text {
		return fsm.Receipt{}, errReceipt
	}
	return r, nil
}

var errReceipt = fmt.Errorf("receipt is not one that a receive answered: %w", op.ErrInvalid)

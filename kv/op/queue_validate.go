package op

import (
	"fmt"
	"strconv"
	"strings"
)

// Validate answers ErrInvalid or ErrTooLarge for a message that no queue takes.
func (o Outgoing) Validate() error {
	size := o.Bytes()
	switch {
	case len(o.Body) == 0:
		return fmt.Errorf("the message is empty: %w", ErrInvalid)
	case size > MaxMessageBytes:
		return fmt.Errorf("message of %d bytes, at most %d are allowed: %w", size, MaxMessageBytes, ErrTooLarge)
	case len(o.Attributes) > MaxAttributes:
		return fmt.Errorf("%d attributes, at most %d are allowed: %w", len(o.Attributes), MaxAttributes, ErrTooLarge)
	case o.Delay < NoDelay || o.Delay > MaxDelay:
		return fmt.Errorf("delay %v is not within 0 and %v: %w", o.Delay, MaxDelay, ErrInvalid)
	}
	for i, a := range o.Attributes {
		if err := a.validate(); err != nil {
			return err
		}
		for _, other := range o.Attributes[:i] {
			if other.Name == a.Name {
				return fmt.Errorf("attribute %s comes twice: %w", a.Name, ErrInvalid)
			}
		}
	}
	if err := validateID("group", o.Group); err != nil {
		return err
	}
	return validateID("deduplication id", o.Dedup)
}

// Bytes is the message's size: its body, and names, types and values of its attributes.
func (o Outgoing) Bytes() int {
	size := len(o.Body)
	for _, a := range o.Attributes {
		size += len(a.Name) + len(a.Type) + len(a.Value)
	}
	return size
}

func (a Attribute) validate() error {
	bad := a.Name == "" || len(a.Name) > MaxAttributeNameBytes || len(a.Type) > MaxAttributeNameBytes ||
		strings.HasPrefix(a.Name, ".") || strings.HasSuffix(a.Name, ".") || strings.Contains(a.Name, "..") ||
		strings.HasPrefix(strings.ToLower(a.Name), "aws.") || strings.HasPrefix(strings.ToLower(a.Name), "amazon.")
	for _, c := range []byte(a.Name) {
		bad = bad || !letter(c) && c != '-' && c != '_' && c != '.'
	}
	if bad {
		return fmt.Errorf("attribute %.80q: its name is not one of 1 to %d letters, digits, - _ and single full stops within: %w",
			a.Name, MaxAttributeNameBytes, ErrInvalid)
	}
	kind, label, labelled := strings.Cut(a.Type, ".")
	switch {
	case kind != "String" && kind != "Number" && kind != "Binary" || labelled && label == "":
		return fmt.Errorf("attribute %s: type %.80q is not String, Number or Binary: %w", a.Name, a.Type, ErrInvalid)
	case len(a.Value) == 0:
		return fmt.Errorf("attribute %s is empty: %w", a.Name, ErrInvalid)
	case kind == "Number" && !number(string(a.Value)):
		return fmt.Errorf("attribute %s: %.40q is not a number: %w", a.Name, a.Value, ErrInvalid)
	}
	return nil
}

// number says whether text is a decimal number of at most 38 digits.
func number(text string) bool {
	digits := 0
	for _, c := range []byte(text) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c != '+' && c != '-' && c != '.' && c != 'e' && c != 'E':
			return false
		}
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && digits <= 38
}

// validateID accepts letters, digits and punctuation of ASCII.
func validateID(what, id string) error {
	ok := len(id) <= MaxGroupBytes
	for _, c := range []byte(id) {
		ok = ok && c > ' ' && c < 0x7f
	}
	if !ok {
		return fmt.Errorf("%s %.80q is not one of at most %d letters, digits and punctuation: %w", what, id, MaxGroupBytes, ErrInvalid)
	}
	return nil
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// ValidateQueueName accepts what a queue or topic may be called: 1 to MaxQueueNameBytes letters, digits, - and _,
// and ".fifo" after them. Else it answers ErrInvalid.
func ValidateQueueName(name string) error {
	stem := strings.TrimSuffix(name, ".fifo")
	ok := stem != "" && len(name) <= MaxQueueNameBytes
	for _, c := range []byte(stem) {
		ok = ok && (letter(c) || c == '-' || c == '_')
	}
	if !ok {
		return fmt.Errorf("queue %.90q: a name is 1 to %d letters, digits, - and _, and .fifo for a FIFO queue: %w",
			name, MaxQueueNameBytes, ErrInvalid)
	}
	return nil
}

// ValidateInnerName accepts queue names, and those of the platform's own queues: such names joined by slashes, as in
// "topic/orders/mail".
func ValidateInnerName(name string) error {
	ok := len(name) <= MaxInnerNameBytes
	for part := range strings.SplitSeq(name, "/") {
		ok = ok && part != "" && part != "." && part != ".."
		for _, c := range []byte(part) {
			ok = ok && (letter(c) || c == '-' || c == '_' || c == '.')
		}
	}
	if !ok {
		return fmt.Errorf("queue %.90q is not a name: %w", name, ErrInvalid)
	}
	return nil
}

package op

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestOutgoingLimits(t *testing.T) {
	attribute := func(name, kind, value string) Outgoing {
		return Outgoing{Body: []byte("b"), Attributes: []Attribute{{Name: name, Type: kind, Value: []byte(value)}}}
	}
	attributes := func(n int) (o Outgoing) {
		o.Body = []byte("b")
		for i := range n {
			o.Attributes = append(o.Attributes, Attribute{Name: fmt.Sprint("a", i), Type: "String", Value: []byte("v")})
		}
		return o
	}
	twice := attributes(2)
	twice.Attributes[1].Name = "a0"
	long := strings.Repeat("x", MaxAttributeNameBytes+1)
	for name, c := range map[string]struct {
		message Outgoing
		want    error
	}{
		"largest":            {Outgoing{Body: make([]byte, MaxMessageBytes)}, nil},
		"too large":          {Outgoing{Body: make([]byte, MaxMessageBytes+1)}, ErrTooLarge},
		"with attributes":    {Outgoing{Body: make([]byte, MaxMessageBytes), Attributes: attributes(1).Attributes}, ErrTooLarge},
		"empty":              {Outgoing{}, ErrInvalid},
		"all attributes":     {attributes(MaxAttributes), nil},
		"too many":           {attributes(MaxAttributes + 1), ErrTooLarge},
		"twice":              {twice, ErrInvalid},
		"longest delay":      {Outgoing{Body: []byte("b"), Delay: MaxDelay}, nil},
		"too long a delay":   {Outgoing{Body: []byte("b"), Delay: MaxDelay + 1}, ErrInvalid},
		"no delay":           {Outgoing{Body: []byte("b"), Delay: NoDelay}, nil},
		"negative delay":     {Outgoing{Body: []byte("b"), Delay: NoDelay - 1}, ErrInvalid},
		"longest group":      {Outgoing{Body: []byte("b"), Group: strings.Repeat("!", MaxGroupBytes)}, nil},
		"too long a group":   {Outgoing{Body: []byte("b"), Group: strings.Repeat("!", MaxGroupBytes+1)}, ErrInvalid},
		"space in a group":   {Outgoing{Body: []byte("b"), Group: "a b"}, ErrInvalid},
		"deduplication id":   {Outgoing{Body: []byte("b"), Dedup: strings.Repeat("x", MaxGroupBytes+1)}, ErrInvalid},
		"longest name":       {attribute(long[1:], "Binary.png", "\x00"), nil},
		"too long a name":    {attribute(long, "String", "v"), ErrInvalid},
		"no name":            {attribute("", "String", "v"), ErrInvalid},
		"reserved name":      {attribute("AWS.x", "String", "v"), ErrInvalid},
		"also reserved":      {attribute("amazon.x", "String", "v"), ErrInvalid},
		"name with a dot":    {attribute("a.b", "String", "v"), nil},
		"name begins so":     {attribute(".a", "String", "v"), ErrInvalid},
		"two dots":           {attribute("a..b", "String", "v"), ErrInvalid},
		"name with a space":  {attribute("a b", "String", "v"), ErrInvalid},
		"type":               {attribute("a", "string", "v"), ErrInvalid},
		"empty label":        {attribute("a", "String.", "v"), ErrInvalid},
		"too long a type":    {attribute("a", "String."+long, "v"), ErrInvalid},
		"empty value":        {attribute("a", "String", ""), ErrInvalid},
		"number":             {attribute("a", "Number", "-12.5e3"), nil},
		"38 digits":          {attribute("a", "Number.int", strings.Repeat("1", 38)), nil},
		"39 digits":          {attribute("a", "Number", strings.Repeat("1", 39)), ErrInvalid},
		"hexadecimal number": {attribute("a", "Number", "0x1"), ErrInvalid},
		"no number":          {attribute("a", "Number", "-"), ErrInvalid},
	} {
		if err := c.message.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%s: Validate = %v, want %v", name, err, c.want)
		}
	}
}

func TestQueueNames(t *testing.T) {
	long := strings.Repeat("q", MaxQueueNameBytes)
	for name, want := range map[string][2]bool{ // a queue's, and one of the platform's
		"orders": {true, true}, "A-b_9": {true, true}, "orders.fifo": {true, true}, long: {true, true}, long[5:] + ".fifo": {true, true},
		long + "q": {false, true}, long + ".fifo": {false, true}, "": {false, false}, ".fifo": {false, true}, "a.b": {false, true},
		"a b": {false, false}, "topic/orders": {false, true}, "topic/orders/mail.fifo": {false, true}, "/a": {false, false},
		"a//b": {false, false}, "a/": {false, false}, "a/../b": {false, false}, "a\x00b": {false, false}, "ä": {false, false},
		strings.Repeat("x", MaxInnerNameBytes+1): {false, false},
	} {
		queue, inner := ValidateQueueName(name), ValidateInnerName(name)
		if (queue == nil) != want[0] || (inner == nil) != want[1] {
			t.Errorf("%.90q: %v, %v, want %v", name, queue, inner, want)
		}
		if queue != nil && !errors.Is(queue, ErrInvalid) || inner != nil && !errors.Is(inner, ErrInvalid) {
			t.Errorf("%.90q: %v, %v, want %v", name, queue, inner, ErrInvalid)
		}
	}
}

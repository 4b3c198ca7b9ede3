package fsm

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// Level is the newest feature level this build knows, and that of everything in it. A command of level n acts only
// once a RaiseLevel has set the group's level to n, which is done when every node knows n: until then it fails on
// all of them, and so nodes of two versions never differ. A new store begins at level 1. Level 2 has queues; level 3
// effects, the namespaces of apps' objects, changes that say what was there before, and dead letters over the quota.
const Level = 3

// Limits of commands.
const (
	MaxCommandBytes = op.MaxTxnBytes + 32<<10 // an encoded command; op's limits fit
	MaxTickKeys     = 1000                    // keys one Tick collects
	MaxEffects      = 1024                    // checks, and operations, of Effects
)

// Kind says what a Command does. The numbers are in the replicated log and never change.
type Kind uint8

// Kinds of command.
const (
	Transact   Kind = 1 // Checks and Ops, as op.Txn
	SetQuota   Kind = 2 // Namespace has Quota from now on
	RaiseLevel Kind = 3 // the group's feature level is Level, when it was lower
	Tick       Kind = 4 // the first Limit keys whose time has come are deleted, in whatever namespace
	Queues     Kind = 5 // Steps, one after the other, all of them or none; of feature level 2
	// Effects are what an invocation asks for and the end of what caused it: Checks, Ops, Steps, and Record, which holds Becomes then, or goes;
	// all of it or nothing, and Objects with it. Of Steps, messages to be deleted must still be had by their receipts. Of feature level 3.
	Effects      Kind = 6
	KeepPrevious Kind = 7 // changes of Namespace have the value before, or no more: Keep; of feature level 3
)

// Request names a command, so that it acts once even when it is proposed again; the zero value names none. No other
// command has the same.
type Request [16]byte

// Command is what one caller wants of the state.
type Command struct {
	Kind      Kind
	Request   Request
	Namespace string // of Transact, SetQuota, Queues, Effects and KeepPrevious; else empty
	Checks    []op.Check
	Ops       []op.Op
	Quota     op.Quota
	Level     uint8
	Limit     int
	Keep      bool
	Steps     []QueueStep
	Record    op.Check         // of Effects: a key of op.System and the revision it must have; no key: none
	Becomes   []byte           // of Effects: the value that Record gets; nil: it is deleted
	Objects   op.ObjectEffects // of Effects: of the namespace of the objects of Namespace
}

// Validate answers op.ErrInvalid or op.ErrTooLarge for a command that would fail whatever the state. Only what is
// valid can be encoded.
func (c Command) Validate() error {
	switch c.Kind {
	case Transact:
		return op.Txn{Namespace: c.Namespace, Checks: c.Checks, Ops: c.Ops}.Validate()
	case SetQuota:
		if err := op.ValidateNamespace(c.Namespace); err != nil {
			return err
		}
		return c.Quota.Validate()
	case KeepPrevious:
		return op.ValidateNamespace(c.Namespace)
	case Queues:
		if err := op.ValidateNamespace(c.Namespace); err != nil {
			return err
		}
		return validateSteps(c.Steps)
	case Effects:
		return c.validateEffects()
	}
	switch {
	case c.Kind != RaiseLevel && c.Kind != Tick:
		return fmt.Errorf("unknown kind of command %d: %w", c.Kind, op.ErrInvalid)
	case c.Namespace != "":
		return fmt.Errorf("a command of kind %d has no namespace: %w", c.Kind, op.ErrInvalid)
	case c.Kind == RaiseLevel && c.Level == 0:
		return fmt.Errorf("there is no feature level 0: %w", op.ErrInvalid)
	case c.Kind == Tick && (c.Limit < 1 || c.Limit > MaxTickKeys):
		return fmt.Errorf("a tick of %d keys, 1 to %d are allowed: %w", c.Limit, MaxTickKeys, op.ErrInvalid)
	}
	return nil
}

func (c Command) validateEffects() error {
	parts := []op.Txn{{Namespace: c.Namespace, Checks: c.Checks, Ops: c.Ops}}
	if len(c.Objects.Checks)+len(c.Objects.Ops) > 0 {
		parts = append(parts, op.Txn{Namespace: op.ObjectsOf(c.Namespace), Checks: c.Objects.Checks, Ops: c.Objects.Ops})
	}
	size := 0
	for _, p := range parts {
		if len(p.Checks) > MaxEffects || len(p.Ops) > MaxEffects {
			return fmt.Errorf("an invocation reads %d keys and changes %d in %s, at most %d of each are allowed: %w", len(p.Checks), len(p.Ops),
				p.Namespace, MaxEffects, op.ErrTooLarge)
		}
		for _, o := range p.Ops {
			size += len(o.Key) + len(o.Value)
		}
	}
	for _, s := range c.Steps {
		if s.Kind <= PurgeQueue {
			return fmt.Errorf("a step of kind %d is no effect: %w", s.Kind, op.ErrInvalid)
		}
		for _, m := range s.Messages {
			size += m.Bytes()
		}
	}
	if size > op.MaxTxnBytes {
		return fmt.Errorf("an invocation writes and sends %d bytes, at most %d are allowed: %w", size, op.MaxTxnBytes, op.ErrTooLarge)
	}
	for _, p := range parts {
		if err := validateParts(p); err != nil {
			return err
		}
	}
	if c.Record.Key != "" {
		if c.Record.Kind != op.HasRevision || c.Record.Revision == 0 {
			return fmt.Errorf("a record that ends has a revision: %w", op.ErrInvalid)
		}
		if err := op.ValidateKey(c.Record.Key); err != nil {
			return err
		}
		if len(c.Becomes) > op.MaxValueBytes {
			return fmt.Errorf("a record of %d bytes, at most %d are allowed: %w", len(c.Becomes), op.MaxValueBytes, op.ErrTooLarge)
		}
	}
	if len(c.Steps) == 0 {
		return nil
	}
	return validateSteps(c.Steps)
}

// validateParts is Validate of a transaction that may have more checks and ops than others.
func validateParts(rest op.Txn) error {
	for {
		part := rest
		part.Checks, part.Ops = rest.Checks[:min(len(rest.Checks), op.MaxChecks)], rest.Ops[:min(len(rest.Ops), op.MaxOps)]
		if err := part.Validate(); err != nil {
			return err
		}
		if rest.Checks, rest.Ops = rest.Checks[len(part.Checks):], rest.Ops[len(part.Ops):]; len(rest.Checks)+len(rest.Ops) == 0 {
			return nil
		}
	}
}

// Append appends c as it is replicated. The first byte is the feature level c needs, the rest is as that level
// says.
func (c Command) Append(b []byte) []byte {
	b = append(b, c.level(), byte(c.Kind))
	b = append(b, c.Request[:]...)
	b = appendText(b, c.Namespace)
	switch c.Kind {
	case Transact:
		b = appendTxn(b, c.Checks, c.Ops)
	case SetQuota:
		b = binary.AppendUvarint(b, uint64(c.Quota.Keys))
		b = binary.AppendUvarint(b, uint64(c.Quota.Bytes))
	case RaiseLevel:
		b = append(b, c.Level)
	case Tick:
		b = binary.AppendUvarint(b, uint64(c.Limit))
	case Queues:
		b = c.appendSteps(b)
	case Effects:
		b = c.appendSteps(appendTxn(b, c.Checks, c.Ops))
		b = binary.AppendUvarint(appendText(b, c.Record.Key), c.Record.Revision)
		if b = append(b, bit(c.Becomes != nil)); c.Becomes != nil {
			b = appendText(b, c.Becomes)
		}
		b = appendTxn(b, c.Objects.Checks, c.Objects.Ops)
	case KeepPrevious:
		b = append(b, bit(c.Keep))
	}
	return b
}

func appendTxn(b []byte, checks []op.Check, ops []op.Op) []byte {
	b = binary.AppendUvarint(b, uint64(len(checks)))
	for _, k := range checks {
		b = appendCheck(b, k)
	}
	b = binary.AppendUvarint(b, uint64(len(ops)))
	for _, o := range ops {
		b = appendOp(b, o)
	}
	return b
}

func (c Command) appendSteps(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(c.Steps)))
	for _, s := range c.Steps {
		b = appendStep(b, s)
	}
	return b
}

// level is the feature level that has the command.
func (c Command) level() byte {
	if op.IsObjects(c.Namespace) {
		return max(3, c.Kind.level())
	}
	return c.Kind.level()
}

// level is the feature level that has commands of a kind.
func (k Kind) level() byte {
	switch k {
	case Queues:
		return 2
	case Effects, KeepPrevious:
		return 3
	}
	return 1
}

var errMalformed = fmt.Errorf("malformed command: %w", op.ErrInvalid)

// decodeCommand reads what Append wrote, in a build that knows feature levels up to known. The command's values are parts
// of b. It need not be valid.
func decodeCommand(b []byte, known uint8) (c Command, err error) {
	f := fields{rest: b}
	level := f.byte()
	if level < 1 || level > known {
		return Command{}, fmt.Errorf("level %d: %w", level, errMalformed)
	}
	c.Kind = Kind(f.byte())
	c.Request = f.request()
	c.Namespace = string(f.text())
	if level < c.level() {
		f.fail()
	}
	switch c.Kind {
	case Transact:
		c.Checks, c.Ops = f.txn(op.MaxChecks, op.MaxOps)
	case SetQuota:
		c.Quota = op.Quota{Keys: f.natural(), Bytes: f.natural()}
	case RaiseLevel:
		c.Level = f.byte()
	case Tick:
		c.Limit = int(f.natural())
	case Queues:
		c.Steps = f.steps()
	case Effects:
		c.Checks, c.Ops = f.txn(MaxEffects, MaxEffects)
		c.Steps = f.steps()
		c.Record.Key = string(f.text())
		c.Record.Revision = f.uvarint()
		if f.bit() {
			c.Becomes = f.text()
		}
		c.Objects.Checks, c.Objects.Ops = f.txn(MaxEffects, MaxEffects)
	case KeepPrevious:
		c.Keep = f.bit()
	default:
		f.fail()
	}
	if !f.whole() {
		return Command{}, errMalformed
	}
	return c, nil
}

func (f *fields) txn(maxChecks, maxOps int) (checks []op.Check, ops []op.Op) {
	if n := f.count(maxChecks); n > 0 {
		checks = make([]op.Check, n)
	}
	for i := range checks {
		checks[i] = f.check()
	}
	if n := f.count(maxOps); n > 0 {
		ops = make([]op.Op, n)
	}
	for i := range ops {
		ops[i] = f.op()
	}
	return checks, ops
}

func (f *fields) steps() []QueueStep {
	steps := make([]QueueStep, f.count(MaxSteps))
	for i := range steps {
		steps[i] = f.step()
	}
	return steps
}

func (f *fields) request() (r Request) {
	copy(r[:], f.raw(len(r)))
	return r
}

func appendCheck(b []byte, c op.Check) []byte {
	b = appendText(append(b, byte(c.Kind)), c.Key)
	switch c.Kind {
	case op.HasRevision:
		b = binary.AppendUvarint(b, c.Revision)
	case op.HasValue:
		b = appendText(b, c.Value)
	}
	return b
}

func (f *fields) check() (c op.Check) {
	c.Kind = op.CheckKind(f.byte())
	c.Key = string(f.text())
	switch c.Kind {
	case op.HasRevision:
		c.Revision = f.uvarint()
	case op.HasValue:
		c.Value = f.text()
	case op.IsPresent:
	default:
		f.fail()
	}
	return c
}

// Flags of an encoded op: which of its fields follow.
const (
	hasPrevious = 1 << iota
	hasBounds
	hasTTL
	hasDelta
)

func appendOp(b []byte, o op.Op) []byte {
	b = appendText(append(b, byte(o.Kind), opFlags(o)), o.Key)
	if hasValue(o.Kind) {
		b = appendText(b, o.Value)
	}
	if o.TTL != 0 {
		b = binary.AppendUvarint(b, uint64(o.TTL))
	}
	if o.Delta != 0 {
		b = binary.AppendVarint(b, o.Delta)
	}
	if o.Bounded {
		b = binary.AppendVarint(b, o.Min)
		b = binary.AppendVarint(b, o.Max)
	}
	return b
}

func (f *fields) op() (o op.Op) {
	o.Kind = op.Kind(f.byte())
	flags := f.byte()
	o.Key = string(f.text())
	if hasValue(o.Kind) {
		o.Value = f.text()
	}
	if flags&hasTTL != 0 {
		o.TTL = time.Duration(f.natural())
	}
	if flags&hasDelta != 0 {
		o.Delta = f.varint()
	}
	if o.Bounded = flags&hasBounds != 0; o.Bounded {
		o.Min, o.Max = f.varint(), f.varint()
	}
	o.Previous = flags&hasPrevious != 0
	if flags != opFlags(o) || o.Kind < op.Set || o.Kind > op.DeletePrefix {
		f.fail()
	}
	return o
}

func hasValue(k op.Kind) bool { return k == op.Set || k == op.Append }

func opFlags(o op.Op) (flags byte) {
	if o.Previous {
		flags |= hasPrevious
	}
	if o.Bounded {
		flags |= hasBounds
	}
	if o.TTL != 0 {
		flags |= hasTTL
	}
	if o.Delta != 0 {
		flags |= hasDelta
	}
	return flags
}

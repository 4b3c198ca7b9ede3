package trigger

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// An app's event bus is a topic whose publications are events, and a rule is a subscription with a pattern: see Forwarder.

// maxBusEventBytes is the longest event, as JSON: what a queue takes, but for attributes.
const maxBusEventBytes = registry.MaxMessageBytes - 1024

// Attributes of events that a replay put: they are archived no second time.
const (
	replayAttribute   = "sett-replay"   // the archive
	functionAttribute = "sett-function" // whose rules alone get it
)

// busEvent is an event as EventBridge has it. Source: Amazon EventBridge User Guide, "AWS service event metadata".
type busEvent struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	ReplayName string          `json:"replay-name,omitempty"`
	Detail     json.RawMessage `json:"detail"`
}

// Event makes a message of what is put on a bus, and answers the event's id. The error is coded abi.InvalidInput or
// abi.TooLarge.
func (d *Delivery) Event(e registry.BusEvent) (m op.Outgoing, id string, err error) {
	if err := e.Validate(); err != nil {
		return m, "", err
	}
	now := time.Now()
	if e.Time.IsZero() {
		e.Time = now
	}
	id = router.NewInvocationID(now)
	m.Body, err = marshalText(busEvent{Version: "0", ID: id, DetailType: e.DetailType, Source: e.Source, Account: account,
		Time: e.Time.UTC().Format(time.RFC3339), Region: d.config.Region, Resources: append([]string{}, e.Resources...), Detail: e.Detail})
	if err == nil && len(m.Body) > maxBusEventBytes {
		err = abi.WithCode(abi.TooLarge, fmt.Errorf("event of %d bytes; at most %d are allowed", len(m.Body), maxBusEventBytes))
	}
	return m, id, err
}

// Replayed makes a message of one in an archive, for the rules of a function, or of all when it is empty. The error is of
// a message that is no event.
func Replayed(m op.Message, archive, function string) (op.Outgoing, error) {
	var e busEvent
	if err := json.Unmarshal(m.Body, &e); err != nil {
		return op.Outgoing{}, fmt.Errorf("read event %s: %w", m.ID, err)
	}
	e.ReplayName = archive
	body, err := marshalText(e)
	out := op.Outgoing{Body: body, Attributes: []op.Attribute{{Name: replayAttribute, Type: attributeText, Value: []byte(archive)}}}
	if function != "" {
		out.Attributes = append(out.Attributes, op.Attribute{Name: functionAttribute, Type: attributeText, Value: []byte(function)})
	}
	return out, err
}

// isPlatform says whether an event is the platform's own.
func isPlatform(event []byte) bool {
	var e struct {
		Source string `json:"source"`
	}
	return json.Unmarshal(event, &e) == nil && strings.HasPrefix(e.Source, registry.PlatformSource)
}

// busRule is a rule, read.
type busRule struct {
	filter   *Filter
	path     path      // nil: the whole event
	template *template // nil: none
}

func parseRule(e registry.EventSource) (r busRule, err error) {
	if r.filter, err = ParseFilter(e.Pattern); err != nil {
		return r, err
	}
	if e.InputPath != "" {
		if r.path, err = parsePath(e.InputPath); err != nil {
			return r, err
		}
	}
	if e.Transformer != nil {
		r.template, err = parseTransformer(*e.Transformer)
	}
	return r, err
}

// RuleName is what a function's rule is called: its number when it has no name.
func RuleName(e registry.EventSource, number int) string {
	if e.Name != "" {
		return e.Name
	}
	return strconv.Itoa(number)
}

// NewRule answers the subscriber of a rule of a function whose events go into a queue. An error, coded
// abi.InvalidInput, is of its pattern.
func NewRule(queue, function string, e registry.EventSource) (Subscriber, error) {
	f, err := ParseFilter(e.Pattern)
	return Subscriber{Queue: queue, filter: f, event: true, function: function}, err
}

// NewArchiver answers the subscriber of an archive, whose pattern may be empty: it gets all that no replay put.
func NewArchiver(queue string, pattern json.RawMessage) (s Subscriber, err error) {
	s = Subscriber{Queue: queue, event: true, archive: true}
	if len(pattern) > 0 {
		s.filter, err = ParseFilter(pattern)
	}
	return s, err
}

// wantsEvent says whether a rule or an archive wants an event, which value answers.
func (s Subscriber) wantsEvent(m op.Message, value func() any) bool {
	for _, a := range m.Attributes {
		if a.Name == replayAttribute && s.archive || a.Name == functionAttribute && string(a.Value) != s.function {
			return false
		}
	}
	return s.filter == nil || s.filter.object(value())
}

// NewRuleWorker answers the worker of a function's rule, whose events Source has: those that match its pattern. Each is
// invoked alone, and tried again as the function's asynchronous invocations are; then it goes to the dead letters. An
// error, coded abi.InvalidInput, is of the rule.
func NewRuleWorker(c WorkerConfig, e registry.EventSource, name string) (*Worker, error) {
	r, err := parseRule(e)
	if err != nil {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("rule %s: %w", name, err))
	}
	w := newEachWorker(c, abi.TriggerEvent, "bus/"+name, e.DeadLetter)
	title := rule{name: c.App + "-" + c.Function + "-" + name}
	title.arn = fmt.Sprintf("arn:aws:events:%s:%s:rule/%s", c.Delivery.config.Region, account, title.name)
	w.encode = func(batch []op.Message) ([]byte, error) {
		switch m := batch[0]; {
		case len(e.Input) > 0:
			return slices.Clone(e.Input), nil
		case r.template != nil:
			return r.template.apply(m.Body, m.Sent, title)
		case r.path != nil:
			return r.path.of(m.Body)
		default:
			return m.Body, nil
		}
	}
	return w, nil
}

package manifest

import (
	"strings"

	"github.com/sett-run/sett/runtime/registry"
)

// defaultBus is what the bus of an app may be called.
const defaultBus = "default"

// bridge is an eventBridge event as far as it is read. It becomes a rule, a schedule, or one of each.
type bridge struct {
	*reader
	rule        registry.EventSource
	schedule    registry.Schedule
	transformer field // its value is nil when there is none
	disabled    bool
}

// eventBridge reads an eventBridge event; nothing when there is a fault or it is not enabled.
func (r *reader) eventBridge(f field) (triggers []registry.Trigger) {
	if isNull(f.value) {
		r.eventKind(f)
		return nil
	}
	before := len(r.faults)
	b := bridge{reader: r}
	for _, sub := range r.keys(f, eventBridgeWords()) {
		b.read(sub)
	}
	hasRule, hasSchedule := len(b.rule.Pattern) > 0, len(b.schedule.Expressions) > 0
	switch {
	case len(r.faults) > before:
		return nil
	case !hasRule && !hasSchedule:
		r.eventKind(f)
		return nil
	case hasSchedule && b.transformer.value != nil:
		r.faultAt(b.transformer.at, b.transformer.path, "of schedules not offered yet; input and inputPath are")
		return nil
	}
	if hasSchedule {
		s := b.schedule
		s.Name, s.Input, s.InputPath, s.Disabled = b.rule.Name, b.rule.Input, b.rule.InputPath, b.disabled
		triggers = append(triggers, registry.Trigger{Schedule: &s})
	}
	if hasRule && b.disabled {
		r.note(f.at, f.path, "is not enabled and left out")
	} else if hasRule {
		triggers = append(triggers, registry.Trigger{Event: &b.rule})
	}
	return triggers
}

func (b *bridge) read(f field) {
	switch f.key {
	case "pattern":
		b.rule.Pattern = b.filter(f)
	case "schedule":
		if expression, ok := b.text(f); ok && b.expression(f, expression, "") {
			b.schedule.Expressions = []string{expression}
		}
	case "name":
		b.rule.Name, _ = b.text(f)
	case "enabled":
		b.disabled = !b.yes(f)
	case "input":
		b.rule.Input = b.input(f)
	case "inputPath":
		b.rule.InputPath, _ = b.text(f)
	case "inputTransformer":
		b.transformer, b.rule.Transformer = f, b.transform(f)
	case "deadLetterQueueArn":
		found, _ := b.target(f, kindQueue)
		b.rule.DeadLetter = found.name
	case "eventBus":
		b.bus(f)
	}
}

// bus refuses buses other than the app's own.
func (b *bridge) bus(f field) {
	name, ok := b.text(f)
	if ok && name != defaultBus && !strings.HasSuffix(name, ":event-bus/"+defaultBus) {
		b.faultAt(f.value, f.path, "event bus %q: an app has one bus, default", clip(name))
	}
}

// transform reads an input transformer, whose inside is checked by whom the Config names.
func (b *bridge) transform(f field) *registry.InputTransformer {
	before := len(b.faults)
	t := &registry.InputTransformer{}
	for _, sub := range b.keys(f, inputTransformerWords()) {
		if sub.key == "inputTemplate" {
			t.Template, _ = b.text(sub)
			continue
		}
		t.Paths = map[string]string{}
		for _, path := range b.mapping(sub) {
			t.Paths[path.key], _ = b.text(path)
		}
	}
	if len(b.faults) > before {
		return t
	}
	if t.Template == "" {
		b.faultAt(f.at, f.path, `inputTemplate is missing, as in inputTemplate: '{"order": <order>}'`)
	} else if b.config.Transformer != nil {
		if err := b.config.Transformer(*t); err != nil {
			b.faultAt(f.value, f.path, "%v", err)
		}
	}
	return t
}

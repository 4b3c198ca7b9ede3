package manifest

import (
	"encoding/json"

	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/runtime/registry"
)

// trigger reads a schedule, sqs, sns, stream or s3 event. It reports false when there is a fault, or the event is not
// enabled.
func (r *reader) trigger(f field) (t registry.Trigger, ok bool) {
	if isNull(f.value) {
		r.eventKind(f)
		return t, false
	}
	before := len(r.faults)
	enabled := true
	switch f.key {
	case "schedule":
		t.Schedule = r.schedule(f)
	case "sqs":
		t.Queue, enabled = r.sqs(f)
	case "sns":
		t.Topic = r.sns(f)
	case "s3":
		t.Upload = r.s3(f)
	case "stream":
		t.Stream, enabled = r.stream(f)
	}
	return t, enabled && len(r.faults) == before
}

// schedule reads an expression, or a mapping with one or several.
func (r *reader) schedule(f field) *registry.Schedule {
	s := &registry.Schedule{}
	rate := f
	if f.value.Kind == yaml.MappingNode {
		before := len(r.faults)
		fields := section(r.keys(f, scheduleWords()))
		var ok bool
		if rate, ok = fields.find("rate"); !ok {
			if len(r.faults) == before {
				r.faultAt(f.at, f.path, "rate is missing, as in rate: cron(0 9 * * ? *)")
			}
			return s
		}
		for _, sub := range fields {
			r.scheduleKey(sub, s)
		}
	}
	elements := []field{rate}
	if rate.value.Kind == yaml.SequenceNode || isNull(rate.value) {
		elements = r.list(rate)
	}
	if len(elements) == 0 {
		r.faultAt(rate.value, rate.path, "empty: name at least one rate(...) or cron(...)")
	}
	for _, e := range elements {
		if expression, ok := r.text(e); ok && r.expression(e, expression, s.Timezone) {
			s.Expressions = append(s.Expressions, expression)
		}
	}
	return s
}

func (r *reader) scheduleKey(f field, s *registry.Schedule) {
	switch f.key {
	case "enabled":
		s.Disabled = !r.yes(f)
	case "name":
		s.Name, _ = r.text(f)
	case "input":
		s.Input = r.input(f)
	case "inputPath":
		s.InputPath, _ = r.text(f)
	case "timezone":
		s.Timezone, _ = r.text(f)
	case "missed":
		s.Missed = r.choice(f, registry.MissedSkip, registry.MissedOnce)
	}
}

// input reads what a schedule gives its function: a mapping, a list, or JSON as text.
func (r *reader) input(f field) json.RawMessage {
	if f.value.Kind != yaml.ScalarNode {
		return r.json(f)
	}
	text, ok := r.text(f)
	if ok && !json.Valid([]byte(text)) {
		r.faultAt(f.value, f.path, "%q is no JSON", clip(text))
		return nil
	}
	return json.RawMessage(text)
}

// expression checks one: its form by the registry's rule, its inside by whom the Config names.
func (r *reader) expression(f field, expression, timezone string) bool {
	one := registry.Settings{Triggers: []registry.Trigger{{Schedule: &registry.Schedule{Expressions: []string{expression}}}}}
	err := one.Validate()
	if err == nil && r.config.Schedule != nil {
		err = r.config.Schedule(expression, timezone)
	}
	if err != nil {
		r.faultAt(f.value, f.path, "%v", err)
	}
	return err == nil
}

// sqs reads a queue, or a mapping with one and how its messages are taken.
func (r *reader) sqs(f field) (q *registry.QueueSource, enabled bool) {
	q, enabled = &registry.QueueSource{}, true
	if !r.isMapping(f) {
		found, _ := r.target(f, kindQueue)
		q.Queue = found.name
		return q, true
	}
	before, named := len(r.faults), 0
	for _, sub := range r.keys(f, sqsEventWords()) {
		switch sub.key {
		case "queue", "arn":
			found, _ := r.target(sub, kindQueue)
			q.Queue = found.name
			named++
		case "batchSize":
			q.BatchSize = r.number(sub, 1, registry.MaxBatch, "messages")
		case "maximumBatchingWindow":
			q.WindowMS = 1000 * r.seconds(sub, 0, registry.MaxWindowMS/1000)
		case "maximumConcurrency":
			q.Concurrency = r.number(sub, 1, registry.MaxBatches, "batches")
		case "functionResponseType":
			q.ReportItems = r.choice(sub, "ReportBatchItemFailures") != ""
		case "filterPatterns":
			q.Filters = r.patterns(sub)
		case "enabled":
			if enabled = r.yes(sub); !enabled {
				r.note(sub.at, f.path, "is not enabled and left out")
			}
		}
	}
	if named != 1 && len(r.faults) == before {
		r.faultAt(f.at, f.path, "needs a queue, by one of queue and arn")
	}
	return q, enabled
}

// sns reads a topic, or a mapping with one and what of it is wanted.
func (r *reader) sns(f field) *registry.TopicSource {
	t := &registry.TopicSource{}
	if !r.isMapping(f) {
		found, _ := r.target(f, kindTopic)
		t.Topic = found.name
		return t
	}
	before := len(r.faults)
	names := map[string]bool{}
	for _, sub := range r.keys(f, snsEventWords()) {
		switch sub.key {
		case "topicName", "arn":
			found, _ := r.target(sub, kindTopic)
			t.Topic = found.name
			names[found.name] = true
		case "filterPolicy":
			t.Filter = r.filter(sub)
		case "filterPolicyScope":
			t.FilterScope = r.choice(sub, registry.FilterAttributes, registry.FilterBody)
		case "redrivePolicy":
			for _, part := range r.keys(sub, snsRedriveWords()) {
				if part.key == "deadLetterTargetRef" { // a logical id as text
					part.value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!Ref", Value: part.value.Value, Line: part.value.Line, Column: part.value.Column}
				}
				found, _ := r.target(part, kindQueue)
				t.DeadLetter = found.name
			}
		}
	}
	if len(names) != 1 && len(r.faults) == before {
		r.faultAt(f.at, f.path, "needs a topic, by topicName or arn")
	}
	return t
}

// isMapping reports whether an event is written out, rather than only naming its source by a word or a reference.
func (r *reader) isMapping(f field) bool {
	for _, function := range []string{"Ref", "Fn::GetAtt", "Fn::Sub", "Fn::ImportValue", "Fn::Join"} {
		if r.hasKey(f.value, function) {
			return false
		}
	}
	return f.value.Kind == yaml.MappingNode && f.value.ShortTag() == "!!map"
}

// object reads a JSON object.
func (r *reader) object(f field) json.RawMessage {
	if f.value.Kind != yaml.MappingNode {
		r.faultAt(f.value, f.path, "%s where a mapping is needed", kindName(f.value))
		return nil
	}
	return r.json(f)
}

// filter reads a JSON object, whose inside is checked by whom the Config names.
func (r *reader) filter(f field) json.RawMessage {
	pattern := r.object(f)
	if pattern == nil || r.config.Filter == nil {
		return pattern
	}
	if err := r.config.Filter(pattern); err != nil {
		r.faultAt(f.value, f.path, "%v", err)
	}
	return pattern
}

// patterns reads a list of JSON objects.
func (r *reader) patterns(f field) []json.RawMessage {
	var patterns []json.RawMessage
	for _, e := range r.list(f) {
		if pattern := r.filter(e); pattern != nil {
			patterns = append(patterns, pattern)
		}
	}
	return patterns
}

package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// Kinds of what a manifest may refer to: those of registry's destinations, buckets, and what only exists in a cloud.
const (
	kindQueue    = registry.DestinationQueue
	kindTopic    = registry.DestinationTopic
	kindFunction = registry.DestinationFunction
	kindBucket   = "bucket"
	kindCloud    = "cloud" // a table
)

// resource is what a logical id of CloudFormation stands for.
type resource struct{ kind, name string }

// use is a name of a queue, a topic, a bucket or a function that something refers to.
type use struct {
	at         field
	kind, name string
}

// target reads what an event, a destination or a dead-letter setting refers to, which is one of some kinds: a name
// (NAME, or KIND:NAME), an ARN, of which only the name counts, or CloudFormation's Ref and GetAtt. A bare name is
// of the first kind.
func (r *reader) target(f field, kinds ...string) (found resource, ok bool) {
	logical, text, ok := r.reference(f)
	if !ok {
		return found, false
	}
	if logical != "" {
		if found, ok = r.logical(f, logical); !ok {
			return found, false
		}
	} else if found, ok = r.named(f, text, kinds); !ok {
		return found, false
	}
	if !slices.Contains(kinds, found.kind) {
		r.faultAt(f.value, f.path, "%q is a %s where a %s is needed", clip(found.name), found.kind, strings.Join(kinds, " or a "))
		return found, false
	}
	check := registry.CheckQueueName
	switch found.kind {
	case kindTopic:
		check = registry.CheckTopicName
	case kindBucket:
		check = op.ValidateBucket
	case kindFunction:
		check = func(name string) error { return registry.CheckName(kindFunction, name) }
	}
	if err := check(found.name); err != nil {
		r.faultAt(f.value, f.path, "%v", err)
		return found, false
	}
	r.uses = append(r.uses, use{f, found.kind, found.name})
	return found, true
}

// reference reads text, or the logical id that Ref, GetAtt or their long forms name.
func (r *reader) reference(f field) (logical, text string, ok bool) {
	switch tag := f.value.ShortTag(); {
	case tag == "!Ref" || tag == "!GetAtt":
		return r.logicalID(f)
	case f.value.Kind != yaml.MappingNode:
		text, ok = r.text(f)
		return "", text, ok
	}
	fields := r.mapping(f)
	if len(fields) != 1 {
		r.faultAt(f.value, f.path, "a mapping where a name is needed, an ARN, Ref or Fn::GetAtt")
		return "", "", false
	}
	switch sub := fields[0]; sub.key {
	case "Ref", "Fn::GetAtt":
		return r.logicalID(sub)
	case "Fn::Sub":
		text, ok = r.text(sub)
		return "", text, ok
	case "Fn::ImportValue", "Fn::Join", "Fn::Select", "Fn::If":
		r.faultAt(sub.at, sub.path, "not offered; write the name, or an ARN")
	default:
		r.unknown(sub, "function", words{offered: []string{"Ref", "Fn::GetAtt", "Fn::Sub"}})
	}
	return "", "", false
}

// logicalID reads Queue, Queue.Arn or [Queue, Arn].
func (r *reader) logicalID(f field) (logical, text string, ok bool) {
	if f.value.Kind == yaml.SequenceNode && len(f.value.Content) > 0 {
		f.value = follow(f.value.Content[0])
	}
	if f.value.Kind != yaml.ScalarNode || f.value.Value == "" {
		r.faultAt(f.value, f.path, "%s where a resource's logical id is needed", kindName(f.value))
		return "", "", false
	}
	logical, _, _ = strings.Cut(f.value.Value, ".")
	return logical, "", true
}

func (r *reader) logical(f field, id string) (resource, bool) {
	if found, ok := r.resources[id]; ok {
		return found, found.name != "" // else its fault is told already
	}
	var ids []string
	for id := range r.resources {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	r.faultAt(f.value, f.path, "there is no resource %q%s", clip(id), didYouMean(Nearest(id, ids)))
	return resource{}, false
}

// named reads NAME, which is of the first kind, KIND:NAME or an ARN.
func (r *reader) named(f field, text string, kinds []string) (resource, bool) {
	if strings.HasPrefix(text, "arn:") {
		return r.arn(f, text)
	}
	if prefix, name, ok := strings.Cut(text, ":"); ok {
		switch prefix {
		case kindQueue, kindTopic, kindFunction:
			return resource{prefix, name}, true
		}
		if kinds[0] != kindBucket {
			r.faultAt(f.value, f.path, "%q: it is a name, an ARN, %s:NAME", clip(text), strings.Join(kinds, ":NAME, "))
			return resource{}, false
		}
	}
	return resource{kinds[0], text}, true
}

// arn reads arn:PARTITION:SERVICE:REGION:ACCOUNT:NAME, of which only service and name mean something here.
func (r *reader) arn(f field, text string) (resource, bool) {
	const parts = 6
	part := strings.SplitN(text, ":", parts)
	if len(part) < parts {
		r.faultAt(f.value, f.path, "%q is no ARN, as in arn:aws:sqs:us-east-1:000000000000:orders", clip(text))
		return resource{}, false
	}
	name := part[5]
	switch part[2] {
	case "sqs":
		return resource{kindQueue, name}, true
	case "sns":
		return resource{kindTopic, name}, true
	case "s3":
		return resource{kindBucket, name}, true
	case "lambda":
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "function:"), ":") // a version may follow
		return resource{kindFunction, name}, true
	}
	r.faultAt(f.value, f.path, "%q is of %s; queues, topics, buckets and functions are offered", clip(text), clip(part[2]))
	return resource{}, false
}

// value reads text for an environment variable. A reference to a resource is its name.
func (r *reader) value(f field) (string, bool) {
	if f.value.Kind != yaml.MappingNode && !strings.HasPrefix(f.value.ShortTag(), "!!") || r.hasKey(f.value, "Ref") || r.hasKey(f.value, "Fn::GetAtt") {
		logical, text, ok := r.reference(f)
		if logical == "" || !ok {
			return text, ok
		}
		found, ok := r.logical(f, logical)
		return found.name, ok
	}
	return r.text(f)
}

// functionIDs makes the logical ids known that serverless gives functions: getUsers is GetUsersLambdaFunction.
func (r *reader) functionIDs(functions *yaml.Node) {
	for i := 0; i+1 < len(functions.Content); i += 2 {
		name := functions.Content[i].Value
		id := strings.NewReplacer("-", "Dash", "_", "Underscore").Replace(name)
		if id != "" {
			r.resources[strings.ToUpper(id[:1])+id[1:]+"LambdaFunction"] = resource{kindFunction, name}
		}
	}
}

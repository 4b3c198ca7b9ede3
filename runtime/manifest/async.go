package manifest

import (
	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/runtime/registry"
)

// asyncReader collects what a function's keys say of its asynchronous invocations.
type asyncReader struct {
	*reader
	async   registry.Async
	given   bool
	onError field // its value is nil when it is not given
}

// read reads one key of a function, and reports whether it is one of these.
func (a *asyncReader) read(f field) bool {
	switch f.key {
	case "maximumRetryAttempts":
		retries := a.number(f, 0, registry.MaxRetries, "retries")
		a.async.Retries = &retries
	case "maximumEventAge":
		a.async.MaxAgeSeconds = a.seconds(f, registry.MinMaxAgeSeconds, registry.MaxMaxAgeSeconds)
	case "destinations":
		for _, sub := range a.keys(f, destinationsWords()) {
			destination := a.destination(sub)
			if sub.key == "onSuccess" {
				a.async.OnSuccess = destination
			} else {
				a.async.OnFailure = destination
			}
		}
	case "onError":
		a.onError = f
	default:
		return false
	}
	a.given = true
	return true
}

// result answers what was read; nil when nothing was. What onError names is a destination of failures.
func (a *asyncReader) result() *registry.Async {
	if !a.given {
		return nil
	}
	if f := a.onError; f.value != nil {
		if a.async.OnFailure != "" {
			a.faultAt(f.at, f.path, "destinations.onFailure says already where failures go; keep one of them")
		} else if found, ok := a.target(f, kindQueue, kindTopic); ok {
			a.async.OnFailure = found.kind + ":" + found.name
		}
	}
	return &a.async
}

// destination reads a function's name, KIND:NAME, an ARN, a reference, or a mapping with type and arn.
func (a *asyncReader) destination(f field) string {
	kinds := []string{kindFunction, kindQueue, kindTopic}
	if f.value.Kind == yaml.MappingNode && a.hasKey(f.value, "arn") {
		for _, sub := range a.keys(f, destinationWords()) {
			switch sub.key {
			case "arn":
				f = sub
			case "type":
				switch a.choice(sub, "sqs", "sns", "function") {
				case "sqs":
					kinds = []string{kindQueue}
				case "sns":
					kinds = []string{kindTopic}
				case "function":
					kinds = []string{kindFunction}
				}
			}
		}
	}
	if found, ok := a.target(f, kinds...); ok {
		return found.kind + ":" + found.name
	}
	return ""
}

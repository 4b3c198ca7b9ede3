package registry

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

func TestValidateStream(t *testing.T) {
	for name, c := range map[string]struct {
		s    StreamSource
		want string
	}{
		"default": {StreamSource{}, ""},
		"largest": {StreamSource{Name: "n", Prefix: strings.Repeat("p", MaxPrefixBytes), BatchSize: MaxStreamBatch, WindowMS: MaxWindowMS,
			Parallel: MaxParallel, Retries: retries(MaxStreamRetries), MaxAgeSeconds: MaxStreamAgeSeconds, Start: StartLatest,
			Filters: strings2raw(MaxFilters), OnFailure: "queue:dead"}, ""},
		"for ever":    {StreamSource{Retries: retries(-1)}, ""},
		"name":        {StreamSource{Name: "a/b"}, `stream name "a/b"`},
		"prefix":      {StreamSource{Prefix: strings.Repeat("p", MaxPrefixBytes+1)}, "at most 256 bytes"},
		"prefix text": {StreamSource{Prefix: "\xff"}, "at most 256 bytes"},
		"batch":       {StreamSource{BatchSize: MaxStreamBatch + 1}, "batch size 10001"},
		"window":      {StreamSource{WindowMS: MaxWindowMS + 1}, "window in ms 300001"},
		"parallel":    {StreamSource{Parallel: MaxParallel + 1}, "parallel batches 11"},
		"retries":     {StreamSource{Retries: retries(-2)}, "retries -2"},
		"more":        {StreamSource{Retries: retries(MaxStreamRetries + 1)}, "retries 10001"},
		"age":         {StreamSource{MaxAgeSeconds: 59}, "age in seconds 59"},
		"older":       {StreamSource{MaxAgeSeconds: MaxStreamAgeSeconds + 1}, "age in seconds 604801"},
		"start":       {StreamSource{Start: "now"}, "it is trim_horizon or latest"},
		"filters":     {StreamSource{Filters: strings2raw(MaxFilters + 1)}, "number of filters 11"},
		"filter":      {StreamSource{Filters: []json.RawMessage{raw("[]")}}, "is no JSON object"},
		"destination": {StreamSource{OnFailure: "dead"}, "it is queue:NAME"},
	} {
		err := (Settings{Triggers: []Trigger{{Stream: &c.s}}}).Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || abi.CodeOf(err) != abi.InvalidInput) {
			t.Errorf("%s: Validate() = %v, want %q", name, err, c.want)
		}
	}
	twice := Settings{Triggers: []Trigger{{Stream: &StreamSource{Prefix: "a"}}, {Stream: &StreamSource{Prefix: "a", BatchSize: 5}}}}
	if err := twice.Validate(); err == nil || !strings.Contains(err.Error(), "stream =a: given twice") {
		t.Errorf("twice: %v", err)
	}
}

func TestCompleteStream(t *testing.T) {
	given := Settings{Triggers: []Trigger{{Stream: &StreamSource{Prefix: "a", Retries: retries(-1), Filters: []json.RawMessage{raw(`{"a": [1]}`)}}}}}
	want := StreamSource{Prefix: "a", BatchSize: DefaultStreamBatch, Parallel: 1, Start: StartTrimHorizon, Filters: []json.RawMessage{raw(`{"a":[1]}`)}}
	if got := *given.Complete().Triggers[0].Stream; !reflect.DeepEqual(got, want) {
		t.Errorf("Complete() = %+v, want %+v", got, want)
	}
}

package registry

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func retries(n int) *int { return &n }

func TestValidateTriggers(t *testing.T) {
	schedule := func(s Schedule) Settings {
		if s.Expressions == nil {
			s.Expressions = []string{"rate(1 hour)"}
		}
		return Settings{Triggers: []Trigger{{Schedule: &s}}}
	}
	queue := func(q QueueSource) Settings { return Settings{Triggers: []Trigger{{Queue: &q}}} }
	topic := func(s TopicSource) Settings { return Settings{Triggers: []Trigger{{Topic: &s}}} }
	rule := func(e EventSource) Settings { return Settings{Triggers: []Trigger{{Event: &e}}} }
	upload := func(u ...UploadSource) (s Settings) {
		for _, u := range u {
			s.Triggers = append(s.Triggers, Trigger{Upload: &u})
		}
		return s
	}
	paths := map[string]string{}
	for i := range MaxInputPaths + 1 {
		paths["p"+strings.Repeat("x", i)] = "$"
	}
	route := func(r Route) Settings {
		r.Pattern = "/a"
		return Settings{Routes: []Route{r}}
	}
	many := make([]Trigger, MaxTriggers+1)
	long := raw(`"` + strings.Repeat("x", MaxDocumentsBytes) + `"`)
	for name, c := range map[string]struct {
		s    Settings
		want string // part of the only fault; empty: none
	}{
		"schedule":                {schedule(Schedule{Name: "night", Input: raw(`{"a": 1}`), Timezone: "Europe/Berlin", Missed: MissedOnce}), ""},
		"schedule twice unnamed":  {Settings{Triggers: []Trigger{schedule(Schedule{}).Triggers[0], schedule(Schedule{}).Triggers[0]}}, ""},
		"schedule twice":          {Settings{Triggers: []Trigger{schedule(Schedule{Name: "a"}).Triggers[0], schedule(Schedule{Name: "a"}).Triggers[0]}}, "schedule a: given twice"},
		"schedule name":           {schedule(Schedule{Name: "a b"}), `schedule name "a b"`},
		"schedule number":         {schedule(Schedule{Name: "12"}), "reads as a schedule's number"},
		"schedule at":             {schedule(Schedule{Expressions: []string{"at(2030-01-01)"}}), "it is rate(...) or cron(...)"},
		"schedule none":           {schedule(Schedule{Expressions: []string{}}), "0 expressions; 1 to 10"},
		"schedule many":           {schedule(Schedule{Expressions: strings.Split(strings.Repeat("rate(1 hour),", MaxExpressions)+"cron(x)", ",")}), "11 expressions"},
		"schedule long":           {schedule(Schedule{Expressions: []string{"cron(" + strings.Repeat(" ", MaxExpressionBytes) + ")"}}), "it is rate"},
		"schedule input":          {schedule(Schedule{Input: raw("{")}), "input is no JSON"},
		"schedule both":           {schedule(Schedule{Input: raw("1"), InputPath: "$.a"}), "both input and input path"},
		"schedule path":           {schedule(Schedule{InputPath: "detail"}), "is no path such as"},
		"schedule zone":           {schedule(Schedule{Timezone: "a\nb"}), "timezone"},
		"schedule missed":         {schedule(Schedule{Missed: "all"}), "it is skip or once"},
		"input too large":         {schedule(Schedule{Input: long}), "documents: "},
		"upload":                  {upload(UploadSource{Bucket: "my.pics", Event: "s3:ObjectRemoved:Delete", Prefix: "a\tb", Suffix: ".png", Existing: true}), ""},
		"uploads":                 {upload(UploadSource{Bucket: "pics"}, UploadSource{Bucket: "pics", Prefix: "a"}, UploadSource{Bucket: "pics", Event: UploadRemoved}), ""},
		"upload twice":            {upload(UploadSource{Bucket: "pics"}, UploadSource{Bucket: "pics", Event: UploadCreated}), "upload pics s3:ObjectCreated:*: given twice"},
		"upload bucket":           {upload(UploadSource{Bucket: "Pics"}), `upload: bucket "Pics" is not 3 to 63`},
		"upload event":            {upload(UploadSource{Bucket: "pics", Event: "s3:ObjectTagging:*"}), `event "s3:ObjectTagging:*"; it is one of s3:ObjectCreated:*, `},
		"upload prefix":           {upload(UploadSource{Bucket: "pics", Prefix: strings.Repeat("x", 1025)}), "is no part of a key, which has at most 1024 bytes"},
		"upload suffix":           {upload(UploadSource{Bucket: "pics", Suffix: "\xff"}), `suffix "\xff" is no part of a key`},
		"upload zero":             {upload(UploadSource{Bucket: "pics", Prefix: "a\x00"}), "is no part of a key"},
		"queue":                   {queue(QueueSource{Queue: "Orders_1.fifo", BatchSize: MaxBatch, WindowMS: MaxWindowMS, Concurrency: MaxBatches, Filters: []json.RawMessage{raw("{}")}}), ""},
		"queue name":              {queue(QueueSource{Queue: "a.b"}), `queue name "a.b"`},
		"queue name long":         {queue(QueueSource{Queue: strings.Repeat("a", MaxQueueNameBytes+1)}), "queue name"},
		"queue suffix alone":      {queue(QueueSource{Queue: ".fifo"}), "queue name"},
		"queue batch":             {queue(QueueSource{Queue: "a", BatchSize: MaxBatch + 1}), "batch size 10001; it is between"},
		"queue window":            {queue(QueueSource{Queue: "a", WindowMS: MaxWindowMS + 1}), "window in ms 300001"},
		"queue concurrency":       {queue(QueueSource{Queue: "a", Concurrency: -1}), "concurrency -1"},
		"queue filters":           {queue(QueueSource{Queue: "a", Filters: strings2raw(MaxFilters + 1)}), "number of filters 11"},
		"queue filter":            {queue(QueueSource{Queue: "a", Filters: []json.RawMessage{raw("null")}}), "is no JSON object"},
		"queue twice":             {Settings{Triggers: []Trigger{{Queue: &QueueSource{Queue: "a"}}, {Queue: &QueueSource{Queue: "a"}}}}, "queue a: given twice"},
		"topic":                   {topic(TopicSource{Topic: "a", Filter: raw("{}"), FilterScope: FilterBody, DeadLetter: "dead"}), ""},
		"topic name":              {topic(TopicSource{}), `topic name ""`},
		"topic filter":            {topic(TopicSource{Topic: "a", Filter: raw("[]")}), "is no JSON object"},
		"topic scope":             {topic(TopicSource{Topic: "a", FilterScope: "all"}), "filter scope"},
		"topic dead letter":       {topic(TopicSource{Topic: "a", DeadLetter: "a b"}), "dead letters: queue name"},
		"rule":                    {rule(EventSource{Name: "big", Pattern: raw("{}"), Input: raw("1"), DeadLetter: "dead"}), ""},
		"rule name":               {rule(EventSource{Name: "a b", Pattern: raw("{}")}), "rule name"},
		"rule number":             {rule(EventSource{Name: "12", Pattern: raw("{}")}), "reads as a rule's number"},
		"rule pattern":            {rule(EventSource{}), "is no JSON object"},
		"rule inputs":             {rule(EventSource{Pattern: raw("{}"), Input: raw("1"), InputPath: "$"}), "has several of input"},
		"rule input":              {rule(EventSource{Pattern: raw("{}"), Input: raw("{")}), "input is no JSON"},
		"rule path":               {rule(EventSource{Pattern: raw("{}"), InputPath: "detail"}), "is no path"},
		"rule template":           {rule(EventSource{Pattern: raw("{}"), Transformer: &InputTransformer{}}), "template of 0 bytes"},
		"rule long template":      {rule(EventSource{Pattern: raw("{}"), Transformer: &InputTransformer{Template: strings.Repeat("x", MaxTemplateBytes+1)}}), "template of 8193 bytes"},
		"rule path name":          {rule(EventSource{Pattern: raw("{}"), Transformer: &InputTransformer{Template: "1", Paths: map[string]string{"a b": "$"}}}), "input path name"},
		"rule transformer path":   {rule(EventSource{Pattern: raw("{}"), Transformer: &InputTransformer{Template: "1", Paths: map[string]string{"a": "b"}}}), "is no path"},
		"rule paths":              {rule(EventSource{Pattern: raw("{}"), Transformer: &InputTransformer{Template: "1", Paths: paths}}), "101 input paths"},
		"rule dead letter":        {rule(EventSource{Pattern: raw("{}"), DeadLetter: "a b"}), "dead letters: queue name"},
		"rules of one name":       {Settings{Triggers: append(rule(EventSource{Name: "a", Pattern: raw("{}")}).Triggers, rule(EventSource{Name: "a", Pattern: raw("{}")}).Triggers...)}, "rule a: given twice"},
		"no source":               {Settings{Triggers: []Trigger{{}}}, "trigger 1: has 0 sources"},
		"two sources":             {Settings{Triggers: []Trigger{{Queue: &QueueSource{}, Topic: &TopicSource{}}}}, "has 2 sources"},
		"too many":                {Settings{Triggers: many}, "triggers: 51; at most 50"},
		"async":                   {Settings{Async: &Async{Retries: retries(0), MaxAgeSeconds: 60, OnSuccess: "function:getUsers", OnFailure: "queue:dead"}}, ""},
		"async retries":           {Settings{Async: &Async{Retries: retries(3)}}, "3 retries; 0 to 2"},
		"async age":               {Settings{Async: &Async{MaxAgeSeconds: 59}}, "age of 59 s"},
		"async age above":         {Settings{Async: &Async{MaxAgeSeconds: 21_601}}, "age of 21601 s"},
		"async destination":       {Settings{Async: &Async{OnFailure: "bus:x"}}, "it is queue:NAME"},
		"async destination name":  {Settings{Async: &Async{OnSuccess: "topic:"}}, `topic name ""`},
		"egress":                  {Settings{Egress: []string{"api.example.com", "*.example.com", "api.example.com:8443", "10.0.0.0/8", "10.1.2.3:80", "fd00::1", "[fd00::1]:80", "localhost"}}, ""},
		"egress scheme":           {Settings{Egress: []string{"https://example.com"}}, "it is a host such as"},
		"egress upper case":       {Settings{Egress: []string{"Example.com"}}, "in lower case"},
		"egress star":             {Settings{Egress: []string{"a.*.com"}}, "egress"},
		"egress port":             {Settings{Egress: []string{"a.com:0"}}, "egress"},
		"egress numbers":          {Settings{Egress: []string{"10.1.2"}}, "egress"},
		"egress many":             {Settings{Egress: make([]string, 0, 1)}, ""},
		"cors":                    {route(Route{Cors: &Cors{Origins: []string{"https://shop.example:8443", "null", "capacitor://localhost"}, Headers: []string{"*", "X-A"}, Credentials: true, MaxAgeSeconds: MaxCorsSeconds}}), ""},
		"cors no origin":          {route(Route{Cors: &Cors{}}), "cors: no origins"},
		"cors origin":             {route(Route{Cors: &Cors{Origins: []string{"shop.example"}}}), `origins: "shop.example" is none`},
		"cors header":             {route(Route{Cors: &Cors{Origins: []string{"*"}, Headers: []string{"a\r\nb"}}}), "headers: "},
		"cors credentials":        {route(Route{Cors: &Cors{Origins: []string{"*"}, Credentials: true}}), "browsers refuse that"},
		"cors age":                {route(Route{Cors: &Cors{Origins: []string{"*"}, MaxAgeSeconds: MaxCorsSeconds + 1}}), "age 86401 s"},
		"schema":                  {route(Route{Schemas: map[string]json.RawMessage{"application/json": raw(`{"type":"object","$schema":"http://json-schema.org/draft-04/schema#"}`)}}), ""},
		"schema broken":           {route(Route{Schemas: map[string]json.RawMessage{"application/json": raw(`{"type":"thing"}`)}}), "compile schema"},
		"schema elsewhere":        {route(Route{Schemas: map[string]json.RawMessage{"application/json": raw(`{"$ref":"file:///etc/passwd"}`)}}), "is elsewhere"},
		"schema of no media type": {route(Route{Schemas: map[string]json.RawMessage{"json": raw(`{}`)}}), "which is no media type"},
		"schema too large":        {route(Route{Schemas: map[string]json.RawMessage{"a/b": raw(`{"title":"` + strings.Repeat("x", MaxSchemaBytes) + `"}`)}}), "at most 32768 are allowed"},
	} {
		err := c.s.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: Validate() = %v, want none", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || abi.CodeOf(err) != abi.InvalidInput):
			t.Errorf("%s: Validate() = %v, want %q in it, coded %s", name, err, c.want, abi.InvalidInput)
		}
	}
	if err := (Settings{Egress: strings.Split(strings.Repeat("a,", MaxEgress*2), ",")}).Validate(); err == nil {
		t.Error("Validate of an empty host: no error")
	}
}

func strings2raw(n int) (out []json.RawMessage) {
	for range n {
		out = append(out, raw("{}"))
	}
	return out
}

// TestEgressLimit: hosts are counted after those given twice are gone.
func TestEgressLimit(t *testing.T) {
	var hosts []string
	for i := range MaxEgress + 1 {
		hosts = append(hosts, strings.Repeat("a", i%60+1)+strings.Repeat(".b", i/60+1))
	}
	if err := (Settings{Egress: hosts}).Validate(); err == nil || !strings.Contains(err.Error(), "egress: 101 hosts") {
		t.Errorf("Validate = %v, want too many hosts", err)
	}
	if err := (Settings{Egress: append(hosts[:MaxEgress:MaxEgress], hosts[0])}).Validate(); err != nil {
		t.Errorf("Validate = %v, want none", err)
	}
}

func TestCompleteTriggers(t *testing.T) {
	given := Settings{
		Routes: []Route{{Pattern: "/a", Cors: &Cors{Origins: []string{"*"}}, Schemas: map[string]json.RawMessage{"a/b": raw(`{ "b":1, "a":2 }`)}}},
		Triggers: []Trigger{{Schedule: &Schedule{Expressions: []string{"rate(1 day)"}, Input: raw(`{"b": 1.50, "a": [ ]}`)}},
			{Queue: &QueueSource{Queue: "q"}}, {Topic: &TopicSource{Topic: "t", Filter: raw(`{"a": ["b"]}`)}},
			{Event: &EventSource{Pattern: raw(`{"a": ["b"]}`), Transformer: &InputTransformer{Template: "<x>", Paths: map[string]string{"x": "$.x"}}}}},
		Async:  &Async{Retries: retries(1)},
		Egress: []string{"b", "a", "b"},
	}
	got := given.Complete()
	given.Routes[0].Cors.Origins[0], given.Triggers[0].Schedule.Expressions[0], *given.Async.Retries = "x", "x", 2
	want := Settings{
		MemoryMB: 128, TimeoutMS: 30_000,
		Routes: []Route{{Pattern: "/a", Cors: &Cors{Origins: []string{"*"}}, Schemas: map[string]json.RawMessage{"a/b": raw(`{"a":2,"b":1}`)}}},
		Triggers: []Trigger{{Schedule: &Schedule{Expressions: []string{"rate(1 day)"}, Input: raw(`{"a":[],"b":1.50}`), Missed: MissedSkip}},
			{Queue: &QueueSource{Queue: "q", BatchSize: DefaultBatch}},
			{Topic: &TopicSource{Topic: "t", Filter: raw(`{"a":["b"]}`), FilterScope: FilterAttributes}},
			{Event: &EventSource{Pattern: raw(`{"a":["b"]}`), Transformer: &InputTransformer{Template: "<x>", Paths: map[string]string{"x": "$.x"}}}}},
		Async:  &Async{Retries: retries(1), MaxAgeSeconds: MaxMaxAgeSeconds},
		Egress: []string{"a", "b"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Complete() = %+v, want %+v", got, want)
	}
	if !reflect.DeepEqual(got.Complete(), got) || !got.Equal(want) || got.Equal(given) {
		t.Error("Complete of what is complete changes it, or Equal does not compare")
	}
	text, err := json.Marshal(got)
	var read Settings
	if err != nil || json.Unmarshal(text, &read) != nil || !read.Equal(got) {
		t.Errorf("settings read back = %+v, want %+v", read, got)
	}
	if s := (Settings{Async: &Async{Retries: retries(2), MaxAgeSeconds: MaxMaxAgeSeconds}}).Complete(); s.Async != nil {
		t.Errorf("Complete().Async = %+v, want nil for every default", s.Async)
	}
}

func TestValidateQueue(t *testing.T) {
	for name, c := range map[string]struct {
		q    Queue
		want string
	}{
		"default":      {Queue{Name: "orders"}, ""},
		"fifo":         {Queue{Name: "orders.fifo", FIFO: true, ContentDedup: true, DeadLetter: "dead.fifo", MaxReceives: 3}, ""},
		"largest":      {Queue{Name: "a", VisibilitySeconds: MaxVisibilitySeconds, DelaySeconds: MaxDelaySeconds, RetentionSeconds: MaxRetentionSeconds, WaitSeconds: MaxWaitSeconds, MaxBytes: MaxMessageBytes, DeadLetter: "b", MaxReceives: MaxReceives}, ""},
		"smallest":     {Queue{Name: "a", VisibilitySeconds: 1, RetentionSeconds: MinRetentionSeconds, MaxBytes: MinMessageBytes}, ""},
		"visibility":   {Queue{Name: "a", VisibilitySeconds: MaxVisibilitySeconds + 1}, "visibility timeout in seconds: 43201"},
		"delay":        {Queue{Name: "a", DelaySeconds: MaxDelaySeconds + 1}, "delay in seconds: 901"},
		"retention":    {Queue{Name: "a", RetentionSeconds: 59}, "retention in seconds: 59"},
		"wait":         {Queue{Name: "a", WaitSeconds: 21}, "wait in seconds: 21"},
		"bytes":        {Queue{Name: "a", MaxBytes: MaxMessageBytes + 1}, "largest message in bytes: 262145"},
		"name":         {Queue{Name: "a b"}, "queue name"},
		"not fifo":     {Queue{Name: "a.fifo"}, "a FIFO queue's name ends in .fifo"},
		"no suffix":    {Queue{Name: "a", FIFO: true}, "a FIFO queue's name ends in .fifo"},
		"dedup":        {Queue{Name: "a", ContentDedup: true}, "for FIFO queues only"},
		"no dead":      {Queue{Name: "a", MaxReceives: 3}, "needs a dead-letter queue"},
		"itself":       {Queue{Name: "a", DeadLetter: "a", MaxReceives: 3}, "is the queue itself"},
		"mixed":        {Queue{Name: "a", DeadLetter: "b.fifo", MaxReceives: 3}, "FIFO like the queue itself"},
		"receives":     {Queue{Name: "a", DeadLetter: "b"}, ""},
		"dead letter":  {Queue{Name: "a", DeadLetter: "b c", MaxReceives: 1}, "dead-letter queue: queue name"},
		"all at once":  {Queue{Name: "", DelaySeconds: -1}, "queue name"},
		"too receives": {Queue{Name: "a", DeadLetter: "b", MaxReceives: MaxReceives + 1}, "most receives: 1001"},
	} {
		err := c.q.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || abi.CodeOf(err) != abi.InvalidInput) {
			t.Errorf("%s: Validate() = %v, want %q", name, err, c.want)
		}
	}
	if err := (Topic{Name: "a.b"}).Validate(); err == nil || (Topic{Name: "orders"}).Validate() != nil {
		t.Errorf("topic: Validate = %v", err)
	}
}

// FuzzSettings: whatever settings a node is sent, Validate and Complete do not panic, and completing is done once.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"routes":[{"pattern":"/a","cors":{"origins":["*"]},"schemas":{"application/json":{"$ref":"#"}}}]}`))
	f.Add([]byte(`{"triggers":[{"schedule":{"expressions":["rate(1 hour)"],"input":{"a":1e400}}},{"queue":{"queue":"a","filters":[{}]}}]}`))
	f.Add([]byte(`{"async":{"retries":1,"on_failure":"queue:a"},"egress":["[::1]:80","*.a"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Settings
		if json.Unmarshal(data, &s) != nil {
			return
		}
		if err := s.Validate(); err != nil {
			return
		}
		if c := s.Complete(); !c.Equal(s) || !reflect.DeepEqual(c.Complete(), c) {
			t.Errorf("Complete of %s is not done once: %+v", data, c)
		}
	})
}

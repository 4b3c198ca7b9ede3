package trigger

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

func TestFilterMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{`{"a":["x"]}`, `{"a":"x","b":1}`, true},
		{`{"a":["x","y"]}`, `{"a":"y"}`, true},
		{`{"a":["x"]}`, `{"a":"X"}`, false},
		{`{"a":["x"]}`, `{"b":"x"}`, false},
		{`{"a":["x"],"b":[1]}`, `{"a":"x","b":2}`, false},
		{`{"a":[5]}`, `{"a":5.0}`, true},
		{`{"a":[1047385629384756293]}`, `{"a":1047385629384756293}`, true},
		{`{"a":[1047385629384756293]}`, `{"a":1047385629384756294}`, false},
		{`{"a":[1047385629384756293]}`, `{"a":1.047385629384756293e18}`, true},
		{`{"a":[0]}`, `{"a":-0}`, true},
		{`{"a":[{"anything-but":1047385629384756293}]}`, `{"a":1047385629384756294}`, true},
		{`{"a":[{"numeric":["=",9007199254740993]}]}`, `{"a":9007199254740992}`, false},
		{`{"a":[{"numeric":[">",9007199254740992]}]}`, `{"a":9007199254740993}`, true},
		{`{"a":[{"numeric":["<=",-9007199254740993]}]}`, `{"a":-9007199254740992}`, false},
		{`{"a":[5]}`, `{"a":"5"}`, false},
		{`{"a":[true]}`, `{"a":true}`, true},
		{`{"a":[true]}`, `{"a":false}`, false},
		{`{"a":[null]}`, `{"a":null}`, true},
		{`{"a":[null]}`, `{}`, false},
		{`{"a":["x"]}`, `{"a":{"x":1}}`, false},
		{`{"a":{"b":["x"]}}`, `{"a":{"b":"x"}}`, true},
		{`{"a":{"b":["x"]}}`, `{"a":"x"}`, false},
		{`{"a":{"b":["x"]}}`, `{}`, false},
		{`{"a":["x"]}`, `{"a":["z","x"]}`, true},
		{`{"a":["x"]}`, `{"a":[]}`, false},
		{`{"a":{"b":[1],"c":[2]}}`, `{"a":[{"b":1,"c":2}]}`, true},
		{`{"a":{"b":[1],"c":[2]}}`, `{"a":[{"b":1,"c":3},{"b":4,"c":2}]}`, false}, // of one element
		{`{"a":[{"prefix":"ab"}]}`, `{"a":"abc"}`, true},
		{`{"a":[{"prefix":"ab"}]}`, `{"a":"a"}`, false},
		{`{"a":[{"prefix":"ab"}]}`, `{"a":5}`, false},
		{`{"a":[{"prefix":{"equals-ignore-case":"AB"}}]}`, `{"a":"abc"}`, true},
		{`{"a":[{"suffix":".png"}]}`, `{"a":"x.png"}`, true},
		{`{"a":[{"suffix":".png"}]}`, `{"a":"x.PNG"}`, false},
		{`{"a":[{"suffix":{"equals-ignore-case":".png"}}]}`, `{"a":"x.PNG"}`, true},
		{`{"a":[{"equals-ignore-case":"Alice"}]}`, `{"a":"aLICE"}`, true},
		{`{"a":[{"equals-ignore-case":"Alice"}]}`, `{"a":"Bob"}`, false},
		{`{"a":[{"anything-but":"x"}]}`, `{"a":"y"}`, true},
		{`{"a":[{"anything-but":"x"}]}`, `{"a":"x"}`, false},
		{`{"a":[{"anything-but":"x"}]}`, `{}`, false},
		{`{"a":[{"anything-but":["x",5]}]}`, `{"a":5}`, false},
		{`{"a":[{"anything-but":["x",5]}]}`, `{"a":6}`, true},
		{`{"a":[{"anything-but":{"prefix":"in"}}]}`, `{"a":"init"}`, false},
		{`{"a":[{"anything-but":{"prefix":"in"}}]}`, `{"a":"out"}`, true},
		{`{"a":[{"anything-but":{"suffix":["a","b"]}}]}`, `{"a":"xb"}`, false},
		{`{"a":[{"anything-but":{"equals-ignore-case":["x"]}}]}`, `{"a":"X"}`, false},
		{`{"a":[{"numeric":["=",5]}]}`, `{"a":5}`, true},
		{`{"a":[{"numeric":[">",0,"<=",5]}]}`, `{"a":5}`, true},
		{`{"a":[{"numeric":[">",0,"<=",5]}]}`, `{"a":0}`, false},
		{`{"a":[{"numeric":["<",1e3]}]}`, `{"a":-7.5}`, true},
		{`{"a":[{"numeric":[">=",1]}]}`, `{"a":"2"}`, false},
		{`{"a":[{"exists":true}]}`, `{"a":null}`, true},
		{`{"a":[{"exists":true}]}`, `{}`, false},
		{`{"a":[{"exists":false}]}`, `{"b":1}`, true},
		{`{"a":[{"exists":false}]}`, `{"a":1}`, false},
		{`{"a":{"b":[{"exists":false}]}}`, `{}`, true},
		{`{"a":["x",{"exists":false}]}`, `{}`, true},
		{`{"$or":[{"a":["x"]},{"b":[1]}]}`, `{"b":1}`, true},
		{`{"$or":[{"a":["x"]},{"b":[1]}]}`, `{"a":"y","b":2}`, false},
		{`{"c":[1],"$or":[{"a":["x"]},{"b":[1]}]}`, `{"a":"x","c":2}`, false},
		{`{"d":{"$or":[{"a":["x"]},{"b":[{"numeric":[">",1]}]}]}}`, `{"d":{"b":2}}`, true},
		{`{"$or":["x"]}`, `{"$or":"x"}`, true}, // a field that is called so
		{`{"a":["x"]}`, `"x"`, false},
		{`{"a":["x"]}`, `no json`, false},
		{`{"a":["x"]}`, `{"a":"x"} more`, false},
	} {
		f, err := ParseFilter([]byte(c.pattern))
		if err != nil {
			t.Errorf("ParseFilter(%s): %v", c.pattern, err)
			continue
		}
		if got := f.Match([]byte(c.value)); got != c.want {
			t.Errorf("Match of %s on %s = %v, want %v", c.pattern, c.value, got, c.want)
		}
	}
}

func TestFilterFaults(t *testing.T) {
	for pattern, want := range map[string]string{
		``:                                   "no JSON",
		`{"a":["x"]} {}`:                     "something follows",
		`["x"]`:                              "it is a JSON object",
		`{}`:                                 "names no field",
		`{"a":{}}`:                           "a: names no field",
		`{"a":"x"}`:                          "a: it is an array",
		`{"a":[]}`:                           "a: the array is empty",
		`{"a":{"b":[[1]]}}`:                  "a.b[0]: an array in an array",
		`{"a":[1,{"prefix":"x","b":1}]}`:     "a[1]: a condition has one key; this has 2",
		`{"a":[{"prefex":"x"}]}`:             `a[0]: "prefex": no such condition`,
		`{"a":[{"wildcard":"x**"}]}`:         `a[0]: "wildcard": two * in a row`,
		`{"a":{"b":[1,{"wildcard":"\\x"}]}}`: `a.b[1]: "wildcard": a \ stands only before`,
		`{"a":[{"wildcard":"x\\"}]}`:         "a \\ stands only before",
		`{"a":[{"wildcard":7}]}`:             "followed by text",
		`{"a":[{"cidr":"10.0.0.0/33"}]}`:     `a[0]: "cidr": it is a range`,
		`{"a":[{"cidr":"host"}]}`:            "it is a range",
		`{"a":[{"cidr":["10.0.0.0/8"]}]}`:    "followed by text",
		`{"a":[{"equals-ignore-case":{"prefix":"x"}}]}`:             "followed by text",
		`{"a":[{"equals-ignore-case":{"equals-ignore-case":"x"}}]}`: "followed by text",
		`{"a":[{"prefix":{"suffix":"x"}}]}`:                         "followed by text",
		`{"a":[{"anything-but":{"prefix":""}}]}`:                    "nothing would match",
		`{"a":[{"anything-but":{"suffix":["x",""]}}]}`:              "nothing would match",
		`{"a":[{"anything-but":{"wildcard":"**"}}]}`:                `a[0]: "anything-but": wildcard: two *`,
		`{"a":[{"anything-but":[null]}]}`:                           "it is followed by text, a number",
		`{"a":[{"anything-but":{"prefix":"x","suffix":"y"}}]}`:      "it is followed by text, a number",
		`{"a":[{"anything-but":{"exists":true}}]}`:                  "only prefix, suffix",
		`{"a":[{}]}`:            "a condition has one key; this has 0",
		`{"a":[{"b":["x"]}]}`:   `a[0]: "b": no such condition`,
		`{"$or":[{"a":["x"]}]}`: `$or[0]: "a": no such condition`,
		`{"d":{"$or":[{"a":["x"]},{"b":[{"numeric":[">","1"]}]}]}}`: `d.$or[1].b[0]: "numeric": a comparison`,
		`{"a":[{"numeric":["=",1,"<",5]}]}`:                         "lower bound first",
		`{"a":[{"numeric":[">",1,"<"]}]}`:                           "followed by an array",
		`{"a":[{"numeric":[]}]}`:                                    "followed by an array",
		`{"a":null}`:                                                "a: it is an array",
		`{"a":true}`:                                                "a: it is an array",
		`{"a":[{"prefix":5}]}`:                                      "it is followed by text",
		`{"a":[{"exists":"yes"}]}`:                                  "true or false",
		`{"a":[{"numeric":5}]}`:                                     "followed by an array",
		`{"a":[{"numeric":["!",5]}]}`:                               "a comparison is",
		`{"a":[{"numeric":["=","5"]}]}`:                             "a comparison is",
		`{"a":[{"numeric":["<",5,">",0]}]}`:                         "lower bound first",
		`{"a":[{"numeric":[">",5,"<",5]}]}`:                         "lower bound first",
		`{"a":[{"anything-but":[]}]}`:                               "the array is empty",
		`{"a":[{"anything-but":true}]}`:                             "it is followed by text, a number",
		`{"a":[{"anything-but":{"numeric":["=",1]}}]}`:              "only prefix, suffix, equals-ignore-case and wildcard",
		`{"$or":[{"a":["x"]},{}]}`:                                  "$or[1]: names no field",
		strings.Repeat(`{"a":`, MaxFilterDepth+1) + `["x"]` + strings.Repeat(`}`, MaxFilterDepth+1): "objects deep",
		`{"a":[` + strings.Repeat("1,", MaxFilterTests) + `1]}`:                                     "over 1000 values",
		`{"a":[{"anything-but":[` + strings.Repeat("1,", MaxFilterTests) + `1]}]}`:                  "over 1000 values",
		`{"a":["` + strings.Repeat("x", registry.MaxDocumentsBytes) + `"]}`:                         "at most 131072",
	} {
		_, err := ParseFilter([]byte(pattern))
		if err == nil || !strings.Contains(err.Error(), want) || abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("ParseFilter(%.80s) = %v, want an invalid input with %q", pattern, err, want)
		}
	}
	if _, err := ParseFilter([]byte(strings.Repeat(`{"a":`, MaxFilterDepth) + `["x"]` + strings.Repeat(`}`, MaxFilterDepth))); err != nil {
		t.Errorf("the deepest: %v", err)
	}
}

func TestFilterOfMessages(t *testing.T) {
	m := op.Message{ID: "m1", Body: []byte(`{"kind":"order","total":12}`), Group: "g", Attributes: []op.Attribute{
		{Name: "store", Type: "String", Value: []byte("berlin")}, {Name: "price", Type: "Number", Value: []byte("9.5")},
		{Name: "tags", Type: "String.Array", Value: []byte(`["new","red"]`)}, {Name: "raw", Type: "Binary", Value: []byte{1}},
	}}
	text := op.Message{Body: []byte("hello")}
	for _, c := range []struct {
		pattern string
		match   func(f *Filter) bool
		want    bool
	}{
		{`{"body":{"kind":["order"],"total":[{"numeric":[">",10]}]}}`, func(f *Filter) bool { return f.matchesQueue(m) }, true},
		{`{"body":{"kind":["other"]}}`, func(f *Filter) bool { return f.matchesQueue(m) }, false},
		{`{"body":{"kind":["order"]}}`, func(f *Filter) bool { return f.matchesQueue(text) }, false},
		{`{"body":[{"prefix":"he"}]}`, func(f *Filter) bool { return f.matchesQueue(text) }, true},
		{`{"body":[{"prefix":"he"}]}`, func(f *Filter) bool { return f.matchesQueue(m) }, false},
		{`{"messageAttributes":{"store":{"stringValue":["berlin"]}}}`, func(f *Filter) bool { return f.matchesQueue(m) }, true},
		{`{"store":["berlin"],"price":[{"numeric":["<",10]}]}`, func(f *Filter) bool { return f.matchesTopic(m, "") }, true},
		{`{"tags":["red"]}`, func(f *Filter) bool { return f.matchesTopic(m, registry.FilterAttributes) }, true},
		{`{"tags":["blue"]}`, func(f *Filter) bool { return f.matchesTopic(m, registry.FilterAttributes) }, false},
		{`{"raw":[{"exists":true}]}`, func(f *Filter) bool { return f.matchesTopic(m, "") }, false},
		{`{"kind":["order"]}`, func(f *Filter) bool { return f.matchesTopic(m, registry.FilterBody) }, true},
		{`{"kind":["order"]}`, func(f *Filter) bool { return f.matchesTopic(m, "") }, false},
	} {
		f, err := ParseFilter([]byte(c.pattern))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.match(f); got != c.want {
			t.Errorf("%s = %v, want %v", c.pattern, got, c.want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(`{"a":[{"anything-but":{"prefix":["x"]}},{"numeric":[">",0,"<",5]}],"$or":[{"b":[1]},{"c":[{"exists":false}]}]}`, `{"a":["y",3],"b":1}`)
	f.Add(`{"a":{"b":[null,true,{"equals-ignore-case":"ß"},{"suffix":{"equals-ignore-case":"ẞ"}}]}}`, `{"a":[{"b":"SS"},[{"b":[[]]}]]}`)
	f.Add(`{"a":[{"wildcard":"x*\\\\*y*"},{"cidr":"::/0"}],"b":{"c":[{"exists":false}],"$or":[{"d":[1]},{"e":[{"anything-but":{"wildcard":["*"]}}]}]}}`, `{"a":["x*y","::1"],"b":[{"c":{}},[{"d":1}]]}`)
	f.Fuzz(func(t *testing.T, pattern, value string) {
		filter, err := ParseFilter([]byte(pattern))
		if err != nil {
			return
		}
		first := filter.Match([]byte(value))
		again, err := ParseFilter([]byte(pattern))
		if err != nil || again.Match([]byte(value)) != first {
			t.Fatalf("%s on %s: %v, then not; %v", pattern, value, first, err)
		}
		m := op.Message{Body: []byte(value), Attributes: []op.Attribute{{Name: "a", Type: "Number", Value: []byte(value)}, {Name: "b", Type: "String.Array", Value: []byte(value)}}}
		filter.matchesQueue(m)
		filter.matchesTopic(m, registry.FilterAttributes)
	})
}

func TestPath(t *testing.T) {
	event := []byte(`{"detail-type":"Scheduled Event","detail":{"a":[1,{"b c":true}]},"time":"now"}`)
	for text, want := range map[string]string{
		"$":                       string(event),
		"$.time":                  `"now"`,
		"$['detail-type']":        `"Scheduled Event"`,
		"$.detail-type":           `"Scheduled Event"`,
		"$.detail.a[0]":           "1",
		`$["detail"].a[1]['b c']`: "true",
		"$.detail.a[2]":           "null",
		"$.time[0]":               "null",
		"$.none.of.it":            "null",
	} {
		p, err := parsePath(text)
		if err != nil {
			t.Errorf("parsePath(%q): %v", text, err)
			continue
		}
		got, err := p.of(event)
		if err != nil || !sameJSON(t, got, []byte(want)) {
			t.Errorf("%s of the event = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "detail", "$detail", "$.", "$..a", "$.a.", "$.*", "$[*]", "$[-1]", "$[01]", "$[0", "$['a]", "$[]", "$['']", "$.a b",
		"$" + strings.Repeat(".a", maxPathSteps+1)} {
		if p, err := parsePath(text); err == nil {
			t.Errorf("parsePath(%q) = %v, want an error", text, p)
		}
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		return false
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func FuzzPath(f *testing.F) {
	f.Add("$.a['b'][0]", `{"a":{"b":[1]}}`)
	f.Fuzz(func(t *testing.T, text, event string) {
		if p, err := parsePath(text); err == nil {
			if got, err := p.of([]byte(event)); err == nil && !json.Valid(got) {
				t.Fatalf("%s of %s = %s", text, event, got)
			}
		}
	})
}

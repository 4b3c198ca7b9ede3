package trigger

import (
	"encoding/json"
	"fmt"
	"testing"
)

// eventBridgeCases are patterns with events that match and events that do not. They are ours, after what the Amazon
// EventBridge User Guide says of each: chapters "Event pattern syntax", "Comparison operators for use in event patterns"
// and "Best practices for event patterns", and the readme of its rule engine, github.com/aws/event-ruler.
func eventBridgeCases() []struct {
	pattern   string
	yes, noes []string
} {
	type list = []string
	return []struct {
		pattern   string
		yes, noes []string
	}{
		// Values: one of the array, of the same type.
		{`{"source":["aws.ec2"]}`, list{`{"source":"aws.ec2"}`, `{"source":"aws.ec2","x":1}`}, list{`{"source":"aws.ec"}`, `{"source":"AWS.EC2"}`, `{}`, `{"detail":{"source":"aws.ec2"}}`}},
		{`{"source":["a","b"]}`, list{`{"source":"a"}`, `{"source":"b"}`}, list{`{"source":"c"}`, `{"source":"ab"}`}},
		{`{"n":[300]}`, list{`{"n":300}`, `{"n":3e2}`}, list{`{"n":"300"}`, `{"n":301}`}},
		{`{"n":["300"]}`, list{`{"n":"300"}`}, list{`{"n":300}`}},
		{`{"b":[true]}`, list{`{"b":true}`}, list{`{"b":"true"}`, `{"b":false}`, `{"b":1}`}},
		{`{"source":["a"],"detail-type":["b"]}`, list{`{"source":"a","detail-type":"b"}`}, list{`{"source":"a"}`, `{"source":"b","detail-type":"a"}`}},

		// Null and empty.
		{`{"detail":{"response":[null]}}`, list{`{"detail":{"response":null}}`}, list{`{"detail":{"response":""}}`, `{"detail":{}}`, `{"detail":{"response":"null"}}`}},
		{`{"detail":{"version":[""]}}`, list{`{"detail":{"version":""}}`}, list{`{"detail":{"version":null}}`, `{"detail":{"version":"1"}}`, `{"detail":{}}`}},
		{`{"a":[null,""]}`, list{`{"a":null}`, `{"a":""}`, `{"a":[null]}`}, list{`{"a":[]}`, `{"a":{}}`, `{"a":0}`}},

		// Nested objects.
		{`{"detail":{"state":["running"]}}`, list{`{"detail":{"state":"running","id":"i-1"}}`}, list{`{"state":"running"}`, `{"detail":"running"}`, `{"detail":{"state":{"running":true}}}`, `{"detail":null}`}},
		{`{"a":{"b":{"c":[1]},"d":[2]}}`, list{`{"a":{"b":{"c":1},"d":2}}`}, list{`{"a":{"b":{"c":1}}}`, `{"a":{"b":{"c":1,"d":2}}}`}},

		// Arrays: some element is wanted.
		{`{"resources":["arn:1"]}`, list{`{"resources":["arn:0","arn:1"]}`, `{"resources":"arn:1"}`, `{"resources":[["arn:1"]]}`}, list{`{"resources":[]}`, `{"resources":["arn:2"]}`}},
		{`{"resources":["arn:1","arn:2"]}`, list{`{"resources":["arn:2","arn:3"]}`}, list{`{"resources":["arn:3"]}`}},
		{`{"resources":[{"suffix":":x"}]}`, list{`{"resources":["a:y","b:x"]}`}, list{`{"resources":["a:y"]}`}},

		// Arrays of objects: one element has it all.
		{`{"employees":{"first":["Anna"],"last":["Jones"]}}`,
			list{`{"employees":[{"first":"John","last":"Doe"},{"first":"Anna","last":"Jones"}]}`},
			list{`{"employees":[{"first":"Anna","last":"Smith"},{"first":"Peter","last":"Jones"}]}`, `{"employees":[]}`}},
		{`{"a":{"b":{"x":[1],"y":[2]}}}`,
			list{`{"a":[{"b":[{"x":3},{"x":1,"y":2}]}]}`, `{"a":[{"b":{"x":1,"y":2}},{"b":5}]}`},
			list{`{"a":[{"b":{"x":1}},{"b":{"y":2}}]}`, `{"a":[{"b":[{"x":1},{"y":2}]}]}`}},
		{`{"a":{"x":[1],"t":["k"]}}`, list{`{"a":[{"x":1,"t":["j","k"]}]}`}, list{`{"a":[{"x":1,"t":["j"]},{"x":2,"t":["k"]}]}`}},
		{`{"a":{"x":[1]}}`, list{`{"a":[7,{"x":1}]}`, `{"a":[[{"x":1}]]}`}, list{`{"a":[7,"x"]}`}},

		// Prefix and suffix.
		{`{"time":[{"prefix":"2026-11"}]}`, list{`{"time":"2026-11-26"}`, `{"time":"2026-11"}`}, list{`{"time":"2026-1"}`, `{"time":"x2026-11"}`, `{"time":20261126}`, `{"time":null}`}},
		{`{"file":[{"suffix":".png"}]}`, list{`{"file":"a.png"}`, `{"file":".png"}`}, list{`{"file":"a.PNG"}`, `{"file":"a.png.gz"}`, `{"file":5}`}},
		{`{"a":[{"prefix":""}]}`, list{`{"a":"x"}`, `{"a":""}`}, list{`{"a":1}`, `{}`}},
		{`{"a":[{"prefix":{"equals-ignore-case":"EventB"}}]}`, list{`{"a":"eventbridge"}`, `{"a":"EVENTB"}`}, list{`{"a":"event"}`, `{"a":"an eventb"}`}},
		{`{"a":[{"suffix":{"equals-ignore-case":".PNG"}}]}`, list{`{"a":"x.png"}`, `{"a":"x.Png"}`}, list{`{"a":"png"}`, `{"a":"x.png2"}`}},
		{`{"a":[{"prefix":{"equals-ignore-case":"kilo"}}]}`, list{`{"a":"Kilometre"}`, "{\"a\":\"\u212Ailo\"}"}, list{`{"a":"ilo"}`}},
		{`{"a":[{"suffix":{"equals-ignore-case":"ÄK"}}]}`, list{`{"a":"xäk"}`, "{\"a\":\"ä\u212A\"}"}, list{`{"a":"k"}`, `{"a":"ak"}`}},

		// Equals but for case.
		{`{"detail-type":[{"equals-ignore-case":"ec2 State"}]}`, list{`{"detail-type":"EC2 STATE"}`, `{"detail-type":"ec2 state"}`}, list{`{"detail-type":"ec2"}`, `{"detail-type":["x"]}`}},
		{`{"a":[{"equals-ignore-case":"x"},"y"]}`, list{`{"a":"X"}`, `{"a":"y"}`}, list{`{"a":"Y"}`}},

		// Anything but.
		{`{"state":[{"anything-but":"init"}]}`, list{`{"state":"run"}`, `{"state":5}`, `{"state":null}`, `{"state":["init","run"]}`}, list{`{"state":"init"}`, `{}`, `{"state":["init"]}`, `{"state":[]}`}},
		{`{"state":[{"anything-but":["stop","over"]}]}`, list{`{"state":"run"}`}, list{`{"state":"stop"}`, `{"state":"over"}`}},
		{`{"n":[{"anything-but":[100,200]}]}`, list{`{"n":150}`, `{"n":"100"}`}, list{`{"n":100}`, `{"n":2e2}`}},
		{`{"n":[{"anything-but":7}]}`, list{`{"n":8}`}, list{`{"n":7.0}`}},
		{`{"a":[{"anything-but":{"equals-ignore-case":"init"}}]}`, list{`{"a":"run"}`}, list{`{"a":"INIT"}`}},
		{`{"a":[{"anything-but":{"equals-ignore-case":["init","over"]}}]}`, list{`{"a":"run"}`, `{"a":1}`}, list{`{"a":"Over"}`, `{"a":"inIT"}`}},
		{`{"a":[{"anything-but":{"prefix":"init"}}]}`, list{`{"a":"run"}`, `{"a":"xinit"}`}, list{`{"a":"initial"}`}},
		{`{"a":[{"anything-but":{"prefix":["init","err"]}}]}`, list{`{"a":"run"}`}, list{`{"a":"error"}`, `{"a":"init"}`}},
		{`{"a":[{"anything-but":{"suffix":".txt"}}]}`, list{`{"a":"x.png"}`, `{"a":"x.txt.gz"}`}, list{`{"a":"x.txt"}`}},
		{`{"a":[{"anything-but":{"suffix":[".txt",".rtf"]}}]}`, list{`{"a":"x.png"}`}, list{`{"a":"x.txt"}`, `{"a":"x.rtf"}`}},
		{`{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}`, list{`{"a":"/usr/bin/x"}`}, list{`{"a":"/usr/lib/x"}`, `{"a":"/lib/"}`}},
		{`{"a":[{"anything-but":{"wildcard":["*/lib/*","*/bin/*"]}}]}`, list{`{"a":"/etc/x"}`}, list{`{"a":"/bin/x"}`, `{"a":"/usr/lib/x"}`}},
		{`{"a":[{"anything-but":{"prefix":{"equals-ignore-case":"in"}}}]}`, list{`{"a":"out"}`}, list{`{"a":"INIT"}`}},
		{`{"a":[{"anything-but":"x"},"x"]}`, list{`{"a":"x"}`, `{"a":"y"}`}, list{`{}`}},

		// Numbers.
		{`{"n":[{"numeric":[">",0]}]}`, list{`{"n":0.01}`, `{"n":1e9}`}, list{`{"n":0}`, `{"n":-1}`, `{"n":"1"}`, `{}`}},
		{`{"n":[{"numeric":["<",10]}]}`, list{`{"n":9.99}`, `{"n":-5}`}, list{`{"n":10}`}},
		{`{"n":[{"numeric":["=",301.8]}]}`, list{`{"n":301.8}`, `{"n":3.018e2}`}, list{`{"n":301}`, `{"n":true}`}},
		{`{"n":[{"numeric":[">",0,"<=",5]}]}`, list{`{"n":5}`, `{"n":0.5}`, `{"n":[9,3]}`}, list{`{"n":0}`, `{"n":5.001}`, `{"n":[]}`, `{"n":[-1,6]}`}},
		{`{"n":[{"numeric":[">=",-5.5,"<",-1]}]}`, list{`{"n":-5.5}`, `{"n":-2}`}, list{`{"n":-1}`, `{"n":-6}`}},
		{`{"n":[{"numeric":["<",0]},{"numeric":[">",100]}]}`, list{`{"n":-1}`, `{"n":101}`}, list{`{"n":50}`}},

		// Addresses.
		{`{"ip":[{"cidr":"10.0.0.0/24"}]}`, list{`{"ip":"10.0.0.0"}`, `{"ip":"10.0.0.255"}`, `{"ip":"::ffff:10.0.0.7"}`}, list{`{"ip":"10.0.1.0"}`, `{"ip":"10.0.0"}`, `{"ip":10}`, `{"ip":"10.0.0.1/32"}`}},
		{`{"ip":[{"cidr":"10.0.0.7/24"}]}`, list{`{"ip":"10.0.0.1"}`}, list{`{"ip":"10.0.1.7"}`}},
		{`{"ip":[{"cidr":"2001:db8::/32"}]}`, list{`{"ip":"2001:db8::1"}`, `{"ip":"2001:DB8:0:0::1"}`}, list{`{"ip":"2001:db9::1"}`, `{"ip":"10.0.0.1"}`}},
		{`{"ip":[{"cidr":"0.0.0.0/0"}]}`, list{`{"ip":"255.1.2.3"}`}, list{`{"ip":"::1"}`}},
		{`{"ip":[{"cidr":"10.0.0.1"}]}`, list{`{"ip":"10.0.0.1"}`}, list{`{"ip":"10.0.0.2"}`}},

		// Wildcards.
		{`{"path":[{"wildcard":"dir/*.png"}]}`, list{`{"path":"dir/a.png"}`, `{"path":"dir/.png"}`, `{"path":"dir/x/y.png"}`}, list{`{"path":"dir/a.jpg"}`, `{"path":"dirs/a.png"}`, `{"path":5}`}},
		{`{"path":[{"wildcard":"*"}]}`, list{`{"path":""}`, `{"path":"x"}`}, list{`{"path":1}`, `{}`}},
		{`{"path":[{"wildcard":"a*b*c"}]}`, list{`{"path":"abc"}`, `{"path":"a-b-b-c"}`, `{"path":"abcbc"}`}, list{`{"path":"acb"}`, `{"path":"abcd"}`, `{"path":"ab"}`}},
		{`{"path":[{"wildcard":"*x*"}]}`, list{`{"path":"x"}`, `{"path":"axb"}`}, list{`{"path":"ab"}`}},
		{`{"path":[{"wildcard":"ab*ba"}]}`, list{`{"path":"abba"}`}, list{`{"path":"aba"}`}},
		{`{"path":[{"wildcard":"a\\*b"}]}`, list{`{"path":"a*b"}`}, list{`{"path":"axb"}`}},
		{`{"path":[{"wildcard":"a\\\\*"}]}`, list{`{"path":"a\\"}`, `{"path":"a\\x"}`}, list{`{"path":"ax"}`}},
		{`{"path":[{"wildcard":"plain"}]}`, list{`{"path":"plain"}`}, list{`{"path":"plainly"}`}},

		// Exists: of leaves only.
		{`{"detail":{"state":[{"exists":true}]}}`, list{`{"detail":{"state":""}}`, `{"detail":{"state":null}}`, `{"detail":{"state":[1]}}`}, list{`{"detail":{}}`, `{"detail":{"state":{"x":1}}}`, `{"detail":{"state":[]}}`, `{}`}},
		{`{"detail":{"state":[{"exists":false}]}}`, list{`{"detail":{}}`, `{}`, `{"detail":5}`, `{"detail":[]}`, `{"detail":{"state":{"x":1}}}`}, list{`{"detail":{"state":"x"}}`, `{"detail":{"state":null}}`}},
		{`{"a":{"b":[{"exists":false}]}}`, list{`{"a":[{"c":1}]}`, `{"a":[{"c":1},{"c":2}]}`}, list{`{"a":[{"b":1},{"c":2}]}`}},
		{`{"a":{"b":["x",{"exists":false}]}}`, list{`{"a":[{"b":"x"},{"b":"y"}]}`, `{"a":[{"c":1}]}`, `{}`}, list{`{"a":[{"b":"y"},{"c":1}]}`}},
		{`{"a":{"a":[1],"b":[{"exists":false}]}}`, list{`{"a":[{"a":1},{"a":2,"b":3}]}`}, list{`{"a":[{"a":1,"b":3}]}`, `{"a":[{"c":1}]}`}},
		{`{"n":[{"exists":false},{"numeric":["<",5]}]}`, list{`{}`, `{"n":4}`}, list{`{"n":6}`}},

		// Or.
		{`{"detail":{"$or":[{"c":[{"numeric":[">",0,"<=",5]}]},{"d":[{"numeric":["<",10]}]},{"x":[{"numeric":["=",3.018e2]}]}]}}`,
			list{`{"detail":{"c":5}}`, `{"detail":{"d":9,"c":6}}`, `{"detail":{"x":301.8}}`}, list{`{"detail":{"c":6,"d":10,"x":3}}`, `{"detail":{}}`}},
		{`{"source":["a"],"$or":[{"x":[1]},{"y":[2],"z":[3]}]}`, list{`{"source":"a","x":1}`, `{"source":"a","y":2,"z":3}`}, list{`{"x":1}`, `{"source":"a"}`, `{"source":"a","y":2}`}},
		{`{"$or":[{"a":[1],"$or":[{"b":[2]},{"c":[3]}]},{"d":[4]}]}`, list{`{"a":1,"c":3}`, `{"d":4}`}, list{`{"a":1}`, `{"b":2,"c":3}`}},
		{`{"l":{"k":["x"],"$or":[{"v":[1]},{"w":[1]}]}}`, list{`{"l":[{"k":"y"},{"k":"x","w":1}]}`}, list{`{"l":[{"k":"x"},{"w":1}]}`}},
		{`{"$or":[{"prefix":"x"},{"suffix":"y"}]}`, list{`{"$or":"xa"}`, `{"$or":"ay"}`}, list{`{"prefix":"x"}`, `{"$or":"a"}`}},
		{`{"$or":["x","y"]}`, list{`{"$or":"x"}`}, list{`{"x":1}`}},
		{`{"$or":[{"a":[{"exists":false}]},{"b":["x"]}]}`, list{`{}`, `{"a":1,"b":"x"}`}, list{`{"a":1}`}},

		// All of it.
		{`{"time":[{"prefix":"2026"}],"detail":{"state":[{"anything-but":"init"}],"p":{"$or":[{"ip":[{"cidr":"10.0.0.0/8"}]},{"host":[{"suffix":".local"}]}]}}}`,
			list{`{"time":"2026-11","detail":{"state":"run","p":{"ip":"10.1.1.1"}}}`, `{"time":"2026-11","detail":{"state":"run","p":[{"host":"x"},{"host":"a.local"}]}}`},
			list{`{"time":"2026-11","detail":{"state":"init","p":{"ip":"10.1.1.1"}}}`, `{"time":"2026-11","detail":{"state":"run","p":{"ip":"11.1.1.1"}}}`}},
	}
}

func TestEventBridgePatterns(t *testing.T) {
	cases := 0
	for _, c := range eventBridgeCases() {
		f, err := ParseFilter([]byte(c.pattern))
		if err != nil {
			t.Errorf("ParseFilter(%s): %v", c.pattern, err)
			continue
		}
		check := func(event string, want bool) {
			cases++
			if got := f.Match([]byte(event)); got != want {
				t.Errorf("Match of %s on %s = %v, want %v", c.pattern, event, got, want)
			}
			if place, err := f.Unmatched([]byte(event)); err != nil || (place == "") != want {
				t.Errorf("Unmatched of %s on %s = %q, %v; it matches: %v", c.pattern, event, place, err, want)
			}
		}
		for _, event := range c.yes {
			check(event, true)
		}
		for _, event := range c.noes {
			check(event, false)
		}
	}
	if cases < 150 {
		t.Errorf("%d cases, want 150 at least", cases)
	}
}

func TestFilterUnmatched(t *testing.T) {
	f, err := ParseFilter([]byte(`{"source":["shop"],"detail":{"total":[{"numeric":[">",5]}],"$or":[{"a":[1]},{"b":[1]}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for event, want := range map[string]string{
		`{"source":"shop","detail":{"total":6,"b":1}}`: "",
		`{"source":"shop","detail":{"total":6}}`:       "detail.$or",
		`{"source":"shop","detail":{"total":1}}`:       "detail.total",
		`{"source":"shop","detail":3}`:                 "detail",
		`{"detail":{"total":6,"b":1}}`:                 "source",
	} {
		if got, err := f.Unmatched([]byte(event)); got != want || err != nil {
			t.Errorf("Unmatched(%s) = %q, %v, want %q", event, got, err, want)
		}
	}
	for _, event := range []string{"", "[]", "{} {}"} {
		if _, err := f.Unmatched([]byte(event)); err == nil {
			t.Errorf("Unmatched(%q) is no error", event)
		}
	}
}

// BenchmarkRules matches 1,000 rules against one event, which is read once, as the forwarder of a bus does.
func BenchmarkRules(b *testing.B) {
	var rules []*Filter
	for i := range 1000 {
		f, err := ParseFilter(fmt.Appendf(nil, `{"source":[{"prefix":"shop."}],"detail":{"kind":["k%d",{"wildcard":"x*%d"}],"total":[{"numeric":[">",%d]}]}}`, i, i, i))
		if err != nil {
			b.Fatal(err)
		}
		rules = append(rules, f)
	}
	event := []byte(`{"version":"0","id":"1","source":"shop.orders","detail-type":"placed","detail":{"kind":"k500","total":700,"lines":[{"sku":"a"},{"sku":"b"}]}}`)
	if !json.Valid(event) {
		b.Fatal("no JSON")
	}
	b.ReportAllocs()
	for b.Loop() {
		value, err := decode(event)
		if err != nil {
			b.Fatal(err)
		}
		matched := 0
		for _, f := range rules {
			if f.object(value) {
				matched++
			}
		}
		if matched != 1 {
			b.Fatalf("%d rules match, want 1", matched)
		}
	}
}

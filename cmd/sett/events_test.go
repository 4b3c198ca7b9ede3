package main

import (
	"io"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
)

// TestPutLines: what a line does not say is as the flags say it, whatever the lines before said.
func TestPutLines(t *testing.T) {
	c := &cli{out: io.Discard, in: strings.NewReader(`{"detail":{"n":1}}
{"detail":{"n":2},"resources":["x"]}
{"resources":["y"]}

{"source":"own","detail_type":"own"}
`)}
	like := registry.BusEvent{Source: "shop", DetailType: "placed", Resources: []string{"all"}, Detail: []byte(`{"n":0}`)}
	var got []string
	put := func(events []registry.BusEvent) ([]string, error) {
		for _, e := range events {
			got = append(got, e.Source+" "+e.DetailType+" "+string(e.Detail)+" "+strings.Join(e.Resources, ","))
		}
		return nil, nil
	}
	if err := c.putLines(like, put); err != nil {
		t.Fatal(err)
	}
	want := `shop placed {"n":1} all
shop placed {"n":2} x
shop placed {"n":0} y
own own {"n":0} all`
	if strings.Join(got, "\n") != want {
		t.Errorf("put\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

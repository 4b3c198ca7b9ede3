package sett

import "testing"

func TestWarmup(t *testing.T) {
	before := table
	t.Cleanup(func() { table = before })
	table.routes, table.handles, table.warmups = nil, nil, nil
	var order []int
	Warmup(func() { order = append(order, 1) })
	Warmup(func() { order = append(order, 2) })
	HTTP("/{rest...}", func(ResponseWriter, *Request) { t.Error("a handler ran") })
	warmUp()
	if len(order) != 2 || order[0] != 1 {
		t.Errorf("functions ran in the order %v, want 1 2", order)
	}
	defer func() {
		if recover() == nil {
			t.Error("Warmup of nil does not panic")
		}
	}()
	Warmup(nil)
}

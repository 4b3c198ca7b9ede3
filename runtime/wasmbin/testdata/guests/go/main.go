// Kernels that stand for what Go guests do. Each export takes a size and answers a checksum.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"regexp"
	"sort"
	"strings"
)

func main() {}

//go:wasmexport fib
func fib(n int32) int32 {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

//go:wasmexport sort
func sortNumbers(n int32) int32 {
	a := make([]int, n)
	x := uint32(1)
	for i := range a {
		x = x*1664525 + 1013904223
		a[i] = int(x >> 1)
	}
	sort.Ints(a)
	return int32(a[n/2])
}

//go:wasmexport sha
func sha(n int32) int32 {
	data := bytes.Repeat([]byte("sett"), 256)
	var sum [32]byte
	for range n {
		sum = sha256.Sum256(data)
		copy(data, sum[:])
	}
	return int32(sum[0])
}

type order struct {
	ID    int               `json:"id"`
	Name  string            `json:"name"`
	Items []item            `json:"items"`
	Tags  map[string]string `json:"tags"`
}

type item struct {
	SKU   string  `json:"sku"`
	Price float64 `json:"price"`
}

//go:wasmexport json
func jsons(n int32) int32 {
	o := order{ID: 7, Name: "badger", Tags: map[string]string{"a": "b", "c": "d"}}
	for i := range 10 {
		o.Items = append(o.Items, item{SKU: strings.Repeat("x", i), Price: float64(i) * 1.5})
	}
	total := 0
	for range n {
		b, _ := json.Marshal(o)
		var back order
		if json.Unmarshal(b, &back) == nil {
			total += len(b) + len(back.Items)
		}
	}
	return int32(total)
}

var word = regexp.MustCompile(`([a-z]+)@([a-z]+)\.(com|org)`)

//go:wasmexport regexp
func regexps(n int32) int32 {
	text := strings.Repeat("hello world, write to someone@example.org or other@else.com today. ", 10)
	total := 0
	for range n {
		total += len(word.FindAllString(text, -1))
	}
	return int32(total)
}

//go:wasmexport map
func maps(n int32) int32 {
	m := map[int]int{}
	for i := range int(n) {
		m[i*7919%1000] += i
	}
	return int32(len(m) + m[5])
}

// State that a request must not see of another.
var (
	visits int32
	kept   [][]byte
)

//go:wasmexport visit
func visit(n int32) int32 {
	visits++
	for range n {
		kept = append(kept, make([]byte, 1<<16))
	}
	go func() { visits += 100 }() // parked when the call ends
	return visits
}

//go:wasmexport fail
func fail(n int32) int32 {
	visits += 10
	var none []int
	return int32(none[n])
}

//go:wasmexport exit
func exit(n int32) int32 {
	visits += 10
	os.Exit(int(n))
	return 0
}

//go:wasmexport recurse
func recurse(n int32) int32 {
	var local [64]int32
	local[n&63] = recurse(n+1) + 1
	return local[n&31]
}

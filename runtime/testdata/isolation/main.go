// A guest for tests: it does all it can to be recognised by the next invocation of its instance, and tells whether
// it was. It also answers random numbers.
package main

import (
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"os"
	"strconv"
	"strings"

	sett "github.com/sett-run/sett/sdk/go"
)

var (
	calls  int                          // a global counter
	buffer [8192]byte                   // a static buffer
	heap   [][]byte                     // a heap that grows
	seen   = map[string]bool{}          // made before the image
	table  = map[int]int{}              // its order is random
	text   = strings.Repeat("warm ", 3) // made before the image
	warm   string
)

func init() {
	for i := range 8 {
		table[i] = i
	}
	sett.Warmup(func() { warm = text + strconv.Itoa(calls) })
	sett.HTTP("/count/{n}", count)
	sett.HTTP("/random", random)
	sett.HTTP("/loop", func(sett.ResponseWriter, *sett.Request) {
		for {
			calls++
		}
	})
}

// count answers how often it was called, by every way there is to remember.
func count(w sett.ResponseWriter, r *sett.Request) {
	n, _ := strconv.Atoi(r.PathValue("n"))
	calls++
	buffer[0]++
	buffer[len(buffer)-1]++
	heap = append(heap, make([]byte, 64<<10), make([]byte, 1<<20*(n%3)))
	for i := range heap {
		for k := 0; k < len(heap[i]); k += 4096 {
			heap[i][k] = 1
		}
	}
	seen[strconv.Itoa(len(seen))] = true
	go func() { calls += 1000 }()
	if n%7 == 0 {
		panic("every 7th")
	}
	if n%11 == 0 {
		os.Exit(11)
	}
	fmt.Fprintf(w, "%d %d %d %d %d %s", calls, buffer[0], buffer[len(buffer)-1], len(heap)/2, len(seen), warm)
}

// random answers numbers of every source but the operating system's.
func random(w sett.ResponseWriter, r *sett.Request) {
	fmt.Fprintf(w, "%x %x %x %s\n", rand.Uint64(), randv2.Uint64(), randv2.Uint64(), selected())
	for range 8 {
		for k := range table {
			fmt.Fprint(w, k)
		}
	}
}

// selected is the order in which select chooses among channels that are all ready.
func selected() string {
	a, b, c, d := make(chan int), make(chan int), make(chan int), make(chan int)
	for _, ch := range []chan int{a, b, c, d} {
		close(ch)
	}
	order := make([]byte, 64)
	for i := range order {
		select {
		case <-a:
			order[i] = 'a'
		case <-b:
			order[i] = 'b'
		case <-c:
			order[i] = 'c'
		case <-d:
			order[i] = 'd'
		}
	}
	return string(order)
}

func main() {}

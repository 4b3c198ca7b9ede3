// A command: it reads its input, and answers on its output.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"
)

func main() {
	count := map[string]int{}
	in := bufio.NewScanner(os.Stdin)
	in.Split(bufio.ScanWords)
	for in.Scan() {
		count[strings.ToLower(in.Text())]++
	}
	words := make([]string, 0, len(count))
	for w := range count {
		words = append(words, w)
	}
	sort.Strings(words)
	for _, w := range words {
		fmt.Printf("%s %d\n", w, count[w])
	}
	fmt.Fprintln(os.Stderr, "done:", len(words), os.Args[1:], os.Getenv("NAME"))
	defer func() { os.Exit(len(recover().(error).Error()) % 128) }()
	var none []int
	none[len(words)]++
}

// A guest for tests: a command that does what its path says.
package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

func main() {
	if path := os.Getenv("PATH_INFO"); path != "/" {
		misbehave(path)
	}
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	start := time.Now()
	time.Sleep(2 * time.Millisecond)
	_, err = os.ReadFile("/etc/passwd")
	fmt.Fprintf(os.Stderr, "slept %v, file %v\n", time.Since(start) >= 2*time.Millisecond, err != nil)
	if _, err := os.Stdout.Seek(0, io.SeekStart); err == nil {
		panic("standard output can be sought")
	}
	fmt.Printf("Content-Type: text/plain\r\nX-Random: %d\r\n\r\n%s %s %s",
		rand.Uint64(), strings.ToUpper(string(body)), os.Args[0], os.Getenv("COLOR"))
}

func misbehave(path string) {
	switch path {
	case "/panic":
		panic("boom")
	case "/exit":
		os.Exit(3)
	case "/loop":
		for i := 0; ; i++ {
			if i < 0 {
				break
			}
		}
	case "/sleep":
		time.Sleep(time.Hour)
	case "/deadlock":
		select {}
	case "/memory":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
		}
	case "/flood":
		fmt.Print("A: b\n\n")
		for line := strings.Repeat("x", 1<<16); ; {
			fmt.Print(line)
		}
	case "/logs":
		for i := range 100_000 {
			fmt.Fprintln(os.Stderr, "line", i)
		}
	}
}

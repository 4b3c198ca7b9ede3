package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/client"
)

// BenchmarkDevRedeploy measures what an edit takes until the node serves it: go-ms is the Go toolchain, compile-ms the
// node's compiler, rest-ms everything else, the wait for quiet included.
func BenchmarkDevRedeploy(b *testing.B) {
	for _, name := range []string{"wagi", "hello"} {
		b.Run(name, func(b *testing.B) { benchmarkRedeploy(b, name) })
	}
}

func benchmarkRedeploy(b *testing.B, name string) {
	files, err := exampleProject(name)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := writeFiles(dir, files); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	read, write := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"dev", filepath.Join(dir, name), "--http=127.0.0.1:0", "--admin=127.0.0.1:0", "-o=json"}, write, os.Stderr)
		write.Close()
	}()
	documents := json.NewDecoder(read)
	next := func() (r redeployed) { // the next deployment; what else is printed lacks its keys
		for r.Functions == nil {
			if err := documents.Decode(&r); err != nil {
				b.Fatal(err)
			}
		}
		return r
	}
	next()
	main := filepath.Join(dir, name, "main.go")
	source := string(files[name+"/main.go"])
	var sum redeployed
	sum.Functions = []client.Deployed{{}}
	b.ResetTimer()
	for n := range b.N {
		edited := strings.NewReplacer("bytes: ", fmt.Sprintf("bytes %d: ", n), "Hello, ", fmt.Sprintf("Hello %d, ", n)).Replace(source)
		if err := os.WriteFile(main, []byte(edited), 0o600); err != nil {
			b.Fatal(err)
		}
		r := next()
		if r.Functions[0].Unchanged {
			b.Fatalf("edit %d changed nothing", n)
		}
		sum.TookMS += r.TookMS
		sum.BuildMS += r.BuildMS
		sum.Functions[0].CompileMS += r.Functions[0].CompileMS
	}
	b.StopTimer()
	stop()
	if _, err := io.Copy(io.Discard, read); err != nil { // so that it can print its end
		b.Fatal(err)
	}
	if got := <-status; got != exitDone {
		b.Errorf("dev = %d, want %d", got, exitDone)
	}
	compile := sum.Functions[0].CompileMS
	b.ReportMetric(float64(sum.BuildMS)/float64(b.N), "go-ms")
	b.ReportMetric(float64(compile)/float64(b.N), "compile-ms")
	b.ReportMetric(float64(sum.TookMS-sum.BuildMS-compile)/float64(b.N), "rest-ms")
}

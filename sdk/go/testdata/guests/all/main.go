// Command all shows how the SDK behaves in every way an invocation can go.
package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	sett "github.com/sett-run/sett/sdk/go"
	"github.com/sett-run/sett/sdk/go/log"
)

var (
	logger  = slog.New(log.NewHandler(slog.LevelDebug))
	counter int
	kept    any
)

func init() {
	counter = 41
	sett.HTTP("GET /hello/{name}", func(w sett.ResponseWriter, r *sett.Request) {
		w.Header().Add("X-A", "1")
		w.Header().Add("X-A", "2")
		w.WriteHeader(203)
		w.WriteString("hello, " + r.PathValue("name") + " " + r.Query("q") + " " + r.Header("x-b"))
	})
	sett.HTTP("POST /echo", func(w sett.ResponseWriter, r *sett.Request) { w.Write(r.Body) })
	sett.HTTP("/count", func(w sett.ResponseWriter, r *sett.Request) {
		counter++
		w.WriteString(strconv.Itoa(counter))
	})
	sett.HTTP("/allocate/{n}", func(w sett.ResponseWriter, r *sett.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		kept = make([]byte, n)
	})
	sett.HTTP("/allocate/{n}/pointers", func(w sett.ResponseWriter, r *sett.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		kept = make([]*byte, n/8)
	})
	sett.HTTP("/panic", func(w sett.ResponseWriter, r *sett.Request) {
		w.WriteString("never seen")
		panic("boom")
	})
	sett.HTTP("/exit", func(w sett.ResponseWriter, r *sett.Request) { os.Exit(0) })
	sett.HTTP("/wait", func(w sett.ResponseWriter, r *sett.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Millisecond)
		defer cancel()
		<-ctx.Done()
		w.WriteString(ctx.Err().Error())
	})
	sett.HTTP("/workers", func(w sett.ResponseWriter, r *sett.Request) {
		results := make(chan int)
		for i := range 10 {
			go func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				results <- i
			}()
		}
		go func() { select {} }() // left behind
		sum := 0
		for range 10 {
			sum += <-results
		}
		w.WriteString(strconv.Itoa(sum))
	})
	sett.HTTP("/log", func(w sett.ResponseWriter, r *sett.Request) {
		os.Stdout.WriteString("to stdout\n")
		println("to stderr")
		logger.Warn("to the log", "path", r.Path)
	})
	sett.HTTP("/who", func(w sett.ResponseWriter, r *sett.Request) {
		i := sett.Invocation(r.Context())
		w.WriteString(i.ID + " " + i.App + " " + i.Function + " " + strconv.Itoa(i.Version) + " " + os.Getenv("GREETING"))
	})
	sett.HTTP("/random", func(w sett.ResponseWriter, r *sett.Request) { w.WriteString(strconv.FormatUint(rand.Uint64(), 16)) })
	sett.Handle("double", func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, errors.New("negative")
		}
		return 2 * n, nil
	})
}

func main() {}

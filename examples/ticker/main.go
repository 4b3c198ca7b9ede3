// Command ticker sends events while they happen, and takes files of any size.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"

	sett "github.com/sett-run/sett/sdk/go"
)

func init() {
	sett.HTTP("GET /ticks", ticks)
	sett.HTTP("PUT /sum", sum)
}

// ticks sends server-sent events until the client leaves, or ?n= of them. What is flushed the client sees at once.
func ticks(w sett.ResponseWriter, r *sett.Request) {
	n, err := strconv.Atoi(r.Query("n"))
	if err != nil {
		n = 1 << 30
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for i := range n {
		if i > 0 {
			time.Sleep(time.Second)
		}
		fmt.Fprintf(w, "id: %d\ndata: %s\n\n", i+1, time.Now().UTC().Format(time.RFC3339))
		w.(sett.Flusher).Flush()
	}
}

// sum answers a body's length and its SHA-256. It is never in memory as a whole.
func sum(w sett.ResponseWriter, r *sett.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Reader())
	if err != nil {
		w.WriteHeader(400)
		return
	}
	fmt.Fprintf(w, "%d %s\n", n, hex.EncodeToString(h.Sum(nil)))
}

func main() {}

// Package work says what servers are asked to do in benchmarks: the same of all of them. Its main type is Work, a request
// and the check of its reply, so that whoever answers fast and wrong is no rival.
package work

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/benchmarks/work/answer"
)

// Work is something to be done for a request.
type Work struct {
	Name string
	What string // for the reader of a table
	// Ask writes request number i of one connection, whose number is given too.
	Ask func(to *fasthttp.Request, connection, i int)
	// Check says what is wrong with a reply of status 200, nil if nothing is.
	Check func(body []byte) error
}

// All are the works, the simple ones first.
func All() []Work { return []Work{hello(), headers(), digest(), state()} }

// Find answers the work of this name.
func Find(name string) (Work, error) {
	for _, w := range All() {
		if w.Name == name {
			return w, nil
		}
	}
	return Work{}, fmt.Errorf("no work %q", name)
}

func hello() Work {
	return Work{
		Name: "hello", What: "GET /hello: 13 bytes",
		Ask: func(r *fasthttp.Request, _, _ int) { Ask(r, "GET", "/hello") },
		Check: func(body []byte) error {
			if string(body) != answer.Hello {
				return fmt.Errorf("body %.40q, want %q", body, answer.Hello)
			}
			return nil
		},
	}
}

func headers() Work {
	return Work{
		Name: "json", What: "GET /json: headers are read, 1 KB of JSON is made",
		Ask: func(r *fasthttp.Request, _, _ int) {
			Ask(r, "GET", "/json")
			for _, h := range [][2]string{
				{"Accept", "application/json"}, {"Accept-Encoding", "gzip, br"}, {"Accept-Language", "en-GB,en;q=0.7"},
				{"User-Agent", "bench/1.0"}, {"Authorization", "Bearer 0123456789abcdef0123456789abcdef"},
				{"Cookie", "theme=dark; session=9f86d081; lang=en"}, {"X-Request-Id", "9f86d081884c7d65"},
			} {
				r.Header.Set(h[0], h[1])
			}
		},
		Check: func(body []byte) error {
			var got answer.Inspected
			if err := json.Unmarshal(body, &got); err != nil {
				return fmt.Errorf("%d bytes of JSON: %w", len(body), err)
			}
			if len(body) < answer.JSONBytes || got.Method != "GET" || got.Accept != "application/json" || got.Agent != "bench/1.0" || !got.Signed || got.Session != "9f86d081" || !slices.Equal(got.Items, answer.Items()) {
				return fmt.Errorf("JSON says %.80s", body)
			}
			return nil
		},
	}
}

// DigestBytes is the length of a body of POST /sha256.
const DigestBytes = 64 << 10

func digest() Work {
	body := bytes.Repeat([]byte("0123456789abcdef"), DigestBytes/16)
	want := answer.Digest(body)
	return Work{
		Name: "sha256", What: "POST /sha256: the digest of 64 KiB",
		Ask: func(r *fasthttp.Request, _, _ int) { Ask(r, "POST", "/sha256"); r.SetBodyRaw(body) },
		Check: func(got []byte) error {
			if string(bytes.TrimSpace(got)) != want {
				return fmt.Errorf("digest %.80q, want %s", got, want)
			}
			return nil
		},
	}
}

func state() Work {
	return Work{
		Name: "kv", What: "POST /kv/KEY: a number is read from a store, and written one larger",
		Ask: func(r *fasthttp.Request, connection, _ int) { Ask(r, "POST", "/kv/"+strconv.Itoa(connection)) },
		Check: func(body []byte) error {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(body))); err != nil || n < 1 {
				return fmt.Errorf("count %.40q, want a number from 1 on", body)
			}
			return nil
		},
	}
}

// Ask writes a request without a body.
func Ask(r *fasthttp.Request, method, path string) {
	r.Reset()
	r.Header.SetMethod(method)
	r.SetRequestURI(path)
	r.Header.SetHost("bench.example")
}

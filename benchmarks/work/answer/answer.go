// Package answer makes the replies of the works in Go: the same code in functions and in servers of ours, so that what
// differs between them is how it is run. Functions link it, so it imports nothing heavy.
package answer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Hello is the reply to GET /hello.
const Hello = "hello, world\n"

// JSONBytes is less than the length of the reply to GET /json.
const JSONBytes = 1024

// Inspected is the JSON that is the reply to GET /json: what was found in the request's headers.
type Inspected struct {
	Method  string   `json:"method"`
	Accept  string   `json:"accept"`  // of the header Accept
	Agent   string   `json:"agent"`   // of User-Agent
	Signed  bool     `json:"signed"`  // whether Authorization begins with "Bearer "
	Session string   `json:"session"` // the cookie "session"
	Items   []string `json:"items"`   // those of Items
}

// Items are 32 texts of 32 bytes: "item 00 abcdefghijklmnopqrstuvwx" to "item 31 ...".
func Items() []string {
	items := make([]string, 32)
	for i := range items {
		items[i] = fmt.Sprintf("item %02d abcdefghijklmnopqrstuvwx", i)
	}
	return items
}

// Inspect makes the reply to GET /json; header answers a request's header, empty without it.
func Inspect(method string, items []string, header func(name string) string) ([]byte, error) {
	i := Inspected{Method: method, Accept: header("Accept"), Agent: header("User-Agent"), Items: items}
	i.Signed = strings.HasPrefix(header("Authorization"), "Bearer ")
	for cookie := range strings.SplitSeq(header("Cookie"), ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(cookie), "="); name == "session" {
			i.Session = value
		}
	}
	return json.Marshal(i)
}

// Digest is the reply to POST /sha256: the body's SHA-256 in hex.
func Digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

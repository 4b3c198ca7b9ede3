package redis

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tidwall/redcon"
)

// exchanges are bytes and what comes back until the connection ends, or until the reply to a last PING in them.
func exchanges() map[string]string {
	return map[string]string{
		"*1\r\n$4\r\nPING\r\n":                       "+PONG\r\n",
		"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n":             "$0\r\n\r\n",
		"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\x00\xff\r\n": "$4\r\n\r\n\x00\xff\r\n",
		"PING\r\n":                   "+PONG\r\n",
		"PING\n":                     "+PONG\r\n",
		"\r\n\r\n \nPING\r\n":        "+PONG\r\n",
		"*0\r\n*-1\r\nPING\r\n":      "+PONG\r\n",
		"*1\r\n$4\r\nPINGxxPING\r\n": "+PONG\r\n+PONG\r\n",
		"ECHO 'it\\'s'  \r\n":        "$4\r\nit's\r\n",
		"ECHO 'a\\n'\r\n":            "$3\r\na\\n\r\n",
		"ECHO \"a\\n\\x41\\x4g\\q\\\"\\r\\t\\b\\a\"\r\n": "$12\r\na\nAx4gq\"\r\t\b\a\r\n",
		"ECHO a\"b c\"\r\n": "$4\r\nab c\r\n",
		"ECHO \"\"\r\n":     "$0\r\n\r\n",
		"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\nECHO a\r\n": "+PONG\r\n+PONG\r\n$1\r\na\r\n",
		"ECHO \"a\"b\r\n":                        "-ERR Protocol error: unbalanced quotes in request\r\n",
		"ECHO \"a\r\n":                           "-ERR Protocol error: unbalanced quotes in request\r\n",
		"ECHO 'a\\'\r\n":                         "-ERR Protocol error: unbalanced quotes in request\r\n",
		"*x\r\n":                                 "-ERR Protocol error: invalid multibulk length\r\n",
		"*\r\n":                                  "-ERR Protocol error: invalid multibulk length\r\n",
		"*+1\r\n$4\r\nPING\r\n":                  "-ERR Protocol error: invalid multibulk length\r\n",
		"*01\r\n$4\r\nPING\r\n":                  "-ERR Protocol error: invalid multibulk length\r\n",
		"*9223372036854775807\r\n$4\r\nPING\r\n": "-ERR Protocol error: invalid multibulk length\r\n",
		"*1\r\n+OK\r\n":                          "-ERR Protocol error: expected '$', got '+'\r\n",
		"*2\r\n$4\r\nECHO\r\nx\r\n":              "-ERR Protocol error: expected '$', got 'x'\r\n",
		"*1\r\n$-1\r\n":                          "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n$x\r\n":                           "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n$9223372036854775807\r\n":         "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n$536870913\r\n":                   "-ERR Protocol error: invalid bulk length\r\n",
		"PING\r\n*1\r\n$x\r\nPING\r\n":           "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n",
		"QUIT\r\nPING\r\n":                       "+OK\r\n",
		"POST / HTTP/1.1\r\n\r\nSET h 1\r\n":     "", // a page in a browser can send this
		"Host: localhost\r\n\r\nSET h 1\r\n":     "",
		"SET k v\r\nQUIT now\r\n":                "+OK\r\n+OK\r\n",
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\nGET k\r\n":    "+OK\r\n$1\r\nv\r\n",
		"INCR n\r\nINCR n\r\nGET n\r\nINCR k\r\nINCR n\r\n":     ":1\r\n:2\r\n$1\r\n2\r\n:1\r\n:3\r\n",
		"MULTI\r\nINCR n\r\nEXEC\r\nDEL n\r\nFLUSHALL\r\n":      "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n:1\r\n+OK\r\n",
		"SET a 1\r\nAPPEND a x\r\nINCR a\r\nGET a\r\nDEL a\r\n": "+OK\r\n:2\r\n-ERR value is not an integer or out of range\r\n$2\r\n1x\r\n:1\r\n",
	}
}

func TestProtocol(t *testing.T) {
	for sent, want := range exchanges() {
		_, addr := start(t, Config{})
		if got := exchange(t, "tcp", addr, sent); got != want {
			t.Errorf("%.60q\n got %.200q\nwant %.200q", sent, got, want)
		}
	}
}

// TestBrowser: what a page in a browser sends to the address does nothing.
func TestBrowser(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "GET"} {
		store := newMemory()
		_, addr := start(t, Config{Store: store})
		exchange(t, "tcp", addr, method+" / HTTP/1.1\r\nHost: "+addr+"\r\nContent-Type: text/plain\r\n\r\nSET h 1\r\n")
		if u, err := store.Usage(t.Context(), defaultApp); err != nil || u.Keys != 0 {
			t.Errorf("%s: %d keys, %v, want none", method, u.Keys, err)
		}
	}
}

// TestLongLines: lines over MaxInlineBytes end the connection. Redis takes four times as much.
func TestLongLines(t *testing.T) {
	_, addr := start(t, Config{})
	for begin, want := range map[string]string{
		"x":        "-ERR Protocol error: too big inline request\r\n",
		"*1":       "-ERR Protocol error: too big mbulk count string\r\n",
		"*1\r\n$1": "-ERR Protocol error: too big bulk count string\r\n",
	} {
		if got := exchange(t, "tcp", addr, begin+strings.Repeat("1", MaxInlineBytes)); got != want {
			t.Errorf("%q = %q, want %q", begin, got, want)
		}
	}
	fits := strings.Repeat("x", MaxInlineBytes-len("ECHO \r\n"))
	if got := exchange(t, "tcp", addr, "ECHO "+fits); got != fmt.Sprintf("$%d\r\n%s\r\n", len(fits), fits) {
		t.Errorf("the longest line = %.80q", got)
	}
}

// TestProtocolAgrees holds the table to a real Redis.
func TestProtocolAgrees(t *testing.T) {
	socket := realRedis(t)
	for sent, want := range exchanges() {
		exchange(t, "unix", socket, "FLUSHALL\r\n")
		if got := exchange(t, "unix", socket, sent); got != want {
			t.Errorf("%.60q\n got %.200q\nwant %.200q", sent, got, want)
		}
	}
}

// exchange sends bytes and then a command whose reply shows that all are answered, and answers what came before.
func exchange(t *testing.T, network, addr, sent string) string {
	t.Helper()
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	go func() { _, _ = io.WriteString(nc, sent+"\r\nECHO thelast\r\n") }() // it may be closed before all is sent
	_ = nc.SetReadDeadline(time.Now().Add(time.Minute))
	var got strings.Builder
	br := bufio.NewReader(nc)
	for {
		line, err := br.ReadString('\n')
		got.WriteString(line)
		if err != nil || strings.HasSuffix(got.String(), "$7\r\nthelast\r\n") {
			return strings.TrimSuffix(got.String(), "$7\r\nthelast\r\n")
		}
	}
}

// FuzzReader reads anything within the limits. What it has read it reads again when it is written as a client would,
// and so does redcon.
func FuzzReader(f *testing.F) {
	for sent := range exchanges() {
		f.Add([]byte(sent))
	}
	f.Add([]byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$600\r\n" + strings.Repeat("x", 600) + "\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		commands := readAll(bytes.NewReader(sent))
		var again []byte
		for _, args := range commands {
			if len(args) > MaxArgs {
				t.Fatalf("%d arguments", len(args))
			}
			again = redcon.AppendArray(again, len(args))
			for _, a := range args {
				again = redcon.AppendBulk(again, a)
			}
		}
		if got := readAll(iotest.OneByteReader(bytes.NewReader(again))); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", commands) {
			t.Errorf("%q: read %q, and written anew %q", sent, commands, got)
		}
		var theirs [][][]byte
		for rd := redcon.NewReader(bytes.NewReader(again)); ; {
			cmd, err := rd.ReadCommand()
			if err != nil {
				break
			}
			theirs = append(theirs, cmd.Args)
		}
		if fmt.Sprintf("%q", theirs) != fmt.Sprintf("%q", commands) {
			t.Errorf("%q: read %q, redcon %q", sent, commands, theirs)
		}
	})
}

// readAll answers the commands up to the first error.
func readAll(from io.Reader) (all [][][]byte) {
	for r := newReader(from); ; {
		args, _, err := r.next()
		if err != nil {
			return all
		}
		if len(args) > 0 {
			all = append(all, args)
		}
	}
}

// FuzzCommands sends any commands: each is answered once, by what can be read, and the server lives.
func FuzzCommands(f *testing.F) {
	for _, line := range []string{"SET a 1 EX 10 NX GET", "GETEX a PXAT 1", "EXPIRE a -1 GT XX", "MSETNX a 1 b 2", "SCAN 0 MATCH [a-^ COUNT 7",
		"MULTI", "EXEC", "WATCH a b", "DECRBY a -9223372036854775808", "HELLO 3 AUTH a b SETNAME c", "AUTH a b", "COMMAND INFO get x", "CLIENT SETINFO lib-name x",
		"CONFIG GET a* [", "KEYS *[", "INFO memory x", "APPEND a x", "PEXPIREAT a 9223372036854775807 LT", "FLUSHALL ASYNC", "RESET", "GETDEL a", "DEL a a"} {
		f.Add("SET a 1", line, "EXEC")
		f.Add("MULTI", line, "GET a")
	}
	f.Fuzz(func(t *testing.T, first, second, third string) {
		s, err := New(Config{Store: newMemory(), Anonymous: "default", Authorize: tokens(map[string]string{"a": "b"})})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); newConn(s, theirs).serve(t.Context()); theirs.Close() }()
		c := newClient(t, ours)
		for _, line := range []string{first, second, third} {
			args, ok := splitLine([]byte(line))
			if !ok || len(args) == 0 {
				continue
			}
			c.send(line)
			if reply, err := readReply(c.br); err != nil {
				t.Fatalf("%q: reply %q, %v", line, reply, err)
			}
			if strings.EqualFold(string(args[0]), "quit") {
				break
			}
		}
		ours.Close()
		<-done
	})
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"?", "", false}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false},
		{"*a", "aaab", false}, {"[^a]", "b", true}, {"[a-c]x", "bx", true}, {`\*`, "*", true}, {`\*`, "a", false}, {`[\]]`, "]", true},
	} {
		if got := matches(c.pattern, c.s); got != c.want {
			t.Errorf("matches(%q, %q) = %v, want %v", c.pattern, c.s, got, c.want)
		}
	}
	long := strings.Repeat("a", 2000)
	if matches(strings.Repeat("*a", 500)+"b", long) { // exponential for a matcher that tries all ways
		t.Error("matches what has no b")
	}
}

// FuzzMatches holds matches to the definition, written as recursion.
func FuzzMatches(f *testing.F) {
	f.Add("a*[b-d]?", "abcde")
	f.Add(`\a[^\]x]*`, "aby")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 12 {
			return
		}
		if got, want := matches(pattern, s), matchesByDefinition(pattern, s); got != want {
			t.Errorf("matches(%q, %q) = %v, want %v", pattern, s, got, want)
		}
		if prefix := literalPrefix(pattern); matches(pattern, s) && !strings.HasPrefix(s, prefix) {
			t.Errorf("%q matches %q, but not its prefix %q", s, pattern, prefix)
		}
	})
}

func matchesByDefinition(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return matchesByDefinition(pattern[1:], s) || s != "" && matchesByDefinition(pattern, s[1:])
	case s == "":
		return false
	}
	ok, width := matchOne(pattern, s[0])
	return ok && matchesByDefinition(pattern[width:], s[1:])
}

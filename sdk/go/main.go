package sett

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Main serves one request with the registered handlers as a CGI/1.1 program: the request comes from the environment
// and standard input, the reply goes to standard output. It does not return: the program exits 0, or 1 with the
// reason on standard error when a Handle failed.
//
// A program whose main calls Main runs under any CGI server and in a terminal, where a missing REQUEST_METHOD is GET
// and a missing REQUEST_URI is PATH_INFO, else /:
//
//	REQUEST_URI=/hello/ada go run .
//
// It also lets a module built without -buildmode=c-shared run on a node, as a command. Built as a reactor, main and
// so Main never run.
func Main() {
	host.Run()
	if err := serveCGI(os.Environ(), os.Stdin, os.Stdout); err != nil {
		println("sett:", err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// serveCGI answers the request described by environ. Nothing is written unless the whole reply is there.
func serveCGI(environ []string, in io.Reader, out io.Writer) error {
	g := newGuest()
	length := cgiEvent(environ, &g.event)
	if err := readBody(&g.event, length, in); err != nil {
		return err
	}
	r := g.serve()
	if r.Error != "" {
		return errors.New(r.Error)
	}
	var head []byte
	if r.Status != 0 || len(r.Headers) == 0 { // a header block is never empty
		head = append(head, "Status: "+strconv.Itoa(max(r.Status, 200))+"\r\n"...)
	}
	for _, h := range r.Headers {
		if !abi.ValidHeader(h) {
			return errors.New("header " + strconv.Quote(h.Name) + " has no valid name or value")
		}
		head = append(head, h.Name+": "+h.Value+"\r\n"...)
	}
	head = append(head, "\r\n"...)
	if _, err := out.Write(head); err != nil {
		return err
	}
	_, err := out.Write(r.Body)
	return err
}

// cgiEvent fills e from the request's variables. length is CONTENT_LENGTH's text.
func cgiEvent(environ []string, e *abi.Event) (length string) {
	*e = abi.Event{Method: "GET", Trigger: abi.TriggerHTTP, Attempt: 1, Scheme: "http", Proto: "HTTP/1.0"}
	env := map[string]string{}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
		if header, ok := strings.CutPrefix(name, "HTTP_"); ok && header != "HOST" {
			e.Headers = append(e.Headers, abi.Field{Name: headerName(header), Value: value})
		}
		if param, ok := strings.CutPrefix(name, "SETT_PARAM_"); ok {
			e.Params = append(e.Params, abi.Field{Name: strings.ToLower(param), Value: value})
		}
	}
	for name, field := range map[string]*string{
		"REQUEST_METHOD": &e.Method, "SERVER_PROTOCOL": &e.Proto, "SETT_INVOCATION": &e.Invocation, "SETT_APP": &e.App,
		"SETT_FUNCTION": &e.Function, "SETT_TRIGGER": &e.Trigger, "SETT_PATTERN": &e.Pattern, "SETT_HANDLER": &e.Handler,
	} {
		if env[name] != "" {
			*field = env[name]
		}
	}
	e.Version, _ = strconv.Atoi(env["SETT_VERSION"])
	if n, err := strconv.Atoi(env["SETT_ATTEMPT"]); err == nil {
		e.Attempt = n
	}
	e.DeadlineUnixMS, _ = strconv.ParseInt(env["SETT_DEADLINE_UNIX_MS"], 10, 64)
	if https := env["HTTPS"]; https != "" && !strings.EqualFold(https, "off") {
		e.Scheme = "https"
	}
	if env["CONTENT_TYPE"] != "" {
		e.Headers = append(e.Headers, abi.Field{Name: "Content-Type", Value: env["CONTENT_TYPE"]})
	}
	e.Path, e.Query = cgiPath(env)
	e.Host, e.Remote = cgiHost(env), cgiRemote(env)
	return env["CONTENT_LENGTH"]
}

// cgiPath is the path as sent. A server that has mounted the program somewhere says where in SCRIPT_NAME, and what
// is below only in PATH_INFO.
func cgiPath(env map[string]string) (path, query string) {
	path, query = env["REQUEST_URI"], env["QUERY_STRING"]
	if path == "" || env["SCRIPT_NAME"] != "" {
		path = escapePath(env["PATH_INFO"])
	}
	path, after, _ := strings.Cut(path, "?")
	if query == "" {
		query = after
	}
	if _, after, ok := strings.Cut(path, "://"); ok && path[0] != '/' { // absolute form
		_, path, _ = strings.Cut(after, "/")
	}
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	return path, query
}

func cgiHost(env map[string]string) string {
	if env["HTTP_HOST"] != "" || env["SERVER_NAME"] == "" {
		return env["HTTP_HOST"]
	}
	if port := env["SERVER_PORT"]; port != "" && port != "80" && port != "443" {
		return env["SERVER_NAME"] + ":" + port
	}
	return env["SERVER_NAME"]
}

func cgiRemote(env map[string]string) string {
	addr, port := env["REMOTE_ADDR"], env["REMOTE_PORT"]
	if addr == "" || port == "" {
		return addr
	}
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return addr + ":" + port
}

// readBody reads as much as CONTENT_LENGTH says. Without it, only what must have a body is read to its end: on a
// terminal a GET would wait for nothing.
func readBody(e *abi.Event, length string, in io.Reader) error {
	if length == "" {
		if (e.Method == "GET" || e.Method == "HEAD") && e.Handler == "" && len(table.routes) > 0 {
			return nil
		}
		body, err := io.ReadAll(io.LimitReader(in, abi.MaxMessageBytes+1))
		if len(body) > abi.MaxMessageBytes {
			return errors.New("the body is longer than " + strconv.Itoa(abi.MaxMessageBytes) + " bytes")
		}
		e.Body = body
		return err
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > abi.MaxMessageBytes {
		return errors.New("CONTENT_LENGTH " + strconv.Quote(length) + " is no length")
	}
	if n == 0 {
		return nil
	}
	e.Body = make([]byte, n)
	if _, err := io.ReadFull(in, e.Body); err != nil {
		return errors.New("the body is shorter than CONTENT_LENGTH " + length)
	}
	return nil
}

// headerName turns ACCEPT_LANGUAGE into Accept-Language.
func headerName(variable string) string {
	b := []byte(strings.ToLower(variable))
	for i := range b {
		if b[i] == '_' {
			b[i] = '-'
		}
		if b[i] >= 'a' && b[i] <= 'z' && (i == 0 || b[i-1] == '-') {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// escapePath percent-encodes what may not stand in a path.
func escapePath(s string) string {
	const hex = "0123456789ABCDEF"
	var b []byte
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`%?#"<>\^`+"`{|}", c) >= 0 {
			b = append(b, '%', hex[c>>4], hex[c&15])
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

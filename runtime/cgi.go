package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// environment answers the variables of a command: CGI/1.1's, ours, and the settings' except under names of the
// former. Errors are coded abi.InvalidInput: a variable cannot hold a NUL.
// Source: RFC 3875, 4.1 "Request Meta-Variables".
func environment(software string, v *registry.Version, e *abi.Event) ([]string, error) {
	path, err := url.PathUnescape(e.Path)
	if err != nil {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("decode path: %w", err))
	}
	env := make([]string, 0, 24+len(e.Headers)+len(e.Params)+len(v.Settings.Env))
	set := func(name, value string) { env = append(env, name+"="+value) }
	set("GATEWAY_INTERFACE", "CGI/1.1")
	set("SERVER_SOFTWARE", software)
	set("SERVER_PROTOCOL", e.Proto)
	setServer(set, e)
	set("REQUEST_METHOD", e.Method)
	set("REQUEST_URI", requestURI(e))
	set("SCRIPT_NAME", "")
	set("PATH_INFO", path)
	set("QUERY_STRING", e.Query)
	switch {
	case e.More:
		if i := slices.IndexFunc(e.Headers, func(h abi.Field) bool { return strings.EqualFold(h.Name, "Content-Length") }); i >= 0 {
			set("CONTENT_LENGTH", e.Headers[i].Value) // else the body ends where standard input does
		}
	case len(e.Body) > 0:
		set("CONTENT_LENGTH", strconv.Itoa(len(e.Body)))
	}
	setPlatform(set, v, e)
	env = appendHeaders(env, e.Headers)
	for _, p := range e.Params {
		set("SETT_PARAM_"+variable(p.Name), p.Value)
	}
	env = append(env, settingsEnv(v)...)
	for _, s := range env {
		if strings.IndexByte(s, 0) >= 0 {
			name, _, _ := strings.Cut(s, "=")
			return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("%s holds a NUL, which a command cannot be given", name))
		}
	}
	return env, nil
}

func setServer(set func(name, value string), e *abi.Event) {
	port := "80"
	if e.Scheme == "https" {
		port = "443"
		set("HTTPS", "on")
	}
	host := e.Host
	if h, p, err := net.SplitHostPort(e.Host); err == nil {
		host, port = h, p
	}
	set("SERVER_NAME", host)
	set("SERVER_PORT", port)
	if addr, p, err := net.SplitHostPort(e.Remote); err == nil {
		set("REMOTE_ADDR", addr)
		set("REMOTE_PORT", p)
	} else {
		set("REMOTE_ADDR", e.Remote)
	}
}

func setPlatform(set func(name, value string), v *registry.Version, e *abi.Event) {
	set("SETT_TRIGGER", e.Trigger)
	set("SETT_INVOCATION", e.Invocation)
	set("SETT_APP", e.App)
	set("SETT_FUNCTION", e.Function)
	set("SETT_VERSION", strconv.Itoa(e.Version))
	set("SETT_ATTEMPT", strconv.Itoa(e.Attempt))
	if e.DeadlineUnixMS != 0 {
		set("SETT_DEADLINE_UNIX_MS", strconv.FormatInt(e.DeadlineUnixMS, 10))
	}
	if e.Pattern != "" {
		set("SETT_PATTERN", e.Pattern)
	}
	if e.Handler != "" {
		set("SETT_HANDLER", e.Handler)
	}
}

func requestURI(e *abi.Event) string {
	if e.Query == "" {
		return e.Path
	}
	return e.Path + "?" + e.Query
}

// appendHeaders appends HTTP_NAME variables. Headers of one name are joined. A header whose name would not come
// back from its variable (an underscore, say) is left out, so that it cannot pass for another, and so is Proxy,
// whose variable libraries read as the outgoing proxy.
func appendHeaders(env []string, headers []abi.Field) []string {
	first := len(env)
	for _, h := range headers {
		name := variable(h.Name)
		if !plainHeader(h.Name) || name == "PROXY" || name == "CONTENT_LENGTH" {
			continue
		}
		prefix, separator := "HTTP_"+name+"=", ", "
		switch name {
		case "CONTENT_TYPE":
			prefix = "CONTENT_TYPE="
		case "COOKIE":
			separator = "; "
		}
		i := slices.IndexFunc(env[first:], func(s string) bool { return strings.HasPrefix(s, prefix) })
		if i < 0 {
			env = append(env, prefix+h.Value)
		} else {
			env[first+i] += separator + h.Value
		}
	}
	return env
}

// plainHeader says whether name has only letters, digits and dashes.
func plainHeader(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c != '-' && !isAlnum(c) {
			return false
		}
	}
	return name != ""
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// variable answers name in upper case, with _ for what is neither letter nor digit.
func variable(name string) string {
	b := []byte(name)
	for i, c := range b {
		switch {
		case !isAlnum(c):
			b[i] = '_'
		case c >= 'a':
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// settingsEnv answers the settings' variables, in order of their names, but for those that belong to requests.
func settingsEnv(v *registry.Version) []string {
	if len(v.Settings.Env) == 0 {
		return nil
	}
	env := make([]string, 0, len(v.Settings.Env))
	for name, value := range v.Settings.Env {
		if !registry.ReservedEnv(name) {
			env = append(env, name+"="+value)
		}
	}
	slices.Sort(env)
	return env
}

// Errors of a CGI response.
var (
	errNoHeaders = errors.New("standard output starts with no CGI header (such as Content-Type: text/plain)")
	errNoBlank   = errors.New("no empty line ends the CGI header")
)

// parseCGI reads a CGI response into reply, whose Body is part of out. Lines end in LF or CRLF. The status is
// that of the Status header, else 302 when there is a Location, else 200: a Location is always the client's to
// follow. Names, values and status are checked by checkReply.
// Source: RFC 3875, 6 "CGI Response".
func parseCGI(out []byte, reply *abi.Reply) error {
	start, located := len(out), false
	for {
		line, rest, found := bytes.Cut(out, []byte{'\n'})
		if !found {
			if len(reply.Headers) == 0 && reply.Status == 0 {
				return errNoHeaders
			}
			return errNoBlank
		}
		if start-len(rest) > MaxHeaderBytes {
			return fmt.Errorf("the CGI header is longer than %d bytes", MaxHeaderBytes)
		}
		out = rest
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			break
		}
		f, err := cgiField(line)
		if err != nil {
			return err
		}
		switch {
		case strings.EqualFold(f.Name, "Status"):
			if err := setStatus(reply, f.Value); err != nil {
				return err
			}
			continue
		case strings.EqualFold(f.Name, "Location"):
			located = true
		}
		reply.Headers = append(reply.Headers, f)
	}
	if len(reply.Headers) == 0 && reply.Status == 0 {
		return errNoHeaders
	}
	if reply.Status == 0 && located {
		reply.Status = 302
	}
	reply.Body = out
	return nil
}

// cgiField reads "Name: value".
func cgiField(line []byte) (abi.Field, error) {
	name, value, found := bytes.Cut(line, []byte{':'})
	if !found {
		return abi.Field{}, fmt.Errorf("CGI header line %.80q has no colon", line)
	}
	return abi.Field{Name: string(name), Value: string(bytes.Trim(value, " \t"))}, nil
}

// setStatus reads "404 Not Found".
func setStatus(reply *abi.Reply, value string) error {
	digits, _, _ := strings.Cut(value, " ")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || len(digits) != 3 {
		return fmt.Errorf("CGI header has status %.80q, want three digits", value)
	}
	if reply.Status != 0 {
		return errors.New("CGI header has two Status lines")
	}
	reply.Status = int(n)
	return nil
}

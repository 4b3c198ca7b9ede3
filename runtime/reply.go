package runtime

import (
	"fmt"

	"github.com/sett-run/sett/sdk/abi"
)

// checkReply checks what a guest answered, so that nothing invalid reaches a client. It fills in status 200.
// Source: RFC 9110, 5.1, 5.5, 5.6.2 and 15.
func checkReply(r *abi.Reply, maxBody int) error {
	if r.Status == 0 {
		r.Status = 200
	}
	if r.Status < 200 || r.Status > 599 {
		return fmt.Errorf("the reply has status %d, want 200 to 599", r.Status)
	}
	if len(r.Headers) > abi.MaxHeaders {
		return fmt.Errorf("the reply has %d headers, more than %d", len(r.Headers), abi.MaxHeaders)
	}
	size := 0
	for i := range r.Headers {
		h := &r.Headers[i]
		if !isToken(h.Name) {
			return fmt.Errorf("the reply has an invalid header name %.80q", h.Name)
		}
		if !isFieldValue(h.Value) {
			return fmt.Errorf("the reply's header %.80s has an invalid value %.80q", h.Name, h.Value)
		}
		size += len(h.Name) + len(h.Value)
	}
	if size > MaxHeaderBytes {
		return fmt.Errorf("the reply's header is longer than %d bytes", MaxHeaderBytes)
	}
	if len(r.Body) > maxBody {
		return fmt.Errorf("the reply's body of %d bytes is over the limit of %d", len(r.Body), maxBody)
	}
	return nil
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && !isTokenMark(c) {
			return false
		}
	}
	return s != ""
}

func isTokenMark(c byte) bool {
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}

// isFieldValue says whether s has no control character but the tab.
func isFieldValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

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
	if err := checkFields("header", r.Headers); err != nil {
		return err
	}
	if err := checkFields("trailer", r.Trailers); err != nil {
		return err
	}
	if len(r.Body) > maxBody {
		return fmt.Errorf("the reply's body of %d bytes is over the limit of %d", len(r.Body), maxBody)
	}
	return nil
}

// checkFields checks the headers, or the trailers, of a reply.
func checkFields(what string, list []abi.Field) error {
	if len(list) > abi.MaxHeaders {
		return fmt.Errorf("the reply has %d %ss, more than %d", len(list), what, abi.MaxHeaders)
	}
	size := 0
	for i := range list {
		h := &list[i]
		if !abi.ValidHeader(*h) {
			if !abi.ValidHeader(abi.Field{Name: h.Name}) {
				return fmt.Errorf("the reply has an invalid %s name %.80q", what, h.Name)
			}
			return fmt.Errorf("the reply's %s %.80s has an invalid value %.80q", what, h.Name, h.Value)
		}
		size += len(h.Name) + len(h.Value)
	}
	if size > MaxHeaderBytes {
		return fmt.Errorf("the reply's %s is longer than %d bytes", what, MaxHeaderBytes)
	}
	return nil
}

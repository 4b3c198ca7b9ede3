package peer

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

// native is a Codes with one module's code, which breaks off when it is "broken".
type native string

func (c native) HasCode(digest string) bool { return digest == strings.Repeat("a", 64) }

func (c native) WriteCode(_ context.Context, _ string, w io.Writer) error {
	if _, err := io.WriteString(w, string(c)); err != nil {
		return err
	}
	if c == "broken" {
		return errors.New("disk")
	}
	return nil
}

func TestCode(t *testing.T) {
	has, hasNot := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for _, c := range []struct {
		codes  Codes
		digest string
		want   string
		code   abi.Code
		fails  bool
	}{
		{native("native"), has, "native", "", false},
		{native("native"), hasNot, "", abi.NotFound, true},
		{native("native"), "../etc", "", abi.InvalidInput, true},
		{nil, has, "", abi.NotFound, true},
		{native("broken"), has, "", abi.Unavailable, true},
	} {
		w := newWorld(t)
		_, node := w.server("a", ServerConfig{Codes: c.codes})
		client := w.client("b")
		var got []byte
		err := client.Code(t.Context(), node, c.digest, func(r io.Reader) (err error) {
			got, err = io.ReadAll(r)
			return err
		})
		if (err != nil) != c.fails || c.code != "" && abi.CodeOf(err) != c.code || string(got) != c.want {
			t.Errorf("Code(%.8s) of %v = %q, %v", c.digest, c.codes, got, err)
		}
	}
}

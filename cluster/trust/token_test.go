package trust

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

func testToken() Token {
	return Token{Addresses: []string{"127.0.0.1:7947", "[::1]:7947", "den.example:80"}, Root: Fingerprint{1, 2, 3},
		Invite: "0123456789abcdef", Secret: Secret{9, 8, 7, 6, 5, 4, 3, 2, 1}}
}

func TestToken(t *testing.T) {
	want := testToken()
	text := want.Text()
	for _, form := range []string{text, " " + text + "\n", text[:40] + "\r\n  " + text[40:]} {
		if got, err := ParseToken(form); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseToken(%q) = %#v, %v", form, got, err)
		}
	}
	const golden = "sett-join-1.AGgBAgMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEjRWeJq83vCQgHBgUEAwIBAAAAAAAAAAMOMTI3LjAuMC4xOjc5NDcKWzo6MV06Nzk0Nw5kZW4uZXhhbXBsZTo4MOlFsZ4" // tokens of one release are read by the next
	if text != golden {
		t.Errorf("Text = %q, want %q", text, golden)
	}
	for n := range len(text) {
		_, err := ParseToken(text[:n])
		cut := "cut off"
		if n < len(tokenPrefix) {
			cut = "" // it could be anything
		}
		if err == nil || !strings.Contains(err.Error(), cut) {
			t.Errorf("ParseToken of the first %d of %d bytes = %v, want that it is cut off", n, len(text), err)
		}
	}
	for n := range len(text) {
		b := []byte(text)
		b[n] = map[bool]byte{true: 'B', false: 'A'}[b[n] == 'A']
		if _, err := ParseToken(string(b)); err == nil {
			t.Errorf("ParseToken accepts a token with its byte %d changed", n)
		}
	}
}

func TestParseTokenRefuses(t *testing.T) {
	text := testToken().Text()
	for _, c := range []struct{ text, want string }{
		{"", "does not begin with sett-join-1."},
		{"hello", "does not begin with"},
		{"sett-join-2." + text[len(tokenPrefix):], "another version"},
		{text + "AAAA", "longer"},
		{text + "!", "characters"},
		{text + strings.Repeat("A", MaxTokenBytes), "at most 2048"},
	} {
		_, err := ParseToken(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("ParseToken(%.60q) = %v, want one about %q", c.text, err, c.want)
		}
	}
}

func TestTokenLimits(t *testing.T) {
	long := strings.Repeat("h", maxAddressBytes-3) + ":80"
	for _, c := range []struct {
		name      string
		addresses []string
		ok        bool
	}{
		{"the most", slices.Repeat([]string{long}, MaxTokenAddresses), true},
		{"none", nil, false},
		{"too many", slices.Repeat([]string{"h:1"}, MaxTokenAddresses+1), false},
		{"too long", []string{"h" + long}, false},
		{"no port", []string{"host"}, false},
		{"port 0", []string{"host:0"}, false},
		{"a port's name", []string{"host:http"}, false},
		{"no host", []string{":80"}, false},
		{"a space", []string{"a b:80"}, false},
	} {
		token := testToken()
		token.Addresses = c.addresses
		if err := token.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: Validate = %v, want valid %v", c.name, err, c.ok)
		}
		if c.ok {
			text := token.Text()
			if got, err := ParseToken(text); len(text) > MaxTokenBytes || !reflect.DeepEqual(got, token) {
				t.Errorf("%s: ParseToken of %d bytes = %#v, %v", c.name, len(text), got, err)
			}
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	token := testToken()
	values := []any{token, &token, token.Secret, &token.Secret, Request{Secret: token.Secret},
		Redemption{Secret: token.Secret}, Answer{Keys: [][]byte{token.Secret[:]}}}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if _, keys := v.(Answer); keys && (verb == "%x" || verb == "%d") {
				continue
			}
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("log", "value", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("log", "value", v)
	}
	if err := json.NewEncoder(&out).Encode(values[:5]); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{hex.EncodeToString(token.Secret[:8]), "9 8 7 6", "9,8,7,6", "0x9, 0x8", "9, 8, 7", token.Text()[70:80]} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed in\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), "***") {
		t.Error("*** is not printed")
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(testToken().Text())
	f.Add("sett-join-1.")
	f.Add("sett-join-2.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) >= tokenHead { // what a checksum keeps the fuzzer from
			if token, err := decodeToken([]byte(text)); err == nil {
				token.Text()
			}
		}
		token, err := ParseToken(text)
		if err != nil {
			if abi.CodeOf(err) != abi.InvalidInput {
				t.Errorf("ParseToken(%q) = %v without its code", text, err)
			}
			return
		}
		if got := token.Text(); got != strings.Join(strings.Fields(text), "") {
			t.Errorf("ParseToken(%q).Text() = %q", text, got)
		}
	})
}

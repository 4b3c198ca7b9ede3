package trust

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a token. More addresses make it longer to type and likelier to work when nodes are down.
const (
	MaxTokenAddresses = 5
	MaxTokenBytes     = 2 << 10 // as text
	maxAddressBytes   = 255
)

const (
	tokenPrefix   = "sett-join-1."
	checksumBytes = 4
	// Before the addresses: the size, the fingerprint, the invite's id, the secret, and how many addresses follow.
	tokenHead = 2 + sha256.Size + idDigits/2 + len(Secret{}) + 1
)

// Secret is 128 random bits that are printed as ***.
type Secret [16]byte

func newSecret() (s Secret) {
	rand.Read(s[:]) // never fails, crypto/rand
	return s
}

// Format prints ***, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// MarshalText answers ***, so that no encoder shows the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// LogValue is ***.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// Token is what a new node needs in order to join. It is a secret: Text tells it, everything else prints ***.
type Token struct {
	Addresses []string    // HOST:PORT of TLS ports of the cluster, 1 to MaxTokenAddresses
	Root      Fingerprint // of the cluster's root
	Invite    string      // the invite's id: 16 hexadecimal digits
	Secret    Secret
}

// String answers ***.
func (Token) String() string { return "***" }

// GoString answers ***.
func (Token) GoString() string { return "***" }

// LogValue is ***.
func (Token) LogValue() slog.Value { return slog.StringValue("***") }

// Validate names every fault of the token. Its errors are coded abi.InvalidInput.
func (t Token) Validate() error {
	var errs []error
	if n := len(t.Addresses); n < 1 || n > MaxTokenAddresses {
		errs = append(errs, fmt.Errorf("%d addresses, want 1 to %d", n, MaxTokenAddresses))
	}
	for _, a := range t.Addresses {
		errs = append(errs, checkAddress(a))
	}
	if !validID(t.Invite) {
		errs = append(errs, fmt.Errorf("invite %.40q is not %d hexadecimal digits", t.Invite, idDigits))
	}
	return abi.WithCode(abi.InvalidInput, errors.Join(errs...))
}

// checkAddress accepts HOST:PORT that can be dialled.
func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err == nil {
		var n uint64
		n, err = strconv.ParseUint(port, 10, 16)
		if n == 0 {
			err = errors.New("no port")
		}
	}
	printable := !strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' })
	if err != nil || host == "" || !printable || len(a) > maxAddressBytes {
		return fmt.Errorf("address %.80q is not HOST:PORT of at most %d bytes", a, maxAddressBytes)
	}
	return nil
}

// Text is the token as ParseToken reads it. It panics when the token is not valid.
func (t Token) Text() string {
	if err := t.Validate(); err != nil {
		panic("trust: token: " + err.Error())
	}
	invite, _ := hex.DecodeString(t.Invite) // it is valid
	b := slices.Concat([]byte{0, 0}, t.Root[:], invite, t.Secret[:], []byte{byte(len(t.Addresses))})
	for _, a := range t.Addresses {
		b = append(append(b, byte(len(a))), a...)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)+checksumBytes))
	sum := sha256.Sum256(b)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:checksumBytes]...))
}

// ParseToken reads a token's text; spaces and line ends, as a terminal or a mail puts them in, do not matter. The error,
// coded abi.InvalidInput, says what is wrong and holds nothing of the token.
func ParseToken(text string) (Token, error) {
	t, err := parseToken(text)
	if err != nil {
		return Token{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("parse join token: %w", err))
	}
	return t, nil
}

func parseToken(text string) (t Token, err error) {
	if len(text) > MaxTokenBytes {
		return t, fmt.Errorf("it has %d bytes, at most %d are allowed", len(text), MaxTokenBytes)
	}
	text = strings.Join(strings.Fields(text), "")
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case !ok && strings.HasPrefix(text, "sett-join-"):
		return t, errors.New("it is of another version of sett; upgrade this node, or make the token with a node of its version")
	case !ok:
		return t, fmt.Errorf("it does not begin with %s", tokenPrefix)
	}
	whole := encoded[:len(encoded)-len(encoded)%4] // a text that is cut off need not end between two bytes
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		if head, err := base64.RawURLEncoding.DecodeString(whole); err == nil && cutOff(head) {
			return t, errors.New("it is cut off; copy all of it")
		}
		return t, errors.New("it holds characters that do not belong there")
	}
	if cutOff(b) {
		return t, errors.New("it is cut off; copy all of it")
	}
	if len(b) != int(binary.BigEndian.Uint16(b)) {
		return t, errors.New("it is longer than it should be; copy nothing else")
	}
	body, sum := b[:len(b)-checksumBytes], sha256.Sum256(b[:len(b)-checksumBytes])
	if !slices.Equal(sum[:checksumBytes], b[len(body):]) {
		return t, errors.New("it was changed or mistyped: its checksum does not match")
	}
	return decodeToken(body)
}

// cutOff says whether b is shorter than it says, or too short to say so.
func cutOff(b []byte) bool {
	return len(b) < tokenHead+checksumBytes || len(b) < int(binary.BigEndian.Uint16(b))
}

// decodeToken reads what has a token's size and checksum, and so was very likely made by Text.
func decodeToken(b []byte) (t Token, err error) {
	b = b[2:]
	b = b[copy(t.Root[:], b):]
	t.Invite = hex.EncodeToString(b[:idDigits/2])
	b = b[idDigits/2:]
	b = b[copy(t.Secret[:], b):]
	n := int(b[0])
	b = b[1:]
	for range min(n, MaxTokenAddresses) {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return Token{}, errors.New("an address is not whole")
		}
		end := 1 + int(b[0])
		t.Addresses = append(t.Addresses, string(b[1:end]))
		b = b[end:]
	}
	if n > MaxTokenAddresses || len(b) > 0 {
		return Token{}, fmt.Errorf("more than %d addresses, or something behind them", MaxTokenAddresses)
	}
	if err := t.Validate(); err != nil {
		return Token{}, err
	}
	return t, nil
}

package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/sdk/abi"
)

// How deep a request's JSON may nest: the deepest shape has seven levels. JSON of the caller's own within it, such as a schema or an
// event, may go as deep as a manifest.
const (
	maxDepth         = 16
	maxDocumentDepth = manifest.MaxDepth
)

// readJSON reads a request's body into out, a pointer to a struct. An empty body leaves out as it is. What is
// wrong is named with its place: unknown keys with the nearest known one, repeated keys, trailing data.
func (a *Admin) readJSON(w http.ResponseWriter, r *http.Request, limitBytes int64, out any) error {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return withStatus(http.StatusUnsupportedMediaType, abi.InvalidInput,
				fmt.Errorf("content type %.80q: it is application/json", kind))
		}
	}
	text, err := a.readBody(w, r, limitBytes)
	if err != nil {
		return err
	}
	return decodeJSON(text, out)
}

// readBody reads a request's body, which must be there within Limits.ReadTimeout.
func (a *Admin) readBody(w http.ResponseWriter, r *http.Request, limitBytes int64) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(a.limits.ReadTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("limit request's time: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limitBytes))
	if err != nil {
		return nil, bodyError(err)
	}
	// Without this the deadline would end the request's context while a module compiles.
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("limit request's time: %w", err)
	}
	return body, nil
}

// bodyError codes what went wrong while a body was read.
func bodyError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return abi.WithCode(abi.InvalidInput, errors.New("request body: cut off"))
	}
	return fmt.Errorf("read request body: %w", err)
}

func decodeJSON(text []byte, out any) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	if !utf8.Valid(text) { // encoding/json would put U+FFFD for what is not
		return abi.WithCode(abi.InvalidInput, errors.New("request body: not UTF-8"))
	}
	shape := reflect.TypeOf(out).Elem()
	s := &strict{d: json.NewDecoder(bytes.NewReader(text))}
	s.d.UseNumber()
	if err := s.value(shape, "", 0); err != nil {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("request body: %w", jsonError(err, text)))
	}
	if _, err := s.d.Token(); !errors.Is(err, io.EOF) {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("request body: more data after the JSON value, at byte %d", s.d.InputOffset()))
	}
	if err := json.Unmarshal(text, out); err != nil {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("request body: %w", jsonError(err, text)))
	}
	return nil
}

// jsonError words an error of encoding/json for who wrote the JSON.
func jsonError(err error, text []byte) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var damaged base64.CorruptInputError
	switch {
	case errors.As(err, &damaged):
		return fmt.Errorf("body_base64: %w", err) // the only bytes there are
	case errors.As(err, &wrongType):
		at := wrongType.Field
		if at == "" {
			at = "the whole"
		}
		return fmt.Errorf("%s: must be %s, not %s", at, typeWord(wrongType.Type), wrongType.Value)
	case errors.As(err, &syntax):
		line := 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
		return fmt.Errorf("not JSON: %w (line %d, byte %d)", err, line, syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not JSON: it ends too early")
	}
	return err
}

func typeWord(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number that fits"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a base64 string"
		}
		return "a list"
	}
	return "an object"
}

// strict walks JSON beside the Go type it is for, and refuses what encoding/json would let pass: keys the type
// does not have, keys in another case, keys that come twice.
type strict struct{ d *json.Decoder }

func (s *strict) value(t reflect.Type, at string, depth int) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := s.d.Token()
	if err != nil {
		return err
	}
	open, isDelim := token.(json.Delim)
	if !isDelim {
		return nil // whether it fits the type, encoding/json says
	}
	document, most := t == reflect.TypeFor[json.RawMessage](), maxDepth
	if document {
		most = maxDocumentDepth
	}
	if depth == most {
		return fmt.Errorf("%.200s: nested deeper than %d", at, most)
	}
	switch {
	case document:
		return s.document(open, at, depth+1)
	case open == '[':
		return s.list(t, at, depth+1)
	}
	return s.object(t, at, depth+1)
}

// document walks what is JSON of the caller's own, such as a filter.
func (s *strict) document(open json.Delim, at string, depth int) error {
	seen := map[string]bool{}
	for s.d.More() {
		inner := at
		if open == '{' {
			token, err := s.d.Token()
			if err != nil {
				return err
			}
			key := token.(string) // as in object
			if inner = strings.TrimPrefix(at+"."+key, "."); seen[key] {
				return fmt.Errorf("%.200s: given twice", inner)
			}
			seen[key] = true
		}
		if err := s.value(reflect.TypeFor[json.RawMessage](), inner, depth); err != nil {
			return err
		}
	}
	_, err := s.d.Token()
	return err
}

func (s *strict) list(t reflect.Type, at string, depth int) error {
	if t.Kind() != reflect.Slice || t.Elem().Kind() == reflect.Uint8 {
		return fmt.Errorf("%s: must be %s, not a list", place(at), typeWord(t))
	}
	for i := 0; s.d.More(); i++ {
		if err := s.value(t.Elem(), fmt.Sprintf("%s[%d]", at, i), depth); err != nil {
			return err
		}
	}
	_, err := s.d.Token()
	return err
}

func (s *strict) object(t reflect.Type, at string, depth int) error {
	if t.Kind() != reflect.Struct && t.Kind() != reflect.Map || t == reflect.TypeFor[time.Time]() {
		return fmt.Errorf("%s: must be %s, not an object", place(at), typeWord(t))
	}
	keys := fieldTypes(t)
	seen := map[string]bool{}
	for s.d.More() {
		token, err := s.d.Token()
		if err != nil {
			return err
		}
		key := token.(string) // within an object a token before a value is its key
		inner := strings.TrimPrefix(at+"."+key, ".")
		if seen[key] {
			return fmt.Errorf("%.200s: given twice", inner)
		}
		seen[key] = true
		of, known := keys[key]
		if t.Kind() == reflect.Map {
			of, known = t.Elem(), true
		}
		if !known {
			return fmt.Errorf("%.200s: unknown key%s", inner, suggest(key, slices.Sorted(maps.Keys(keys))))
		}
		if err := s.value(of, inner, depth); err != nil {
			return err
		}
	}
	_, err := s.d.Token()
	return err
}

// suggest words the known key nearest to one that is unknown, or all of them when none is near.
func suggest(key string, known []string) string {
	near := manifest.Nearest(key, known)
	switch {
	case near != "":
		return "; did you mean " + near + "?"
	case len(known) == 0:
		return ""
	}
	return "; known are " + strings.Join(known, ", ")
}

func place(at string) string {
	if at == "" {
		return "the whole"
	}
	return at
}

// fieldTypes answers the JSON keys of a struct type. None of the request shapes embeds another.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	keys := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return keys
	}
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			keys[name] = f.Type
		}
	}
	return keys
}

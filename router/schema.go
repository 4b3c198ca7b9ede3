package router

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// maxViolations is how many faults of a body a client is told.
const maxViolations = 10

// schemas are a route's, by media type.
type schemas map[string]*jsonschema.Schema

// compile compiles a route's schemas; nil for none.
func compile(documents map[string]json.RawMessage) (schemas, error) {
	if len(documents) == 0 {
		return nil, nil
	}
	s := make(schemas, len(documents))
	for kind, document := range documents {
		schema, err := registry.CompileSchema(document)
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", kind, err)
		}
		s[kind] = schema
	}
	return s, nil
}

// check answers what is wrong with a request's body. One of a type without a schema is not looked at.
func (s schemas) check(e *abi.Event) error {
	if s == nil {
		return nil
	}
	kind, _, err := mime.ParseMediaType(field(e, "Content-Type"))
	if err != nil {
		kind = "application/json" // as API Gateway takes it when the client says nothing that can be read
	}
	schema := s[kind]
	if schema == nil {
		return nil
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Body))
	if err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("request body is not JSON: %w at byte %d", err, syntax.Offset)
		}
		return fmt.Errorf("request body is not JSON: %w", err)
	}
	err = schema.Validate(body)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return errors.New("request body: " + strings.Join(violations(invalid), "; "))
	}
	return err
}

// violations are the places where a body does not meet its schema, and what is wrong there.
func violations(e *jsonschema.ValidationError) []string {
	printer := message.NewPrinter(language.English)
	var all []string
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			all = append(all, fmt.Sprintf("/%s: %s", strings.Join(e.InstanceLocation, "/"), e.ErrorKind.LocalizedString(printer)))
			return
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(e)
	slices.Sort(all)
	all = slices.Compact(all)
	if more := len(all) - maxViolations; more > 0 {
		all = append(all[:maxViolations], fmt.Sprintf("and %d more", more))
	}
	return all
}

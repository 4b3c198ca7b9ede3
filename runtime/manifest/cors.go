package manifest

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/runtime/registry"
)

// defaultCors is what cors: true means. The headers are those that serverless allows.
func defaultCors() *registry.Cors {
	return &registry.Cors{Origins: []string{"*"}, Headers: []string{"Content-Type", "X-Amz-Date", "Authorization", "X-Api-Key",
		"X-Amz-Security-Token", "X-Amz-User-Agent", "X-Amzn-Trace-Id"}}
}

// cors reads cors of an http event: true, false, or a mapping.
func (r *reader) cors(f field) *registry.Cors { return r.corsOf(f, corsWords()) }

// providerCors reads provider.httpApi, of which cors means something here.
func (r *reader) providerCors(f field) *registry.Cors {
	if cors, ok := section(r.keys(f, providerHTTPAPIWords())).find("cors"); ok {
		return r.corsOf(cors, httpAPICorsWords())
	}
	return nil
}

func (r *reader) corsOf(f field, known words) *registry.Cors {
	if f.value.Kind == yaml.ScalarNode && !isNull(f.value) {
		if !r.yes(f) {
			return nil
		}
		return defaultCors()
	}
	c := defaultCors()
	for _, sub := range r.keys(f, known) {
		switch sub.key {
		case "origin", "origins", "allowedOrigins":
			c.Origins = r.origins(sub)
		case "methods", "allowedMethods":
			c.Methods = upper(r.texts(sub))
		case "headers", "allowedHeaders":
			c.Headers = r.texts(sub)
		case "exposedResponseHeaders":
			c.Expose = r.texts(sub)
		case "allowCredentials":
			c.Credentials = r.yes(sub)
		case "maxAge":
			c.MaxAgeSeconds = r.number(sub, 0, registry.MaxCorsSeconds, "seconds")
		}
	}
	return c
}

// origins reads a list, or one word with commas between, as serverless has it.
func (r *reader) origins(f field) []string {
	var origins []string
	for _, text := range r.texts(f) {
		for _, origin := range strings.Split(text, ",") {
			origins = append(origins, strings.TrimSuffix(strings.TrimSpace(origin), "/"))
		}
	}
	return origins
}

func upper(words []string) []string {
	for i := range words {
		words[i] = strings.ToUpper(words[i])
	}
	return words
}

// request reads request of an http event: JSON schemas by media type.
func (r *reader) request(f field) map[string]json.RawMessage {
	schemas := map[string]json.RawMessage{}
	list, ok := section(r.keys(f, requestWords())).find("schemas")
	if !ok {
		return nil
	}
	for _, sub := range r.mapping(list) {
		at := sub
		if r.hasKey(sub.value, "schema") && !r.hasKey(sub.value, "type") { // with a name and a description
			at, ok = section(r.keys(sub, words{offered: []string{"schema"}, noted: []string{"name", "description"}})).find("schema")
			if !ok {
				continue
			}
		}
		if at.value.Kind == yaml.ScalarNode {
			r.faultAt(at.value, at.path, "%s where a JSON schema is needed, as in ${file(create.json)}", kindName(at.value))
			continue
		}
		schema := r.json(at)
		if schema == nil {
			continue
		}
		if _, err := registry.CompileSchema(schema); err != nil {
			r.faultAt(at.value, at.path, "%v", err)
			continue
		}
		schemas[strings.ToLower(sub.key)] = schema
	}
	return schemas
}

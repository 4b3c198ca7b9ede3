// A guest for measurements: it reads JSON, works on it with a regular expression, and answers JSON.
package main

import (
	"encoding/json"
	"regexp"
	"strings"

	sett "github.com/sett-run/sett/sdk/go"
)

type order struct {
	ID    int               `json:"id"`
	Name  string            `json:"name"`
	Lines []line            `json:"lines"`
	Tags  map[string]string `json:"tags"`
}

type line struct {
	SKU      string  `json:"sku"`
	Quantity int     `json:"quantity"`
	Price    float64 `json:"price"`
}

type receipt struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Total float64  `json:"total"`
	SKUs  []string `json:"skus"`
	Tags  int      `json:"tags"`
}

var sku = regexp.MustCompile(`^([A-Z]{2})-(\d{4})(?:-(\w+))?$`)

func init() {
	sett.Warmup(func() {
		if _, err := work([]byte(example)); err != nil {
			panic(err)
		}
	})
	sett.HTTP("POST /light", func(w sett.ResponseWriter, r *sett.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteString(`{"bytes":` + strings.Repeat("1", len(r.Body)%7+1) + `}`)
	})
	sett.HTTP("POST /heavy", func(w sett.ResponseWriter, r *sett.Request) {
		b, err := work(r.Body)
		if err != nil {
			w.WriteHeader(400)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(b)
	})
}

const example = `{"id":7,"name":"Ada","lines":[{"sku":"AB-1234-x","quantity":2,"price":9.5}],"tags":{"a":"b"}}`

func work(body []byte) ([]byte, error) {
	var o order
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, err
	}
	out := receipt{ID: o.ID, Name: strings.ToUpper(o.Name), Tags: len(o.Tags)}
	for _, l := range o.Lines {
		out.Total += float64(l.Quantity) * l.Price
		out.SKUs = append(out.SKUs, sku.ReplaceAllString(l.SKU, "$2/$1"))
	}
	return json.Marshal(out)
}

func main() {}

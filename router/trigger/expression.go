package trigger

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a timezone means the same on every node, whatever is installed there

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// maxRateDays is the longest period of a rate. A longer one is no schedule; and it could not be counted in nanoseconds.
const maxRateDays = 36_500

// Expression is when a schedule fires: rate(...) or cron(...), as AWS writes them. It is a value, and may be used
// concurrently. The zero value never fires.
type Expression struct {
	cron   *cron
	period time.Duration // of a rate; 0: it is cron
	anchor time.Time     // ticks of a rate are whole periods after it
}

// Parse reads an expression. Zone is the IANA name of the timezone that cron expressions are meant in; empty is UTC.
// Rates do not depend on it: a day is 24 hours. An error is coded abi.InvalidInput and says what is wrong and where.
//
// When clocks go forward, a time that does not exist is skipped; when they go back, a time that exists twice is
// meant once, the first time.
//
// Parser and arithmetic are our own: netresearch/go-cron would need a translator that parses all fields anyway (SUN=1,
// ? in exactly one field, L-3, 2#1), it fires what the spring change skips right after it, and it tells no columns.
//
// Source: Amazon EventBridge User Guide, "Cron expressions reference" and "Rate expressions reference"; EventBridge
// Scheduler User Guide, "Schedule types", section "Daylight savings time".
func Parse(expr, zone string) (Expression, error) {
	e, err := parse(expr, zone)
	if err != nil {
		return Expression{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("schedule %.300q: %w", expr, err))
	}
	return e, nil
}

func parse(expr, zone string) (Expression, error) {
	if len(expr) > registry.MaxExpressionBytes {
		return Expression{}, fmt.Errorf("has %d bytes; at most %d are allowed", len(expr), registry.MaxExpressionBytes)
	}
	where, err := location(zone)
	if err != nil {
		return Expression{}, err
	}
	kind, inside, found := strings.Cut(expr, "(")
	if kind == "at" && found {
		return Expression{}, errors.New("at(...), which fires once, is not supported; use rate(...) or cron(...)")
	}
	if !found || kind != "rate" && kind != "cron" {
		return Expression{}, errors.New("column 1: it is rate(...) or cron(...), in lower case")
	}
	inside, closed := strings.CutSuffix(inside, ")")
	if !closed {
		return Expression{}, fmt.Errorf("column %d: it ends in )", len(expr)+1)
	}
	e := Expression{anchor: time.Unix(0, 0)}
	words := split(inside, len(kind)+2)
	if kind == "rate" {
		e.period, err = parseRate(words)
	} else {
		e.cron, err = parseCron(words, where)
	}
	return e, err
}

// location answers a timezone. Local, which is another one on each node, is none.
func location(zone string) (*time.Location, error) {
	if zone == "" {
		return time.UTC, nil
	}
	where, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, fmt.Errorf("timezone %.80q: there is none of this name; one is Europe/Berlin", zone)
	}
	return where, nil
}

// word is a part of an expression, and the column of its first byte, from 1.
type word struct {
	text   string
	column int
}

func (w word) fault(format string, args ...any) error {
	return fmt.Errorf("column %d: %w", w.column, fmt.Errorf(format, args...))
}

// split cuts text at spaces. Column is that of its first byte.
func split(text string, column int) (words []word) {
	for i := 0; i < len(text); {
		if text[i] == ' ' {
			i++
			continue
		}
		n := strings.IndexByte(text[i:], ' ')
		if n < 0 {
			n = len(text) - i
		}
		words = append(words, word{text[i : i+n], column + i})
		i += n
	}
	return words
}

// parseRate reads the value and unit of a rate: singular for 1, plural for all others.
func parseRate(words []word) (time.Duration, error) {
	if len(words) != 2 {
		return 0, fmt.Errorf("a rate has a value and a unit, such as rate(5 minutes); this has %d words", len(words))
	}
	value, unit := words[0], words[1]
	n, err := strconv.Atoi(value.text)
	if err != nil || n < 1 || strconv.Itoa(n) != value.text {
		return 0, value.fault("value %q: it is a whole number from 1", value.text)
	}
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	single, plural := strings.CutSuffix(unit.text, "s")
	length, known := units[single]
	switch {
	case !known:
		return 0, unit.fault("unit %q: it is minute, minutes, hour, hours, day or days", unit.text)
	case n == 1 && plural:
		return 0, unit.fault("unit %q: after 1 it is %s", unit.text, single)
	case n > 1 && !plural:
		return 0, unit.fault("unit %q: after %d it is %ss", unit.text, n, single)
	case n > int(maxRateDays*24*time.Hour/length):
		return 0, value.fault("value %d: at most %d days are allowed", n, maxRateDays)
	}
	return time.Duration(n) * length, nil
}

// Anchor answers e with the ticks of a rate counted from created, which itself is none. Without, they count from 1970.
func (e Expression) Anchor(created time.Time) Expression {
	e.anchor = created.Truncate(time.Second).UTC()
	return e
}

// Next answers the first tick after a moment, in UTC; false when there is none any more.
func (e Expression) Next(after time.Time) (time.Time, bool) {
	if e.cron != nil {
		return e.cron.next(after)
	}
	if e.period == 0 {
		return time.Time{}, false
	}
	periods := max(0, after.Sub(e.anchor)) / e.period // of time since the anchor
	next := e.anchor.Add(periods * e.period).Add(e.period).UTC()
	return next, next.After(after) // not when more than 292 years were passed over
}

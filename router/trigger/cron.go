package trigger

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Years a cron expression may name.
const (
	minYear = 1970
	maxYear = 2199
)

// cron is a cron expression.
type cron struct {
	where  *time.Location
	minute set
	hour   set
	month  set
	year   set
	day    days
}

// set holds numbers of a field.
type set struct {
	least int
	bits  [(maxYear-minYear)/64 + 1]uint64
}

func (s *set) add(n int)      { s.bits[(n-s.least)/64] |= 1 << ((n - s.least) % 64) }
func (s *set) has(n int) bool { return s.bits[(n-s.least)/64]&(1<<((n-s.least)%64)) != 0 }

// field is what may stand at a place of a cron expression.
type field struct {
	name        string
	least, most int
	names       []string // of the numbers from least on; nil: they have none
	wraps       bool     // a range may pass its end, as 22-2 does
	steps       bool
}

// parseCron reads the six fields. Exactly one of the day fields is ?.
func parseCron(words []word, where *time.Location) (*cron, error) {
	if len(words) != 6 {
		return nil, fmt.Errorf("cron has 6 fields (minutes hours day-of-month month day-of-week year); this has %d", len(words))
	}
	c := &cron{where: where}
	months := strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")
	for _, f := range []struct {
		to *set
		at word
		field
	}{
		{&c.minute, words[0], field{name: "minutes", most: 59, wraps: true, steps: true}},
		{&c.hour, words[1], field{name: "hours", most: 23, wraps: true, steps: true}},
		{&c.month, words[3], field{name: "month", least: 1, most: 12, names: months, wraps: true, steps: true}},
		{&c.year, words[5], field{name: "year", least: minYear, most: maxYear, steps: true}},
	} {
		var err error
		if *f.to, err = f.parse(f.at); err != nil {
			return nil, err
		}
	}
	err := c.day.parse(words[2], words[4])
	return c, err
}

// parse reads a list of numbers, ranges and steps.
func (f field) parse(w word) (set, error) {
	s := set{least: f.least}
	for _, item := range w.items() {
		if err := f.parseItem(item, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// items are the parts of a list.
func (w word) items() (items []word) {
	column := w.column
	for text := range strings.SplitSeq(w.text, ",") {
		items = append(items, word{text, column})
		column += len(text) + 1
	}
	return items
}

// parseItem adds to s what an item of a list names: *, 5, 5-9, and each with a step, which 5 goes to the end with.
func (f field) parseItem(w word, s *set) error {
	span, stepText, stepped := strings.Cut(w.text, "/")
	step := 1
	if stepped {
		at := word{stepText, w.column + len(span) + 1}
		n, err := strconv.Atoi(stepText)
		switch {
		case !f.steps:
			return at.fault("%s %q: steps are not allowed here", f.name, w.text)
		case err != nil || n < 1 || n > f.most || !digits(stepText):
			return at.fault("%s %q: a step is between 1 and %d", f.name, w.text, f.most)
		}
		step = n
	}
	from, to := f.least, f.most
	if span != "*" {
		first, last, ranged := strings.Cut(span, "-")
		var err error
		if from, err = f.number(word{first, w.column}); err != nil {
			return err
		}
		if ranged {
			if to, err = f.number(word{last, w.column + len(first) + 1}); err != nil {
				return err
			}
		} else if !stepped {
			to = from
		}
	}
	if from > to {
		if !f.wraps {
			return w.fault("%s %q: the range ends before it begins", f.name, w.text)
		}
		to += f.most - f.least + 1
	}
	for n := from; n <= to; n += step {
		s.add(f.least + (n-f.least)%(f.most-f.least+1))
	}
	return nil
}

// number reads a number or a name of one.
func (f field) number(w word) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(w.text, name) {
			return f.least + i, nil
		}
	}
	n, err := strconv.Atoi(w.text)
	if err != nil || n < f.least || n > f.most || !digits(w.text) {
		also := ""
		if f.names != nil {
			also = fmt.Sprintf(" or %s to %s", f.names[0], f.names[len(f.names)-1])
		}
		return 0, w.fault("%s %q: it is between %d and %d%s", f.name, w.text, f.least, f.most, also)
	}
	return n, nil
}

// digits reports whether text is digits alone: no sign, and not so many that they are no number any more.
func digits(text string) bool { return len(text) <= 4 && strings.Trim(text, "0123456789") == "" }

// next answers the first tick after a moment. It looks at each day until the year 2199, which takes some
// milliseconds when there is none.
func (c *cron) next(after time.Time) (time.Time, bool) {
	now := after.In(c.where)
	year, first, today := now.Year(), now.Month(), now.Day()
	if year < minYear {
		year, first, today = minYear, time.January, 1
	}
	for ; year <= maxYear; year++ {
		if c.year.has(year) {
			for month := first; month <= time.December; month++ {
				if c.month.has(int(month)) {
					if t, ok := c.nextIn(year, month, today, after); ok {
						return t, true
					}
				}
				today = 1
			}
		}
		first, today = time.January, 1
	}
	return time.Time{}, false
}

// nextIn answers the first tick after a moment in a month, from its day today on.
func (c *cron) nextIn(year int, month time.Month, today int, after time.Time) (time.Time, bool) {
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC)
	for d := today; d <= last.Day(); d++ {
		if !c.day.has(d, last) {
			continue
		}
		for hour := range 24 {
			if !c.hour.has(hour) {
				continue
			}
			for minute := range 60 {
				if !c.minute.has(minute) {
					continue
				}
				t, exists := instant(time.Date(year, month, d, hour, minute, 0, 0, c.where), d, hour, minute)
				if exists && t.After(after) {
					return t.UTC(), true
				}
			}
		}
	}
	return time.Time{}, false
}

// instant answers when clocks show hour and minute of a day for the first time, and whether they do at all. T is what
// package time made of them: one of the two moments when clocks go back, another time or day when they go forward.
func instant(t time.Time, day, hour, minute int) (time.Time, bool) {
	if t.Day() != day || t.Hour() != hour || t.Minute() != minute {
		return t, false
	}
	change, _ := t.ZoneBounds()
	if change.IsZero() {
		return t, true
	}
	_, before := change.Add(-1).Zone()
	_, now := t.Zone()
	if earlier := t.Add(time.Duration(now-before) * time.Second); earlier.Before(change) {
		return earlier, true
	}
	return t, true
}

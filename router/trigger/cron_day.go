package trigger

import (
	"strconv"
	"strings"
	"time"
)

// days is when a cron expression fires within a month: its fields day-of-month and day-of-week.
type days struct {
	ofMonth set
	ofWeek  set       // 1 is Sunday
	rules   []dayRule // L, W and #
}

// dayRule is a day that depends on the month. Each is the number of a day, or 0 for none in this month.
type dayRule func(last time.Time) int

// has says whether d is a day of the expression, in the month that ends with last.
func (s *days) has(d int, last time.Time) bool {
	if s.ofMonth.has(d) || s.ofWeek.has(weekday(d, last)) {
		return true
	}
	for _, rule := range s.rules {
		if rule(last) == d {
			return true
		}
	}
	return false
}

// weekday answers the weekday of day d in the month that ends with last: 1 for Sunday to 7.
func weekday(d int, last time.Time) int {
	return (int(last.Weekday())+d-last.Day()+35)%7 + 1
}

// parse reads both fields.
func (s *days) parse(month, week word) error {
	s.ofMonth.least, s.ofWeek.least = 1, 1
	switch {
	case month.text == "?" && week.text == "?":
		return week.fault("day-of-week: day-of-month is ? already; only one of them can be")
	case month.text == "?":
		return s.parseWeek(week)
	case week.text == "?":
		return s.parseMonth(month)
	}
	return month.fault("day-of-month %q: one of day-of-month and day-of-week is ?", month.text)
}

// parseMonth reads day-of-month: numbers, L, L-3, 15W and LW.
func (s *days) parseMonth(w word) error {
	f := field{name: "day-of-month", least: 1, most: 31, wraps: true, steps: true}
	for _, item := range w.items() {
		text := strings.ToUpper(item.text)
		before, fromEnd := strings.CutPrefix(text, "L-")
		day, nearest := strings.CutSuffix(text, "W")
		switch {
		case text == "L":
			s.rules = append(s.rules, time.Time.Day)
		case text == "LW":
			s.rules = append(s.rules, func(last time.Time) int { return nearestWeekday(last.Day(), last) })
		case fromEnd:
			n, err := strconv.Atoi(before)
			if err != nil || n < 1 || n > 30 || !digits(before) {
				return item.fault("day-of-month %q: 1 to 30 days before the last", item.text)
			}
			s.rules = append(s.rules, func(last time.Time) int { return max(0, last.Day()-n) })
		case nearest:
			n, err := f.number(word{day, item.column})
			if err != nil {
				return err
			}
			s.rules = append(s.rules, func(last time.Time) int { return nearestWeekday(n, last) })
		default:
			if err := f.parseItem(item, &s.ofMonth); err != nil {
				return err
			}
		}
	}
	return nil
}

// nearestWeekday answers the day from Monday to Friday that is nearest to d, within the month; 0 when it has no day d.
func nearestWeekday(d int, last time.Time) int {
	if d > last.Day() {
		return 0
	}
	switch weekday(d, last) {
	case 1: // Sunday
		if d == last.Day() {
			return d - 2
		}
		return d + 1
	case 7: // Saturday
		if d == 1 {
			return d + 2
		}
		return d - 1
	}
	return d
}

// parseWeek reads day-of-week: numbers and names, L for Saturday, 6L for the last Friday and 6#3 for the third.
func (s *days) parseWeek(w word) error {
	f := field{name: "day-of-week", least: 1, most: 7, names: strings.Fields("SUN MON TUE WED THU FRI SAT"), wraps: true}
	items := w.items()
	for _, item := range items {
		text := strings.ToUpper(item.text)
		day, last := strings.CutSuffix(text, "L")
		name, number, nth := strings.Cut(text, "#")
		switch {
		case text == "L":
			s.ofWeek.add(7)
		case nth && len(items) > 1:
			return w.fault("day-of-week %q: # stands alone, not in a list", w.text)
		case nth:
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 || n > 5 || !digits(number) {
				return word{number, item.column + len(name) + 1}.fault("day-of-week %q: # is followed by 1 to 5", item.text)
			}
			d, err := f.number(word{name, item.column})
			if err != nil {
				return err
			}
			s.rules = append(s.rules, func(end time.Time) int { return nthWeekday(d, n, end) })
		case last:
			d, err := f.number(word{day, item.column})
			if err != nil {
				return err
			}
			s.rules = append(s.rules, func(end time.Time) int {
				return end.Day() - (weekday(end.Day(), end)-d+7)%7
			})
		default:
			if err := f.parseItem(item, &s.ofWeek); err != nil {
				return err
			}
		}
	}
	return nil
}

// nthWeekday answers the nth day of a month that is this weekday; 0 when it has fewer.
func nthWeekday(day, n int, last time.Time) int {
	d := 1 + (day-weekday(1, last)+7)%7 + 7*(n-1)
	if d > last.Day() {
		return 0
	}
	return d
}

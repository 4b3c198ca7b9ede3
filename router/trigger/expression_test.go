package trigger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// start is a Thursday.
const start = "2026-11-26T06:30:00Z"

// nexts are expressions and the first tick after a moment, start if there is none; worked out by hand.
var nexts = []struct{ expr, zone, after, want string }{
	{"rate(1 minute)", "", "", "2026-11-26T06:31:00Z"},
	{"rate(5 minutes)", "", "", "2026-11-26T06:35:00Z"},
	{"rate(1 hour)", "", "", "2026-11-26T07:00:00Z"},
	{"rate(12 hours)", "", "", "2026-11-26T12:00:00Z"},
	{"rate(1 day)", "", "", "2026-11-27T00:00:00Z"},
	{"rate(1 day)", "Europe/Berlin", "", "2026-11-27T00:00:00Z"}, // rates know no timezone
	{"rate(7 days)", "", "", "2026-12-03T00:00:00Z"},             // 1970 began on a Thursday
	{"cron(0 9 * * ? *)", "", "", "2026-11-26T09:00:00Z"},
	{"cron(0 6 * * ? *)", "", "", "2026-11-27T06:00:00Z"},
	{"cron(30 6 * * ? *)", "", "", "2026-11-27T06:30:00Z"}, // after, not at
	{"cron(30 6 * * ? *)", "", "2026-11-26T06:29:59Z", "2026-11-26T06:30:00Z"},
	{"cron(* * * * ? *)", "", "2026-11-26T06:30:30Z", "2026-11-26T06:31:00Z"},
	{"cron(0/15 * * * ? *)", "", "", "2026-11-26T06:45:00Z"},
	{"cron(*/15 * * * ? *)", "", "", "2026-11-26T06:45:00Z"},
	{"cron(5/20 * * * ? *)", "", "", "2026-11-26T06:45:00Z"},
	{"cron(7 * * * ? *)", "", "", "2026-11-26T07:07:00Z"},
	{"cron(0 0 * * ? *)", "", "", "2026-11-27T00:00:00Z"},
	{"cron(0 8-17 * * ? *)", "", "2026-11-26T17:00:00Z", "2026-11-27T08:00:00Z"},
	{"cron(0 8-17/3 * * ? *)", "", "2026-11-26T11:00:00Z", "2026-11-26T14:00:00Z"},
	{"cron(0 22-2 * * ? *)", "", "2026-11-26T23:00:00Z", "2026-11-27T00:00:00Z"},
	{"cron(0 22-2 * * ? *)", "", "2026-11-27T02:00:00Z", "2026-11-27T22:00:00Z"},
	{"cron(10,20,40 3,7 * * ? *)", "", "", "2026-11-26T07:10:00Z"},
	{"cron(0 12 1 * ? *)", "", "", "2026-12-01T12:00:00Z"},
	{"cron(0 12 1/5 * ? *)", "", "2026-11-26T13:00:00Z", "2026-12-01T12:00:00Z"},
	{"cron(0 12 1/5 * ? *)", "", "", "2026-11-26T12:00:00Z"},
	{"cron(0 12 28-3 * ? *)", "", "", "2026-11-28T12:00:00Z"},
	{"cron(0 0 31 * ? *)", "", "", "2026-12-31T00:00:00Z"},
	{"cron(0 0 31 * ? *)", "", "2027-01-31T00:00:00Z", "2027-03-31T00:00:00Z"},
	{"cron(0 0 29 2 ? *)", "", "", "2028-02-29T00:00:00Z"},
	{"cron(0 0 29 2 ? *)", "", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"}, // 2100 is no leap year
	{"cron(15 10 L * ? *)", "", "", "2026-11-30T10:15:00Z"},
	{"cron(15 10 L 2 ? *)", "", "", "2027-02-28T10:15:00Z"},
	{"cron(15 10 L 2 ? 2028)", "", "", "2028-02-29T10:15:00Z"},
	{"cron(0 0 L-3 * ? *)", "", "", "2026-11-27T00:00:00Z"},
	{"cron(0 0 L-30 * ? *)", "", "", "2026-12-01T00:00:00Z"}, // only months of 31 days
	{"cron(0 0 1,L * ? *)", "", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"},
	{"cron(0 9 LW * ? *)", "", "", "2026-11-30T09:00:00Z"},
	{"cron(0 9 LW * ? *)", "", "2027-01-01T00:00:00Z", "2027-01-29T09:00:00Z"}, // the 31st is a Sunday
	{"cron(0 9 LW 10 ? *)", "", "", "2027-10-29T09:00:00Z"},                    // too
	{"cron(0 9 15W * ? *)", "", "", "2026-12-15T09:00:00Z"},
	{"cron(0 9 5W 12 ? *)", "", "", "2026-12-04T09:00:00Z"}, // Saturday
	{"cron(0 9 6W 12 ? *)", "", "", "2026-12-07T09:00:00Z"}, // Sunday
	{"cron(0 9 1W 8 ? *)", "", "", "2027-08-02T09:00:00Z"},  // Sunday
	{"cron(0 9 1W 5 ? *)", "", "", "2027-05-03T09:00:00Z"},  // Saturday, not back into April
	{"cron(0 9 31W 1 ? *)", "", "", "2027-01-29T09:00:00Z"}, // Sunday, not on into February
	{"cron(0 9 31W 11 ? 2027)", "", "", "never"},            // November has no 31st
	{"cron(0 9 ? * MON-FRI *)", "", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"},
	{"cron(0 9 ? * mon-fri *)", "", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"},
	{"cron(0 9 ? * 2-6 *)", "", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"},
	{"cron(0 9 ? * 1 *)", "", "", "2026-11-29T09:00:00Z"},
	{"cron(0 9 ? * SUN *)", "", "", "2026-11-29T09:00:00Z"},
	{"cron(0 9 ? * 7 *)", "", "", "2026-11-28T09:00:00Z"},
	{"cron(0 9 ? * L *)", "", "", "2026-11-28T09:00:00Z"},
	{"cron(0 9 ? * FRI-MON *)", "", "2026-11-30T09:00:00Z", "2026-12-04T09:00:00Z"},
	{"cron(0 9 ? * TUE,SAT *)", "", "", "2026-11-28T09:00:00Z"},
	{"cron(0 9 ? * * *)", "", "", "2026-11-26T09:00:00Z"},
	{"cron(0 9 ? * 6L *)", "", "", "2026-11-27T09:00:00Z"},
	{"cron(0 9 ? * FRIL *)", "", "2026-11-27T09:00:00Z", "2026-12-25T09:00:00Z"},
	{"cron(0 9 ? * 2L,5 *)", "", "", "2026-11-26T09:00:00Z"},
	{"cron(0 9 ? * 2#1 *)", "", "", "2026-12-07T09:00:00Z"},
	{"cron(0 9 ? * THU#5 *)", "", "", "2026-12-31T09:00:00Z"},
	{"cron(0 9 ? * 3#5 *)", "", "", "2026-12-29T09:00:00Z"},
	{"cron(0 9 ? 2 2#5 *)", "", "", "2044-02-29T09:00:00Z"}, // a Monday the 29th of February
	{"cron(0 0 1 JAN ? *)", "", "", "2027-01-01T00:00:00Z"},
	{"cron(0 0 1 jan-mar ? *)", "", "2027-02-02T00:00:00Z", "2027-03-01T00:00:00Z"},
	{"cron(0 0 1 NOV-FEB ? *)", "", "2027-02-01T00:00:00Z", "2027-11-01T00:00:00Z"},
	{"cron(0 0 1 1/3 ? *)", "", "", "2027-01-01T00:00:00Z"},
	{"cron(0 0 1 */6 ? *)", "", "", "2027-01-01T00:00:00Z"},
	{"cron(0 0 1 1 ? 2030)", "", "", "2030-01-01T00:00:00Z"},
	{"cron(0 0 1 1 ? 2028-2031)", "", "", "2028-01-01T00:00:00Z"},
	{"cron(0 0 1 1 ? 2020/4)", "", "", "2028-01-01T00:00:00Z"},
	{"cron(59 23 31 12 ? 2199)", "", "", "2199-12-31T23:59:00Z"},
	{"cron(59 23 31 12 ? 2199)", "", "2199-12-31T23:59:00Z", "never"},
	{"cron(0 0 1 1 ? 2025)", "", "", "never"},
	{"cron(0 0 30 2 ? *)", "", "", "never"},
	{"cron(0 0 1 1 ? 1970)", "", "1903-04-05T00:00:00Z", "1970-01-01T00:00:00Z"},
	{"cron( 0  9 * * ? * )", "", "", "2026-11-26T09:00:00Z"},
	{"cron(0 9 * * ? *)", "Europe/Berlin", "", "2026-11-26T08:00:00Z"},
	{"cron(0 9 * * ? *)", "America/New_York", "", "2026-11-26T14:00:00Z"},
	{"cron(0 9 * * ? *)", "Asia/Kathmandu", "", "2026-11-27T03:15:00Z"},
	{"cron(0 0 1 * ? *)", "Pacific/Auckland", "", "2026-11-30T11:00:00Z"},
	// Clocks go forward: 02:30 is no time on 28 March 2027 in Berlin, and on 14 March 2027 in New York.
	{"cron(30 2 * * ? *)", "Europe/Berlin", "2027-03-27T12:00:00Z", "2027-03-29T00:30:00Z"},
	{"cron(0 3 * * ? *)", "Europe/Berlin", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z"},
	{"cron(0/30 * * * ? *)", "Europe/Berlin", "2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z"},
	{"cron(30 2 * * ? *)", "America/New_York", "2027-03-13T12:00:00Z", "2027-03-15T06:30:00Z"},
	// Clocks go back: 02:30 is twice on 31 October 2027 in Berlin, and 01:30 on 7 November 2027 in New York.
	{"cron(30 2 * * ? *)", "Europe/Berlin", "2027-10-30T12:00:00Z", "2027-10-31T00:30:00Z"},
	{"cron(30 2 * * ? *)", "Europe/Berlin", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"},
	{"cron(30 2 * * ? *)", "Europe/Berlin", "2027-10-31T01:00:00Z", "2027-11-01T01:30:00Z"},
	{"cron(0/30 * * * ? *)", "Europe/Berlin", "2027-10-31T00:30:00Z", "2027-10-31T02:00:00Z"},
	{"cron(30 1 * * ? *)", "America/New_York", "2027-11-06T12:00:00Z", "2027-11-07T05:30:00Z"},
	{"cron(30 1 * * ? *)", "America/New_York", "2027-11-07T05:30:00Z", "2027-11-08T06:30:00Z"},
	// Half an hour: Lord Howe Island's clocks go back from 02:00 to 01:30.
	{"cron(45 1 * * ? *)", "Australia/Lord_Howe", "2027-04-03T00:00:00Z", "2027-04-03T14:45:00Z"},
	{"cron(45 1 * * ? *)", "Australia/Lord_Howe", "2027-04-03T14:45:00Z", "2027-04-04T15:15:00Z"},
	// Samoa had no 30 December 2011.
	{"cron(0 12 30 12 ? 2011)", "Pacific/Apia", "2011-12-01T00:00:00Z", "never"},
}

func TestNext(t *testing.T) {
	for _, c := range nexts {
		e, err := Parse(c.expr, c.zone)
		if err != nil {
			t.Errorf("Parse(%q, %q): %v", c.expr, c.zone, err)
			continue
		}
		after := at(t, orStart(c.after))
		got, ok := e.Next(after)
		if !ok && c.want == "never" {
			continue
		}
		if c.want == "never" || !ok || !got.Equal(at(t, c.want)) {
			t.Errorf("Next of %s in %q after %v = %v, %v, want %s", c.expr, c.zone, after, got, ok, c.want)
		}
		if got.Location() != time.UTC {
			t.Errorf("Next of %s is in %v, want UTC", c.expr, got.Location())
		}
	}
}

// TestNextOfBruteForce goes through the minutes of a year, with a reading of the expression of its own.
func TestNextOfBruteForce(t *testing.T) {
	for _, c := range nexts {
		if !strings.HasPrefix(c.expr, "cron") {
			continue
		}
		e, err := Parse(c.expr, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		after := at(t, orStart(c.after))
		got, ok := e.Next(after)
		want, found := bruteNext(t, c.expr, c.zone, after, 400*24*60)
		if found && (!ok || !got.Equal(want)) || !found && ok && got.Sub(after) < 400*24*time.Hour {
			t.Errorf("Next of %s in %q after %v = %v, %v, by brute force %v, %v", c.expr, c.zone, after, got, ok, want, found)
		}
	}
}

// TestTicksOfAYear compares all ticks of a year that has both clock changes.
func TestTicksOfAYear(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"} {
		for _, expr := range []string{"cron(0/20 1-3 * * ? *)", "cron(45 1 ? * 1 *)", "cron(0 2 L * ? *)"} {
			e, err := Parse(expr, zone)
			if err != nil {
				t.Fatal(err)
			}
			from, n := at(t, "2027-01-01T00:00:00Z"), 0
			for end := from.AddDate(1, 0, 0); ; n++ {
				got, _ := e.Next(from)
				want, ok := bruteNext(t, expr, zone, from, int(end.Sub(from).Minutes()))
				if !ok {
					break
				}
				if !got.Equal(want) {
					t.Fatalf("%s in %s: the tick after %v is %v, by brute force %v", expr, zone, from, got, want)
				}
				from = got
			}
			if n < 12 {
				t.Errorf("%s in %s: %d ticks", expr, zone, n)
			}
		}
	}
}

// bruteNext looks at minute after minute.
func bruteNext(t *testing.T, expr, zone string, after time.Time, minutes int) (time.Time, bool) {
	t.Helper()
	where, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(expr, "cron("), ")"))
	var allowed [6]map[int]bool
	for i, limits := range [][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {1, 7}, {1970, 2199}} {
		allowed[i] = bruteField(f[i], limits[0], limits[1])
	}
	m := after.Truncate(time.Minute).Add(time.Minute)
	for range minutes {
		w := m.In(where)
		if allowed[0][w.Minute()] && allowed[1][w.Hour()] && allowed[3][int(w.Month())] && allowed[5][w.Year()] &&
			(allowed[2][w.Day()] || bruteDay(f[2], w) || allowed[4][int(w.Weekday())+1] || bruteDay(f[4], w)) && !shownBefore(m, where) {
			return m, true
		}
		m = m.Add(time.Minute)
	}
	return time.Time{}, false
}

// shownBefore says whether the clock has shown the minute already.
func shownBefore(m time.Time, where *time.Location) bool {
	const layout = "2006-01-02 15:04"
	for _, back := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
		if m.Add(-back).In(where).Format(layout) == m.In(where).Format(layout) {
			return true
		}
	}
	return false
}

var bruteNames = strings.NewReplacer("JAN", "1", "FEB", "2", "MAR", "3", "NOV", "11", "SUN", "1", "MON", "2", "TUE", "3", "THU", "5", "FRI", "6", "SAT", "7")

// bruteField lists what a field names but for L, W and #.
func bruteField(text string, least, most int) map[int]bool {
	all := map[int]bool{}
	for item := range strings.SplitSeq(bruteNames.Replace(strings.ToUpper(text)), ",") {
		var from, to int
		step := 1
		span, by, stepped := strings.Cut(item, "/")
		if stepped {
			fmt.Sscan(by, &step)
		}
		switch {
		case strings.ContainsAny(span, "LW#?"):
			if span == "L" && most == 7 {
				all[7] = true
			}
			continue
		case span == "*":
			from, to = least, most
		case strings.Contains(span, "-"):
			fmt.Sscanf(span, "%d-%d", &from, &to)
		default:
			fmt.Sscan(span, &from)
			if to = from; stepped {
				to = most
			}
		}
		for n, i := from, 0; ; n, i = n+1, i+1 {
			if n > most {
				n = least
			}
			if i%step == 0 {
				all[n] = true
			}
			if n == to {
				break
			}
		}
	}
	return all
}

// bruteDay tries L, W and # on one day.
func bruteDay(text string, w time.Time) bool {
	tomorrow := func(n int) time.Time { return time.Date(w.Year(), w.Month(), w.Day()+n, 12, 0, 0, 0, time.UTC) }
	lastDay := tomorrow(-w.Day()+1).AddDate(0, 1, -1).Day()
	workday := func(d int) int { // the nearest of the month
		for _, shift := range []int{0, -1, 1, -2, 2} {
			n := time.Date(w.Year(), w.Month(), d+shift, 12, 0, 0, 0, time.UTC)
			if n.Month() == w.Month() && n.Weekday() != time.Saturday && n.Weekday() != time.Sunday {
				return n.Day()
			}
		}
		return 0
	}
	for item := range strings.SplitSeq(bruteNames.Replace(strings.ToUpper(text)), ",") {
		var n, nth int
		switch {
		case item == "LW" && w.Day() == workday(lastDay):
			return true
		case item == "L" && strings.ContainsAny(text, "0123456789") == (text != "L") && w.Day() == lastDay && !strings.Contains(text, "#"):
			return text == "L" || strings.HasPrefix(text, "1,")
		case strings.HasPrefix(item, "L-"):
			fmt.Sscanf(item, "L-%d", &n)
			return w.Day() == lastDay-n
		case strings.HasSuffix(item, "W") && item != "LW":
			fmt.Sscanf(item, "%dW", &n)
			return n <= lastDay && w.Day() == workday(n)
		case strings.Contains(item, "#"):
			fmt.Sscanf(item, "%d#%d", &n, &nth)
			return int(w.Weekday())+1 == n && (w.Day()-1)/7+1 == nth
		case strings.HasSuffix(item, "L") && item != "L":
			fmt.Sscanf(item, "%dL", &n)
			if int(w.Weekday())+1 == n && w.Day()+7 > lastDay {
				return true
			}
		}
	}
	return false
}

func orStart(after string) string {
	if after == "" {
		return start
	}
	return after
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	m, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnchor(t *testing.T) {
	e, err := Parse("rate(7 minutes)", "")
	if err != nil {
		t.Fatal(err)
	}
	created := at(t, "2026-11-26T06:31:10Z")
	e = e.Anchor(created)
	for after, want := range map[string]string{
		"2020-01-01T00:00:00Z": "2026-11-26T06:38:10Z", // creation is no tick
		"2026-11-26T06:31:10Z": "2026-11-26T06:38:10Z",
		"2026-11-26T06:38:09Z": "2026-11-26T06:38:10Z",
		"2026-11-26T06:38:10Z": "2026-11-26T06:45:10Z",
	} {
		if got, ok := e.Next(at(t, after)); !ok || !got.Equal(at(t, want)) {
			t.Errorf("Next after %s = %v, %v, want %s", after, got, ok, want)
		}
	}
	if got, ok := e.Next(created.AddDate(400, 0, 0)); ok {
		t.Errorf("Next after 400 years = %v, want none", got)
	}
}

func TestParseFaults(t *testing.T) {
	for _, c := range []struct{ expr, zone, want string }{
		{"", "", "column 1: it is rate(...) or cron(...)"},
		{"0 9 * * ? *", "", "column 1"},
		{"Cron(0 9 * * ? *)", "", "lower case"},
		{"at(2026-11-20T13:00:00)", "", "at(...), which fires once, is not supported"},
		{"cron(0 9 * * ? *", "", "column 17: it ends in )"},
		{"rate(5 minutes", "", "it ends in )"},
		{"rate()", "", "this has 0 words"},
		{"rate(5)", "", "this has 1 words"},
		{"rate(5 minutes ago)", "", "this has 3 words"},
		{"rate(0 minutes)", "", `column 6: value "0"`},
		{"rate(-5 minutes)", "", `value "-5"`},
		{"rate(+5 minutes)", "", `value "+5"`},
		{"rate(05 minutes)", "", `value "05"`},
		{"rate(1.5 hours)", "", `value "1.5"`},
		{"rate(1 minutes)", "", `column 8: unit "minutes": after 1 it is minute`},
		{"rate(1 hours)", "", "after 1 it is hour"},
		{"rate(5 minute)", "", `unit "minute": after 5 it is minutes`},
		{"rate(2 day)", "", "after 2 it is days"},
		{"rate(5 Minutes)", "", `unit "Minutes"`},
		{"rate(5 seconds)", "", "it is minute, minutes, hour"},
		{"rate(36501 days)", "", "at most 36500 days"},
		{"rate(99999999999999999999 days)", "", "whole number"},
		{"cron(0 9 * * ?)", "", "this has 5"},
		{"cron(0 0 9 * * ? *)", "", "this has 7"},
		{"cron(60 9 * * ? *)", "", `column 6: minutes "60": it is between 0 and 59`},
		{"cron(0 24 * * ? *)", "", `column 8: hours "24"`},
		{"cron(0 9 0 * ? *)", "", `column 10: day-of-month "0": it is between 1 and 31`},
		{"cron(0 9 32 * ? *)", "", `day-of-month "32"`},
		{"cron(0 9 * 13 ? *)", "", "between 1 and 12 or JAN to DEC"},
		{"cron(0 9 * JANUARY ? *)", "", `month "JANUARY"`},
		{"cron(0 9 ? * 0 *)", "", "between 1 and 7 or SUN to SAT"},
		{"cron(0 9 ? * 8 *)", "", `column 14: day-of-week "8"`},
		{"cron(0 9 ? * 2/2 *)", "", "steps are not allowed here"},
		{"cron(0 9 * * ? 1969)", "", `year "1969": it is between 1970 and 2199`},
		{"cron(0 9 * * ? 2200)", "", `year "2200"`},
		{"cron(0 9 * * ? 2030-2028)", "", "the range ends before it begins"},
		{"cron(0 9 * * * *)", "", "one of day-of-month and day-of-week is ?"},
		{"cron(0 9 1 * 2 *)", "", `column 10: day-of-month "1": one of`},
		{"cron(0 9 ? * ? *)", "", "column 14: day-of-week: day-of-month is ? already"},
		{"cron(? 9 * * ? *)", "", `minutes "?"`},
		{"cron(0/0 9 * * ? *)", "", `column 8: minutes "0/0": a step is between 1 and 59`},
		{"cron(0/60 9 * * ? *)", "", "a step is between"},
		{"cron(/5 9 * * ? *)", "", `minutes ""`},
		{"cron(5/ 9 * * ? *)", "", "a step is between"},
		{"cron(1,,2 9 * * ? *)", "", `column 8: minutes ""`},
		{"cron(1-2-3 9 * * ? *)", "", `minutes "2-3"`},
		{"cron(+1 9 * * ? *)", "", `minutes "+1"`},
		{"cron(0 9 W * ? *)", "", `day-of-month ""`},
		{"cron(0 9 32W * ? *)", "", `day-of-month "32"`},
		{"cron(0 9 L-31 * ? *)", "", "1 to 30 days before the last"},
		{"cron(0 9 L-x * ? *)", "", "1 to 30 days"},
		{"cron(0 9 ? * 2#6 *)", "", `column 16: day-of-week "2#6": # is followed by 1 to 5`},
		{"cron(0 9 ? * 2#0 *)", "", "1 to 5"},
		{"cron(0 9 ? * #1 *)", "", `day-of-week ""`},
		{"cron(0 9 ? * 3#1,6#3 *)", "", "# stands alone"},
		{"cron(0 9 ? * 8L *)", "", `day-of-week "8"`},
		{"cron(0\t9 * * ? *)", "", "this has 5"},
		{"cron(0 9 * * ? *)" + strings.Repeat(" ", 256), "", "at most 256"},
		{"cron(0 9 * * ? *)", "Berlin", `timezone "Berlin": there is none`},
		{"cron(0 9 * * ? *)", "Local", `timezone "Local"`},
		{"cron(0 9 * * ? *)", "../etc/passwd", "there is none"},
	} {
		_, err := Parse(c.expr, c.zone)
		if err == nil || !strings.Contains(err.Error(), c.want) || abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("Parse(%q, %q) = %v, want an invalid input with %q", c.expr, c.zone, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range nexts {
		f.Add(c.expr, int64(1_800_000_000))
	}
	f.Fuzz(func(t *testing.T, expr string, unix int64) {
		e, err := Parse(expr, "Europe/Berlin")
		if err != nil {
			return
		}
		after := time.Unix(unix, 0)
		next, ok := e.Next(after)
		if !ok {
			return
		}
		if !next.After(after) || next.Second() != 0 && e.cron != nil {
			t.Fatalf("Next of %q after %v = %v", expr, after, next)
		}
		if again, ok := e.Next(next.Add(-time.Nanosecond)); !ok || !again.Equal(next) {
			t.Fatalf("Next of %q just before %v = %v, %v", expr, next, again, ok)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	e, err := Parse("cron(0 9 ? * MON#1 *)", "Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	for b.Loop() {
		e.Next(now)
	}
}

package main

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/sett-run/sett/sdk/abi"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain Grüße\t世界": "plain Grüße\t世界", "\x1b[31mred\x1b[0m": `\x1b[31mred\x1b[0m`, "a\r\nb": `a\x0d\x0ab`,
		"\u009b1m": `\u009b1m`, "\xff": `\xff`, "del\x7f": `del\x7f`, "": "", "\ufffd": `\ufffd`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.Local)
	for want, line := range map[string]abi.Line{
		"09:00:00.000 hello v4 01K INFO     hi n=1\n": {Time: at, Function: "hello", Version: 4, Invocation: "01K", Stream: abi.StreamLog,
			Level: "INFO", Message: "hi", Attrs: "n=1"},
		"09:00:00.000 - - - platform no lines of node b\n": {Time: at, Stream: abi.StreamPlatform, Level: "WARN", Message: "no lines of node b"},
	} {
		var out strings.Builder
		if err := (&cli{out: &out}).showLine(line); err != nil || out.String() != want {
			t.Errorf("showLine(%+v) = %q, %v, want %q", line, out.String(), err, want)
		}
	}
}

func TestRoutesText(t *testing.T) {
	for want, routes := range map[string][]string{
		"-":                           nil,
		"GET /users, POST /users, +1": {"GET /users", "POST /users", "DELETE /users/{id}"},
		"GET /a, +2":                  {"GET /a", "GET /a-pattern-that-is-not/so/short", "/b"},
		"GET /a":                      {"GET /a"},
		"GET /a-very-long-pattern/that/alone/is/wider, +1": {"GET /a-very-long-pattern/that/alone/is/wider", "/b"},
	} {
		if got := routesText(routes); got != want {
			t.Errorf("routesText(%q) = %q, want %q", routes, got, want)
		}
	}
}

func TestTextForPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		for want, got := range map[string]string{
			"0 B": sizeText(0), "1023 B": sizeText(1023), "1.0 KiB": sizeText(1024), "64.0 MiB": sizeText(64 << 20),
			"9.5 us": microText(9.5), "100 us": microText(100), "1.00 ms": microText(1000), "12.3 ms": microText(12340),
			"234 ms": microText(234_000), "999 ms": milliText(999), "1.2 s": milliText(1234), "2.50 s": microText(2.5e6),
			"-": agoText(time.Time{}), "90s ago": agoText(time.Now().Add(-90 * time.Second)), "5m ago": agoText(time.Now().Add(-5 * time.Minute)),
			"3h ago": agoText(time.Now().Add(-3 * time.Hour)), "9d ago": agoText(time.Now().Add(-9 * 24 * time.Hour)),
		} {
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestTable(t *testing.T) {
	got := renderTable([]string{"NAME", "SIZE", "NOTE"}, [][]string{{"hello", "2 B", "x"}, {"a\x1b[1m", "1.5 MiB", ""}}, "SIZE")
	want := "NAME         SIZE  NOTE\n" +
		"hello         2 B  x\n" +
		"a\\x1b[1m  1.5 MiB\n"
	if got != want {
		t.Errorf("table:\n%q\nwant:\n%q", got, want)
	}
}

// TestTableFits holds that no row is wider than maxWidth, whatever is in it, and that ids stay whole.
func TestTableFits(t *testing.T) {
	id := strings.Repeat("7", 26)
	for _, header := range [][]string{{"FUNCTION", "ROUTES"}, {"TIME", "INVOCATION", "NODE", "FUNCTION", "STATUS", "REQUEST"}, {"TOPIC"}} {
		for _, long := range []string{strings.Repeat("n", 300), strings.Repeat("世", 90), strings.Repeat("\x1b", 40), "short"} {
			row := make([]string, len(header))
			for i := range row {
				if row[i] = long; header[i] == "INVOCATION" {
					row[i] = id
				}
			}
			got := renderTable(header, [][]string{row, row})
			for line := range strings.Lines(got) {
				if width := text.StringWidth(strings.TrimSuffix(line, "\n")); width > maxWidth {
					t.Errorf("%d columns: %s", width, line)
				}
			}
			if slices.Contains(header, "INVOCATION") && strings.Count(got, id) != 2 {
				t.Errorf("an id is cut:\n%s", got)
			}
		}
	}
}

func TestHistogram(t *testing.T) {
	if got := histogram(nil); got != "  no samples\n" {
		t.Errorf("histogram of nothing = %q", got)
	}
	if got := histogram([]float64{7, 7, 7}); got != "     7.0 us ▏"+strings.Repeat("█", histogramWidth)+" 3\n" {
		t.Errorf("histogram of equal samples = %q", got)
	}
	samples := []float64{0}
	for i := range 1000 {
		samples = append(samples, 10+float64(i%7))
	}
	samples = append(samples, 50_000)
	picture := histogram(samples)
	lines := strings.Split(strings.TrimSuffix(picture, "\n"), "\n")
	if len(lines) != histogramRows {
		t.Errorf("%d rows, want %d:\n%s", len(lines), histogramRows, picture)
	}
	total := 0
	for _, l := range lines {
		total += atoi(t, l[strings.LastIndexByte(l, ' ')+1:])
		if width := utf8.RuneCountInString(l); width > 80 {
			t.Errorf("row of %d characters: %q", width, l)
		}
	}
	if total != len(samples) {
		t.Errorf("rows count %d samples, want %d:\n%s", total, len(samples), picture)
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, "▏▏ 1") {
		t.Errorf("a single slow sample does not show: %q", last)
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' {
			t.Fatalf("%q is no number", s)
		}
		n = n*10 + int(c-'0')
	}
	return n
}

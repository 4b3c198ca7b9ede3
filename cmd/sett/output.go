package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// maxRoutesWidth is how many characters a table spends on a function's routes; all are in the JSON.
const maxRoutesWidth = 40

// json prints v as one indented JSON document.
func (c *cli) json(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	_, err = c.out.Write(append(text, '\n'))
	return err
}

// table prints rows under a header: columns of plain text, two spaces apart, no colours, so that it reads the
// same on a terminal and in a pipe, in maxWidth columns at most: what is cut is whole in the JSON. Columns named in
// right are aligned to the right.
func (c *cli) table(header []string, rows [][]string, right ...string) error {
	_, err := io.WriteString(c.out, renderTable(header, rows, right...))
	return err
}

func renderTable(header []string, rows [][]string, right ...string) string {
	t := table.NewWriter()
	var columns []table.ColumnConfig
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	widths := fit(header, rows)
	t.AppendHeader(toRow(header, widths))
	for _, r := range rows {
		t.AppendRow(toRow(r, widths))
	}
	for _, name := range right {
		columns = append(columns, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	var b strings.Builder
	for line := range strings.Lines(t.Render()) {
		b.WriteString(strings.TrimRight(line, " \n"))
		b.WriteByte('\n')
	}
	return b.String()
}

// Widths that columns are not narrowed below as long as others can be.
const (
	fairColumn = 28 // of a time and how soon it is
	minColumn  = 10
)

// fit answers how wide columns may be for rows to fit in maxWidth. The widest are narrowed first, but the first column and
// ids last: they are what the next command is given.
func fit(header []string, rows [][]string) []int {
	widths := make([]int, len(header))
	total := 2 * (len(header) - 1)
	for i := range header {
		widths[i] = len(header[i])
		for _, r := range rows {
			widths[i] = max(widths[i], text.StringWidth(printable(r[i])))
		}
		total += widths[i]
	}
	narrow := func(least int, may func(i int) bool) {
		for ; total > maxWidth; total-- {
			widest := -1
			for i, w := range widths {
				if may(i) && w > least && (widest < 0 || w > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				return
			}
			widths[widest]--
		}
	}
	whole := func(i int) bool { return header[i] == "INVOCATION" || header[i] == "ID" || header[i] == "URL" }
	for _, least := range []int{fairColumn, 20, minColumn} {
		narrow(least, func(i int) bool { return i > 0 && !whole(i) })
		narrow(least, func(i int) bool { return !whole(i) })
	}
	narrow(minColumn, func(int) bool { return true })
	return widths
}

// toRow makes a row whose cells are at most so wide.
func toRow(cells []string, widths []int) table.Row {
	row := make(table.Row, len(cells))
	for i, cell := range cells {
		row[i] = text.Snip(printable(cell), widths[i], "...")
	}
	return row
}

// facts prints what is known of one thing: a name and a value a line.
func (c *cli) facts(lines [][2]string) error {
	width := 0
	for _, l := range lines {
		width = max(width, len(l[0]))
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(c.out, "%-*s  %s\n", width, l[0], printable(l[1])); err != nil {
			return err
		}
	}
	return nil
}

// terminal reports whether a stream is one, and how wide.
func terminal(stream any) (width int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	return width, true
}

// printable makes text from elsewhere safe for a terminal: control characters and broken UTF-8 become escapes.
func printable(s string) string {
	clean := func(r rune) bool { return r == '\t' || !unicode.IsControl(r) && r != utf8.RuneError }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < 0x20 && !clean(r), r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !clean(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// routesText fits routes into a table's column: as many as there is room for, then how many more.
func routesText(routes []string) string {
	if len(routes) == 0 {
		return "-"
	}
	text := routes[0]
	for i, r := range routes[1:] {
		if longer := text + ", " + r; len(longer) <= maxRoutesWidth-len(", +99") {
			text = longer
			continue
		}
		return fmt.Sprintf("%s, +%d", text, len(routes)-1-i)
	}
	return text
}

// sizeText writes a size in bytes for people.
func sizeText(bytes int64) string {
	switch {
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	case bytes >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%d B", bytes)
}

// timeText writes a time by this machine's clock.
func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func yesText(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// durationText writes a duration without the zeros that end it: 336h, not 336h0m0s.
func durationText(d time.Duration) string {
	text := d.String()
	for _, zeros := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zeros) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// agoText says how long ago t was.
func agoText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := time.Since(t); {
	case d < time.Second:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}

// microText writes microseconds with three digits that mean something.
func microText(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2f s", us/1e6)
	case us >= 100_000:
		return fmt.Sprintf("%.0f ms", us/1e3)
	case us >= 10_000:
		return fmt.Sprintf("%.1f ms", us/1e3)
	case us >= 1000:
		return fmt.Sprintf("%.2f ms", us/1e3)
	case us >= 100:
		return fmt.Sprintf("%.0f us", us)
	}
	return fmt.Sprintf("%.1f us", us)
}

// milliText writes milliseconds that were counted whole.
func milliText(ms int64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return fmt.Sprintf("%d ms", ms)
}

package logs

import (
	"cmp"
	"slices"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// DefaultLimit and MaxLimit bound how many lines a Read answers.
const (
	DefaultLimit = 1000
	MaxLimit     = 10_000
)

// Query says which lines are wanted. Empty fields do not matter.
type Query struct {
	App        string
	Function   string
	Invocation string
	Since      time.Time // not before
	Limit      int       // the newest ones; 0: DefaultLimit, at most MaxLimit
}

func (q Query) matches(line *abi.Line) bool {
	return (q.App == "" || q.App == line.App) && (q.Function == "" || q.Function == line.Function) &&
		(q.Invocation == "" || q.Invocation == line.Invocation) && !line.Time.Before(q.Since)
}

// Read answers the newest lines that match, in the order they were written.
func (l *Logs) Read(q Query) []abi.Line {
	entries := l.find(q)
	lines := make([]abi.Line, len(entries))
	for i, e := range entries {
		lines[i] = e.line
	}
	return lines
}

func (l *Logs) find(q Query) []entry {
	limit := min(cmp.Or(max(q.Limit, 0), DefaultLimit), MaxLimit)
	if oldest := time.Now().Add(-l.config.MaxAge); q.Since.Before(oldest) {
		q.Since = oldest
	}
	var found []entry
	for _, r := range l.all(q.App, q.Function) {
		if found = r.match(found, q, limit); len(found) > 4*limit {
			found = newest(found, limit)
		}
	}
	return newest(found, limit)
}

// newest answers the last limit entries, oldest first.
func newest(entries []entry, limit int) []entry {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.order, b.order) })
	return entries[max(0, len(entries)-limit):]
}

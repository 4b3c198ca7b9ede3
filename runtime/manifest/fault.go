package manifest

import (
	"fmt"
	"strings"
)

// Fault is one thing a person must fix in a manifest.
type Fault struct {
	File    string
	Line    int    // from 1; 0 when the whole file is meant
	Column  int    // from 1, in characters
	Path    string // "functions.hello.memorySise"; empty for faults of the YAML itself
	Message string
}

// Error answers "PATH: MESSAGE FILE:LINE:COLUMN".
func (f Fault) Error() string {
	place := f.File
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	if f.Path == "" {
		return f.Message + " " + place
	}
	return f.Path + ": " + f.Message + " " + place
}

// Faults is every fault of a file, in the order they were met.
type Faults []Fault

// Error answers one fault a line, MaxFaults at most.
func (fs Faults) Error() string {
	lines := make([]string, 0, min(len(fs), MaxFaults)+1)
	for i, f := range fs {
		if i == MaxFaults {
			lines = append(lines, fmt.Sprintf("and %d more", len(fs)-MaxFaults))
			break
		}
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

// Nearest answers the candidate that word is most likely a slip of: equal but for case, a beginning of it, or at
// most a third of its letters away, or one of two. It answers "" when none is near.
func Nearest(word string, candidates []string) string {
	best, bestCost := "", max(len(word)/3, min(len(word)-1, 1))+1
	lower := strings.ToLower(word)
	for _, c := range candidates {
		if cost := distance(lower, strings.ToLower(c)); cost < bestCost {
			best, bestCost = c, cost
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	for _, c := range candidates {
		if strings.HasPrefix(strings.ToLower(c), lower) {
			return c
		}
	}
	return ""
}

// distance counts insertions, removals, replacements and swaps of neighbours that turn a into b.
// Source: the optimal string alignment distance. Words longer than 64 bytes are never near.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var before, above, row [longest + 1]int
	for j := range len(b) + 1 {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}

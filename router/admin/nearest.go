package admin

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// suggest words the known key nearest to one that is unknown, or all of them when none is near.
func suggest(key string, keys map[string]reflect.Type) string {
	known := slices.Sorted(maps.Keys(keys))
	if best := nearest(key, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return "; known are " + strings.Join(known, ", ")
}

// nearest answers the word that differs from given in the fewest letters, upper case and separators aside, or
// "" when each differs in more than a third of its letters.
func nearest(given string, words []string) string {
	if len(given) > 64 {
		return "" // no key is that long, and the distance costs its square
	}
	best, bestDistance := "", 0
	for _, word := range words {
		d := distance(plain(given), plain(word))
		if d <= max(1, len(word)/3) && (best == "" || d < bestDistance) {
			best, bestDistance = word, d
		}
	}
	return best
}

func plain(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

// distance counts the letters to insert, delete or replace to turn a into b.
// Source: Wagner and Fischer, The String-to-String Correction Problem, 1974.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

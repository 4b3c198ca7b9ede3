package component

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// platformFunctions are those of interfaces beside WASI 0.2 itself: wasi:config and wasi:logging.
func platformFunctions() []function {
	return slices.Concat(group("wasi:config/store@0.2",
		function{"get", "iii:", true, configGet},
		function{"get-all", "i:", true, configAll},
	), group("wasi:config/runtime@0.2",
		function{"get", "iii:", true, configGet},
		function{"get-all", "i:", true, configAll},
	), group("wasi:logging/logging",
		function{"log", "iiiii:", false, logRecord},
	), group("wasi:logging/logging@0.1",
		function{"log", "iiiii:", false, logRecord},
	))
}

func configGet(c *Call, p []uint64) {
	v, ok := c.Settings[c.text(p[0], p[1])]
	at := c.at(p[2], 4)
	c.put8(at, 0)
	if !ok {
		c.put8(at+4, 0)
		return
	}
	c.putSome(at+4, v)
}

func configAll(c *Call, p []uint64) {
	pairs := make([][2]string, 0, len(c.Settings))
	for _, k := range slices.Sorted(maps.Keys(c.Settings)) {
		pairs = append(pairs, [2]string{k, c.Settings[k]})
	}
	at := c.at(p[0], 4)
	c.putPairs(at+4, pairs)
	c.put8(at, 0)
}

// MaxRecordBytes is the longest record of the log, its context included. What an invocation may log is less by default.
const MaxRecordBytes = 1 << 20

// logRecord writes a record. Levels are trace, debug, info, warn, error and critical.
func logRecord(c *Call, p []uint64) {
	level := min(api.DecodeU32(p[0]), 5)
	levels := [...]int32{-8, -4, 0, 4, 8, 8}
	about, message := c.text(p[1], p[2]), c.text(p[3], p[4])
	if len(about)+len(message) > MaxRecordBytes {
		trap("a record of %d bytes, more than %d", len(about)+len(message), MaxRecordBytes)
	}
	record := map[string]any{"msg": message}
	if about != "" {
		record["attrs"] = map[string]string{"context": about}
	}
	b, err := json.Marshal(record)
	if err != nil { // cannot be: strings are UTF-8
		panic(err)
	}
	c.Log(levels[level], b)
}

package component

import (
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// commandFunctions are wasi:cli's. Standard output and standard error go to the log. Source: WASI 0.2, wit/deps/cli.
func commandFunctions() []function {
	none := func(c *Call, p []uint64) { c.put8(c.at(p[0], 4), 0) }
	return slices.Concat(group("wasi:cli/environment@0.2",
		function{"get-environment", "i:", true, getEnvironment},
		function{"get-arguments", "i:", true, func(c *Call, p []uint64) { c.putTexts(c.at(p[0], 4), c.Process.Args) }},
		function{"initial-cwd", "i:", true, none},
	), group("wasi:cli/exit@0.2",
		function{"exit", "i:", false, exit},
		function{"exit-with-code", "i:", false, exit},
	), group("wasi:cli/stdin@0.2",
		function{"get-stdin", ":i", false, func(c *Call, p []uint64) { p[0] = uint64(c.own(&inputStream{source: new(buffer)}, 0)) }},
	), group("wasi:cli/stdout@0.2",
		function{"get-stdout", ":i", false, func(c *Call, p []uint64) {
			p[0] = uint64(c.own(&outputStream{sink: writer{c.Process.Stdout}}, 0))
		}},
	), group("wasi:cli/stderr@0.2",
		function{"get-stderr", ":i", false, func(c *Call, p []uint64) {
			p[0] = uint64(c.own(&outputStream{sink: writer{c.Process.Stderr}}, 0))
		}},
	),
		group("wasi:cli/terminal-stdin@0.2", function{"get-terminal-stdin", "i:", false, none}),
		group("wasi:cli/terminal-stdout@0.2", function{"get-terminal-stdout", "i:", false, none}),
		group("wasi:cli/terminal-stderr@0.2", function{"get-terminal-stderr", "i:", false, none}),
		[]function{dropped[terminalInput](), dropped[terminalOutput]()},
	)
}

// There are no terminals: nobody has a handle of one.
type (
	terminalInput  struct{ nothing }
	terminalOutput struct{ nothing }
)

func (terminalInput) resource() string  { return "terminal-input" }
func (terminalOutput) resource() string { return "terminal-output" }

type nothing struct{}

func (nothing) drop(*Call) {}

func getEnvironment(c *Call, p []uint64) {
	pairs := make([][2]string, len(c.Process.Env))
	for i, e := range c.Process.Env {
		pairs[i][0], pairs[i][1], _ = strings.Cut(e, "=")
	}
	c.putPairs(c.at(p[0], 4), pairs)
}

// exit ends the guest: with a result, which is 1 for an error, or with a code.
func exit(c *Call, p []uint64) {
	c.Process.Exited, c.Process.ExitCode = true, api.DecodeU32(p[0])&0xff
	panic(sys.NewExitError(c.Process.ExitCode))
}

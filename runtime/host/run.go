package host

import (
	"context"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// run does nothing. That a command imports it says that it serves handlers as a CGI program on purpose.
func run() Function {
	return Function{Name: abi.ImportRunMarker, run: func(context.Context, *Call, api.Memory, []uint64) {}}
}

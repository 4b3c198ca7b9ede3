package server

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sett-run/sett/benchmarks/work/answer"
)

// nginxConfig has the places @ADDRESS, @PROCESSORS and @ITEMS.
//
//go:embed testdata/nginx.conf
var nginxConfig string

// nginx does the works that its configuration can be written for.
func nginx() Kind {
	return Kind{
		Name: "nginx", Program: "nginx", Version: []string{"-v"}, Get: "apt-get install nginx-light",
		How:   "return directives, the JSON from variables; a worker for each processor, no access log",
		Works: []string{"hello", "json"},
		Prepare: func(_ context.Context, at Site) error {
			items := `"` + strings.Join(answer.Items(), `","`) + `"`
			text := strings.NewReplacer("@ADDRESS", at.Address, "@PROCESSORS", strconv.Itoa(at.Processors), "@ITEMS", items).Replace(nginxConfig)
			return os.WriteFile(filepath.Join(at.Dir, "nginx.conf"), []byte(text), 0o644)
		},
		Arguments: func(at Site) []string {
			return []string{"-p", at.Dir, "-c", filepath.Join(at.Dir, "nginx.conf"), "-e", "stderr"}
		},
	}
}

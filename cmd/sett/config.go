package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caarlos0/env/v11"
	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/runtime/manifest"
	"github.com/sett-run/sett/sdk/abi"
)

// Usage of flags that several commands have.
const (
	dataUsage    = "`DIR` data directory (SETT_DATA, default $XDG_DATA_HOME/sett, else ~/.local/share/sett)"
	httpUsage    = "`ADDR` address of the data plane (SETT_HTTP, default " + node.DefaultHTTP + ")"
	adminUsage   = "`ADDR` address of the admin plane; beyond loopback it asks for a token (SETT_ADMIN, default " + node.DefaultAdmin + ")"
	pathUsage    = "`PATH` path and query of the request (default the function's first route)"
	fileUsage    = "`FILE` file that holds the body; - is stdin"
	linesUsage   = "each line that is not empty, of stdin or --file, is a message"
	yesUsage     = "do not ask"
	patternUsage = "`JSON` pattern of events, as EventBridge has it, or @FILE, or - for stdin"
)

// maxConfigBytes bounds the file given with --config; what a node needs fits in less than a thousand.
const maxConfigBytes = 64 << 10

// upConfig is how a node is to run, as flags, environment and file say it. The file's keys are the flags' names.
type upConfig struct {
	Data       string `env:"DATA"`
	HTTP       string `env:"HTTP"`
	Admin      string `env:"ADMIN"`
	Cluster    string `env:"CLUSTER"`
	Redis      string `env:"REDIS"`
	S3         string `env:"S3"`
	S3Domain   string `env:"S3_DOMAIN"`
	Name       string `env:"NAME"`
	Region     string `env:"REGION"`
	Join       string `env:"JOIN"`
	Advertise  string `env:"ADVERTISE"`
	PrintToken bool
	FuelHeader bool
	File       string `env:"CONFIG"`
}

// option is one setting that flags, environment and file share.
type option struct {
	name  string // of the flag and of the file's key
	usage string
	value *string
}

func (c *upConfig) options() []option {
	return []option{
		{"data", dataUsage, &c.Data},
		{"http", httpUsage, &c.HTTP},
		{"admin", adminUsage, &c.Admin},
		{"cluster", "`ADDR` address for other nodes, which also use the TCP port after it (SETT_CLUSTER, default " + node.DefaultCluster + ")", &c.Cluster},
		{"redis", "`ADDR` address of the Redis protocol; beyond loopback it asks for a token (SETT_REDIS, default off)", &c.Redis},
		{"s3", "`ADDR` address of S3's API, whose requests are signed with keys of sett token create --s3 (SETT_S3, default off)", &c.S3},
		{"s3-domain", "`DOMAIN` what follows the bucket in the names of S3's virtual hosts (SETT_S3_DOMAIN, default none: buckets are in the path)", &c.S3Domain},
		{"name", "`NAME` name of the node (SETT_NAME, default the host's)", &c.Name},
		{"region", "`REGION` where the node stands (SETT_REGION)", &c.Region},
		{"join", "`TOKEN` token of sett cluster invite; a node that belongs to a cluster already ignores it (SETT_JOIN)", &c.Join},
		{"advertise", "`ADDR` address, or host alone, at which other nodes reach this one (SETT_ADVERTISE, default where --cluster listens)", &c.Advertise},
	}
}

// complete answers c, which holds the flags, with what environment and file add: a flag beats the environment, the
// environment beats the file.
func (c upConfig) complete(environ []string) (upConfig, error) {
	var around, file upConfig
	if err := env.ParseWithOptions(&around, env.Options{Prefix: "SETT_", Environment: env.ToMap(environ)}); err != nil {
		return c, usageError{fmt.Errorf("read environment: %w", err)}
	}
	if c.File = cmp.Or(c.File, around.File); c.File != "" {
		if err := file.read(c.File); err != nil {
			return c, err
		}
	}
	outer, inner := around.options(), file.options()
	for i, o := range c.options() {
		*o.value = cmp.Or(*o.value, *outer[i].value, *inner[i].value)
	}
	if c.Data == "" {
		dir, err := defaultData(env.ToMap(environ))
		if err != nil {
			return c, err
		}
		c.Data = dir
	}
	return c, nil
}

// defaultData is where a node keeps its data when nothing says otherwise.
// Source: XDG Base Directory Specification 0.8.
func defaultData(environ map[string]string) (string, error) {
	if dir := environ["XDG_DATA_HOME"]; filepath.IsAbs(dir) {
		return filepath.Join(dir, "sett"), nil
	}
	if home := environ["HOME"]; filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "sett"), nil
	}
	return "", usage("neither XDG_DATA_HOME nor HOME is set: give the data directory with --data DIR")
}

// read fills c from a YAML file, and names every fault with its line.
func (c *upConfig) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	if len(text) > maxConfigBytes {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("read config: %s is larger than %d KiB", name, maxConfigBytes>>10))
	}
	if err := c.parse(text, name); err != nil {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("read config: %w", err))
	}
	return nil
}

func (c *upConfig) parse(text []byte, name string) error {
	var doc yaml.Node
	err := yaml.Load(text, &doc)
	var place *yaml.LoadError
	if errors.As(err, &place) && place.Mark.Line > 0 {
		return fmt.Errorf("%s:%d:%d: not YAML: %s", name, place.Mark.Line, place.Mark.Column, place.Message)
	}
	if err != nil && strings.Contains(err.Error(), "no documents in stream") {
		return nil // an empty file says nothing
	}
	if err != nil {
		return fmt.Errorf("%s: not YAML: %w", name, err)
	}
	if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
		return nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s:1:1: a config is a list of KEY: VALUE", name)
	}
	return c.fields(doc.Content[0].Content, name)
}

func (c *upConfig) fields(nodes []*yaml.Node, name string) error {
	options := c.options()
	known := make([]string, 0, len(options))
	values := map[string]*string{}
	for _, o := range options {
		known = append(known, o.name)
		values[o.name] = o.value
	}
	seen := map[string]bool{}
	var faults []error
	for i := 0; i+1 < len(nodes); i += 2 {
		key, value := nodes[i], nodes[i+1]
		into, ok := values[key.Value]
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("%s:%d:%d: unknown key %.64s%s", name, key.Line, key.Column, printable(key.Value),
				nearKey(key.Value, known)))
		case seen[key.Value]:
			faults = append(faults, fmt.Errorf("%s:%d:%d: %s is given twice", name, key.Line, key.Column, key.Value))
		case value.Kind != yaml.ScalarNode || value.ShortTag() == "!!null":
			faults = append(faults, fmt.Errorf("%s:%d:%d: %s needs a word", name, value.Line, value.Column, key.Value))
		default:
			seen[key.Value] = true
			*into = value.Value
		}
	}
	return errors.Join(faults...)
}

func nearKey(word string, known []string) string {
	if near := manifest.Nearest(word, known); near != "" {
		return ", did you mean " + near + "?"
	}
	return "; known are " + strings.Join(known, ", ")
}

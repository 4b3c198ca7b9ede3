// Package subject is what benchmarks measure: nodes, groups of stores and other programs in processes of their own, and
// functions on them. Its main types are Process, this program again, and Program, another one. Neither outlives the
// benchmark that has started it, however that ends.
package subject

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// Deploy uploads a module to the node with this admin address, HOST:PORT, and makes it the function name.
func Deploy(ctx context.Context, admin, name string, module []byte, settings registry.Settings) error {
	c, err := client.New("http://"+admin, "")
	if err != nil {
		return err
	}
	defer c.Close()
	digest, err := Upload(ctx, c, module)
	if err != nil {
		return err
	}
	_, err = c.Deploy(ctx, registry.DefaultApp, client.DeployRequest{Functions: []client.DeployFunction{
		{Name: name, Digest: digest, Settings: settings},
	}})
	return err
}

// Upload uploads a module and answers its digest.
func Upload(ctx context.Context, c *client.Client, module []byte) (digest string, err error) {
	sum := sha256.Sum256(module)
	digest = hex.EncodeToString(sum[:])
	_, err = c.UploadModule(ctx, client.Upload{Digest: digest, SizeBytes: int64(len(module)), Body: bytes.NewReader(module)})
	return digest, err
}

// GoModule builds a package of this module as a function does; dir takes the file.
func GoModule(ctx context.Context, dir, pkg string) ([]byte, error) {
	file := filepath.Join(dir, "guest.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-o", file, "github.com/sett-run/sett/"+pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest in Go: %w: %s", err, out)
	}
	return os.ReadFile(file)
}

// Get asks for http://address/path, of a host if it is not empty, reads the whole reply, and answers its status.
func Get(ctx context.Context, address, path, host string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return 0, err
	}
	request.Host = host
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, reply.Body)
	return reply.StatusCode, errors.Join(err, reply.Body.Close())
}

// Package deploy uploads modules to the nodes that benchmarks start.
package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// Function uploads a module to the node with this admin address, HOST:PORT, and makes it the function name.
func Function(ctx context.Context, admin, name string, module []byte, settings registry.Settings) error {
	c, err := client.New("http://"+admin, "")
	if err != nil {
		return err
	}
	defer c.Close()
	sum := sha256.Sum256(module)
	digest := hex.EncodeToString(sum[:])
	upload := client.Upload{Digest: digest, SizeBytes: int64(len(module)), Body: bytes.NewReader(module)}
	if _, err := c.UploadModule(ctx, upload); err != nil {
		return err
	}
	_, err = c.Deploy(ctx, registry.DefaultApp, client.DeployRequest{Functions: []client.DeployFunction{
		{Name: name, Digest: digest, Settings: settings},
	}})
	return err
}

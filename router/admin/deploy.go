package admin

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// maxDeployed is how many functions a deployment may change at once; a transaction of the store holds no more.
const maxDeployed = 100

// deploy makes new versions live: all of the functions asked for, or none.
func (a *Admin) deploy(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask client.DeployRequest
	if err := a.readJSON(w, r, a.limits.JSONBytes, &ask); err != nil {
		return err
	}
	changes, err := a.checkDeployment(ask)
	if err != nil {
		return err
	}
	done, err := a.config.Deployer.Deploy(r.Context(), r.PathValue("app"), changes)
	if err != nil {
		return err
	}
	base := a.urlBase(r)
	out := client.DeployResponse{Functions: make([]client.Deployed, 0, len(done))}
	for i := range done {
		v := &done[i].Version
		patterns := patternsOf(v)
		out.Functions = append(out.Functions, client.Deployed{
			App: v.App, Function: v.Function, Version: v.Number, Digest: v.Module.Digest, Kind: v.Module.Kind,
			Isolation: isolationOf(v), IsolationReason: v.Module.IsolationReason, Routes: patterns, URL: firstURL(base, patterns),
			CompileMS: int64(done[i].Compile.Round(time.Millisecond) / time.Millisecond), Unchanged: done[i].Unchanged,
		})
	}
	return answer(w, http.StatusOK, out)
}

// checkDeployment names every fault that can be seen before anything is compiled.
func (a *Admin) checkDeployment(ask client.DeployRequest) ([]registry.Change, error) {
	if n := len(ask.Functions); n == 0 || n > maxDeployed {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("functions: must be 1 to %d, not %d", maxDeployed, n))
	}
	var faults []error
	seen := map[string]bool{}
	changes := make([]registry.Change, 0, len(ask.Functions))
	for _, f := range ask.Functions {
		if err := registry.CheckName("function", f.Name); err != nil {
			faults = append(faults, err)
			continue
		}
		if seen[f.Name] {
			faults = append(faults, abi.WithCode(abi.InvalidInput, fmt.Errorf("function %s: given twice", f.Name)))
		}
		seen[f.Name] = true
		if err := checkDigest(f.Digest); err != nil {
			faults = append(faults, abi.WithCode(abi.InvalidInput, fmt.Errorf("function %s: %w", f.Name, err)))
		} else if !a.config.Modules.Has(f.Digest) {
			faults = append(faults, abi.WithCode(abi.NotFound,
				fmt.Errorf("function %s: module %s is not uploaded: PUT /v1/modules/DIGEST first", f.Name, f.Digest)))
		}
		err := f.Settings.Validate()
		if err == nil && a.config.Check != nil {
			err = a.config.Check(f.Settings)
		}
		if err != nil {
			faults = append(faults, abi.WithCode(abi.CodeOf(err), fmt.Errorf("function %s: %w", f.Name, err)))
		}
		changes = append(changes, registry.Change{Name: f.Name, Module: registry.Module{Digest: f.Digest}, Settings: f.Settings})
	}
	if len(faults) == 0 {
		return changes, nil
	}
	return nil, abi.WithCode(abi.CodeOf(faults[0]), errors.Join(faults...))
}

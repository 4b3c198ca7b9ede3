package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

const digestLength = 64 // a SHA-256 in hexadecimal

func checkDigest(digest string) error {
	if len(digest) != digestLength || strings.Trim(digest, "0123456789abcdef") != "" {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("digest %.80q: it is a SHA-256, 64 hexadecimal digits in lower case", digest))
	}
	return nil
}

func (a *Admin) headModule(w http.ResponseWriter, r *http.Request, _ caller) error {
	digest := r.PathValue("digest")
	if err := checkDigest(digest); err != nil {
		return err
	}
	if !a.config.Modules.Has(digest) {
		return abi.WithCode(abi.NotFound, fmt.Errorf("module %s: not uploaded", digest))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// putModule streams a module to its place. Doing it twice changes nothing.
func (a *Admin) putModule(w http.ResponseWriter, r *http.Request, _ caller) error {
	digest := r.PathValue("digest")
	if err := checkDigest(digest); err != nil {
		return err
	}
	if r.ContentLength > a.limits.ModuleBytes {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("module of %d bytes: over the limit of %d bytes", r.ContentLength, a.limits.ModuleBytes))
	}
	if err := a.uploads.enter("uploads"); err != nil {
		return err
	}
	defer a.uploads.leave()
	existed := a.config.Modules.Has(digest)
	body := &paced{
		r: http.MaxBytesReader(w, r.Body, a.limits.ModuleBytes), control: http.NewResponseController(w),
		stall: a.limits.Stall, end: time.Now().Add(a.limits.UploadTime),
	}
	size, err := a.config.Modules.Put(r.Context(), digest, body)
	if body.failed != nil {
		return bodyError(body.failed) // the cause, however Put words it
	}
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return answer(w, status, client.Module{Digest: digest, SizeBytes: size, Existed: existed})
}

// paced reads a body whose sender may pause for stall at most and must be done at end.
type paced struct {
	r       io.Reader
	control *http.ResponseController
	stall   time.Duration
	end     time.Time
	failed  error // why the body could not be read
}

func (p *paced) Read(b []byte) (int, error) {
	deadline := time.Now().Add(p.stall)
	if deadline.After(p.end) {
		deadline = p.end
	}
	if err := p.control.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		p.failed = err
		return 0, err
	}
	n, err := p.r.Read(b)
	switch {
	case errors.Is(err, io.EOF):
		p.control.SetReadDeadline(time.Time{}) // storing the module may take longer than stall
	case err != nil:
		p.failed = err
	}
	return n, err
}

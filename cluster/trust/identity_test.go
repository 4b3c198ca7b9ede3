package trust

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

func open(t *testing.T, dir, id string) *Identity {
	t.Helper()
	i, err := OpenIdentity(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// requested is the key that an identity's next request is for.
func requested(t *testing.T, i *Identity) (csr []byte, f Fingerprint) {
	t.Helper()
	csr, err := i.NewRequest()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		t.Fatal(err)
	}
	return csr, fingerprint(&x509.Certificate{RawSubjectPublicKeyInfo: parsed.RawSubjectPublicKeyInfo})
}

func TestIdentityOnDisk(t *testing.T) {
	dir, id, a := filepath.Join(t.TempDir(), "cluster"), newID(), authority(t)
	i := open(t, dir, id)
	if i.Joined() || !i.RenewAt().IsZero() || i.ID() != id {
		t.Errorf("a new identity: Joined %v, RenewAt %v, ID %s", i.Joined(), i.RenewAt(), i.ID())
	}
	_, before := requested(t, i)
	i = open(t, dir, id) // the node was killed while it joined
	csr, after := requested(t, i)
	if before != after {
		t.Error("the key changed before the node has joined")
	}
	cert, err := a.Issue(csr, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Use(cert, a.Roots()); err != nil {
		t.Fatal(err)
	}
	i = open(t, dir, id)
	if i.Cluster() != a.Cluster() {
		t.Errorf("Cluster = %q, want %q", i.Cluster(), a.Cluster())
	}
	if _, renewed := requested(t, i); renewed == before {
		t.Error("a renewal is for the old key")
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, identityFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", path, info.Mode(), err, want)
		}
	}
	if _, err := OpenIdentity(dir, newID()); err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("OpenIdentity for another node = %v, want one that names %s", err, id)
	}
}

func TestOpenIdentityRefuses(t *testing.T) {
	if _, err := OpenIdentity("", "short"); err == nil {
		t.Error("OpenIdentity accepts a short id")
	}
	for name, text := range map[string]string{"garbage": "identity", "nothing": "", "no key": string(authority(t).Roots())} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, identityFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenIdentity(dir, newID()); err == nil {
			t.Errorf("%s: OpenIdentity accepts it", name)
		}
	}
}

func TestUseRefuses(t *testing.T) {
	a, other, id := authority(t), authority(t), newID()
	rotated, err := a.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	member := open(t, "", id)
	if err := member.IssuedBy(a); err != nil {
		t.Fatal(err)
	}
	csr, _ := requested(t, member)
	answer := func(a *Authority, id string) []byte {
		text, err := a.Issue(csr, id)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	key, _ := a.PEM()
	for _, c := range []struct {
		name        string
		cert, roots []byte
		code        abi.Code
	}{
		{"another node's", answer(a, newID()), a.Roots(), abi.Conflict},
		{"another key's", must(t, a, id), a.Roots(), abi.Conflict},
		{"another cluster's", answer(other, id), other.Roots(), abi.Conflict},
		{"roots of another cluster", answer(a, id), other.Roots(), abi.Conflict},
		{"roots of two clusters", answer(a, id), append(a.Roots(), other.Roots()...), abi.Conflict},
		{"no roots", answer(a, id), nil, abi.Conflict},
		{"a node's certificate as root", answer(a, id), answer(a, id), abi.Conflict},
		{"roots that have not issued ours", nil, rotated.Retire().Roots(), abi.Conflict},
		{"garbage", []byte("x"), a.Roots(), abi.InvalidInput},
		{"garbage as roots", answer(a, id), []byte("x"), abi.InvalidInput},
		{"a key", key, a.Roots(), abi.InvalidInput},
	} {
		if err := member.Use(c.cert, c.roots); abi.CodeOf(err) != c.code {
			t.Errorf("%s: Use = %v (%s), want %s", c.name, err, abi.CodeOf(err), c.code)
		}
	}
	if err := open(t, "", id).Use(nil, nil); err == nil {
		t.Error("Use accepts nothing")
	}
	if err := member.Use(nil, rotated.Roots()); err != nil {
		t.Errorf("Use of one more root = %v", err)
	}
	if err := member.Use(answer(rotated, id), rotated.Roots()); err != nil {
		t.Errorf("Use of a certificate = %v", err)
	}
	if err := member.Use(nil, rotated.Retire().Roots()); err != nil {
		t.Errorf("Use of the new root alone = %v", err)
	}
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		i := d.identity()
		if got, want := i.RenewAt(), time.Now().Add(NodeLife-(NodeLife+Backdating)/3); !got.Equal(want) {
			t.Errorf("RenewAt = %v, want %v", got, want)
		}
		time.Sleep(2 * NodeLife) // long expired
		if err := d.records.Renew(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if !i.RenewAt().After(time.Now()) {
			t.Errorf("RenewAt = %v at %v", i.RenewAt(), time.Now())
		}
		if err := d.records.RemoveMember(t.Context(), i.ID()); err != nil {
			t.Fatal(err)
		}
		if err := d.records.Renew(t.Context(), i); abi.CodeOf(err) != abi.Forbidden {
			t.Errorf("Renew of a removed node = %v, want it forbidden", err)
		}
		if err := d.records.Renew(t.Context(), open(t, "", newID())); abi.CodeOf(err) != abi.NotFound {
			t.Errorf("Renew of a node that is no member = %v", err)
		}
	})
}

func TestUnder(t *testing.T) {
	i, a := open(t, "", newID()), authority(t)
	if i.Under(a) || i.Issuer() != (Fingerprint{}) {
		t.Error("an identity without a certificate is under an authority")
	}
	use := func(a *Authority) {
		t.Helper()
		if err := i.IssuedBy(a); err != nil {
			t.Fatal(err)
		}
	}
	rotated, err := a.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	retired := rotated.Retire()
	for step, used := range []*Authority{a, rotated, retired} {
		use(used)
		for other, want := range []*Authority{a, rotated, retired} {
			if got := i.Under(want); got != (step == other) {
				t.Errorf("issued in step %d: Under the authority of step %d = %v", step, other, got)
			}
		}
		if i.Issuer() != used.Fingerprint() {
			t.Errorf("step %d: Issuer is not the authority's root", step)
		}
	}
	if i.Under(authority(t)) {
		t.Error("an identity is under another cluster's authority")
	}
}

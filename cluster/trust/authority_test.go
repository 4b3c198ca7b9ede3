package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// issued is what an authority answers to a new key.
func issued(t *testing.T, a *Authority, id string) (key *ecdsa.PrivateKey, chain []*x509.Certificate) {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.Issue(request(t, key), id)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parsePEM(text)
	if err != nil {
		t.Fatal(err)
	}
	return key, f.certs
}

func pool(t *testing.T, text []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		t.Fatalf("no certificates in %s", text)
	}
	return p
}

func TestIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time begins in 2000
		a, id := authority(t), newID()
		key, chain := issued(t, a, id)
		leaf := chain[0]
		if len(chain) != 1 || !key.PublicKey.Equal(leaf.PublicKey) {
			t.Fatalf("Issue answers %d certificates of key %v", len(chain), leaf.PublicKey)
		}
		if got, want := leaf.URIs[0].String(), "sett://"+a.Cluster()+"/"+id; got != want {
			t.Errorf("the certificate names %q, want %q", got, want)
		}
		now := time.Now()
		if !leaf.NotBefore.Equal(now.Add(-Backdating)) || !leaf.NotAfter.Equal(now.Add(NodeLife)) {
			t.Errorf("it holds from %v to %v at %v", leaf.NotBefore, leaf.NotAfter, now)
		}
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
			cluster, got, err := verify(chain, pool(t, a.Roots()), usage)
			if cluster != a.Cluster() || got != id || err != nil {
				t.Errorf("verify for usage %v = %q, %q, %v", usage, cluster, got, err)
			}
		}
		time.Sleep(NodeLife + time.Second)
		if _, _, err := verify(chain, pool(t, a.Roots()), x509.ExtKeyUsageClientAuth); err == nil {
			t.Error("verify accepts an expired certificate")
		}
		time.Sleep(RootLife - NodeLife - 24*time.Hour)
		if _, chain = issued(t, a, id); chain[0].NotAfter.After(a.root.NotAfter) {
			t.Errorf("the certificate ends at %v, after the root's end at %v", chain[0].NotAfter, a.root.NotAfter)
		}
	})
}

func TestIssueRefuses(t *testing.T) {
	a, id := authority(t), newID()
	key, _ := newKey()
	good := request(t, key)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	for _, c := range []struct {
		name string
		csr  []byte
		id   string
		want string
	}{
		{"nothing", nil, id, "parse request"},
		{"garbage", []byte("request"), id, "parse request"},
		{"another signature", forged, id, "check request"},
		{"another curve", request(t, p384), id, "P-256"},
		{"RSA", request(t, r), id, "P-256"},
		{"too long", make([]byte, MaxRequestBytes+1), id, "4097 bytes"},
		{"no id", good, "", "node id"},
		{"an id that is a path", good, "0123456789abcde/", "node id"},
		{"a long id", good, id + "0", "node id"},
		{"an id in capitals", good, "0123456789ABCDEF", "node id"},
	} {
		_, err := a.Issue(c.csr, c.id)
		if err == nil || !strings.Contains(err.Error(), c.want) || abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("%s: Issue = %v (%s), want one about %q", c.name, err, abi.CodeOf(err), c.want)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	a, b := authority(t), authority(t)
	_, ours := issued(t, a, newID())
	_, theirs := issued(t, b, newID())
	roots := pool(t, a.Roots())
	for name, presented := range map[string][]*x509.Certificate{
		"none":                                   nil,
		"another cluster's":                      theirs,
		"another cluster's with our root behind": {theirs[0], a.root},
		"another cluster's with its own root":    {theirs[0], b.root},
		"a root":                                 {a.root},
		"too many":                               {ours[0], a.root, a.root, a.root, a.root},
	} {
		if _, id, err := verify(presented, roots, x509.ExtKeyUsageClientAuth); err == nil {
			t.Errorf("%s: verify = %s", name, id)
		}
	}
	if err := verifyRoot(theirs, a.Fingerprint()); err == nil {
		t.Error("verifyRoot accepts another cluster's certificate")
	}
	if err := verifyRoot([]*x509.Certificate{theirs[0], a.root}, a.Fingerprint()); err == nil {
		t.Error("verifyRoot accepts another cluster's certificate because our root comes along")
	}
	if err := verifyRoot([]*x509.Certificate{ours[0], a.root}, a.Fingerprint()); err != nil {
		t.Errorf("verifyRoot = %v", err)
	}
}

func TestAuthorityPEM(t *testing.T) {
	a := authority(t)
	b, err := a.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]*Authority{"one root": a, "two roots": b, "retired": b.Retire()} {
		text, err := want.PEM()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseAuthority(text)
		if err != nil {
			t.Fatalf("%s: ParseAuthority = %v", name, err)
		}
		if got.String() != want.String() || !bytes.Equal(got.Roots(), want.Roots()) {
			t.Errorf("%s: ParseAuthority = %v, want %v", name, got, want)
		}
		if strings.Contains(got.String(), "KEY") {
			t.Errorf("%s: String tells the key: %s", name, got)
		}
	}
	aText, _ := a.PEM()
	bText, _ := b.PEM()
	aKey, _, _ := strings.Cut(string(aText), "-----BEGIN CERT")
	_, bCerts, _ := strings.Cut(string(bText), "-----BEGIN CERT")
	for name, text := range map[string]string{
		"nothing": "", "no key": string(a.Roots()), "no root": aKey, "text behind": string(aText) + "x",
		"two keys": aKey + string(aText), "another's key": aKey + "-----BEGIN CERT" + bCerts,
		"two certificates": string(aText) + string(a.Roots()), "a node's": aKey + string(must(t, a, newID())),
		"too long": string(aText) + strings.Repeat("\n", maxPEMBytes),
	} {
		if _, err := ParseAuthority([]byte(text)); err == nil {
			t.Errorf("%s: ParseAuthority accepts it", name)
		}
	}
}

func must(t *testing.T, a *Authority, id string) []byte {
	_, chain := issued(t, a, id)
	return encodeCertificates(chain)
}

func TestRotate(t *testing.T) {
	old := authority(t)
	rotated, err := old.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rotated.Rotate(); abi.CodeOf(err) != abi.Conflict {
		t.Errorf("a second Rotate = %v, want a conflict", err)
	}
	if !rotated.Rotating() || rotated.Cluster() != old.Cluster() {
		t.Errorf("Rotating = %v, cluster %s, want true and %s", rotated.Rotating(), rotated.Cluster(), old.Cluster())
	}
	retired := rotated.Retire()
	_, byOld := issued(t, old, newID())
	_, byRotated := issued(t, rotated, newID())
	_, byRetired := issued(t, retired, newID())
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		roots *Authority
		want  bool
	}{
		{"old by old", byOld, old, true},
		{"old by both", byOld, rotated, true},
		{"old by new", byOld, retired, false},
		{"rotated by old", byRotated, old, true}, // the node has not heard of the new root
		{"rotated by both", byRotated, rotated, true},
		{"rotated by new", byRotated, retired, true},
		{"retired by old", byRetired, old, false},
		{"retired by both", byRetired, rotated, true},
		{"retired by new", byRetired, retired, true},
	} {
		_, _, err := verify(c.chain, pool(t, c.roots.Roots()), x509.ExtKeyUsageServerAuth)
		if (err == nil) != c.want {
			t.Errorf("%s: verify = %v, want accepted %v", c.name, err, c.want)
		}
	}
	if _, err := retired.Rotate(); err != nil {
		t.Errorf("Rotate after Retire = %v", err)
	}
}

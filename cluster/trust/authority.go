package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// MaxRequestBytes is the size of a certificate request.
const MaxRequestBytes = 4 << 10

// Authority is a cluster's certificate authority. It never changes: Rotate and Retire answer another one.
//
// A new root is believed at once, by nodes that have not heard of it too: the old root has signed it, and nodes show
// that signature along with the certificates that the new root issues.
type Authority struct {
	cluster string
	key     *ecdsa.PrivateKey
	root    *x509.Certificate
	old     *x509.Certificate // the root before Rotate, still trusted; nil: none
	cross   *x509.Certificate // root's key, signed by old; nil when old is
}

// NewAuthority makes a cluster: it draws the cluster's id and a root that holds for RootLife.
func NewAuthority() (*Authority, error) {
	a := &Authority{cluster: newID()}
	var err error
	if a.key, a.root, err = newRoot(a.cluster); err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	return a, nil
}

func newRoot(cluster string) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	root, err := sign(rootTemplate(cluster), nil, &key.PublicKey, key)
	return key, root, err
}

// rootTemplate is a root without a parent. Its subject differs from every other root's, so that chains are found by it.
func rootTemplate(cluster string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "sett cluster " + cluster, SerialNumber: newID()},
		NotBefore: now.Add(-Backdating), NotAfter: now.Add(RootLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1, // a node's certificate by way of the next root
		KeyUsage: x509.KeyUsageCertSign, URIs: []*url.URL{nodeURI(cluster, "")},
	}
}

// sign makes a certificate for public; a nil parent is the certificate itself.
func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// ParseAuthority reads what PEM wrote.
func ParseAuthority(text []byte) (*Authority, error) {
	a, err := parseAuthority(text)
	if err != nil {
		return nil, fmt.Errorf("parse authority: %w", err)
	}
	return a, nil
}

func parseAuthority(text []byte) (*Authority, error) {
	f, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	if f.key == nil || len(f.certs) != 1 && len(f.certs) != 3 {
		return nil, errors.New("want a key, a root, and maybe the root before with what it has signed")
	}
	a := &Authority{key: f.key, root: f.certs[0]}
	if a.cluster, err = clusterOf(a.root); err != nil {
		return nil, err
	}
	if !a.key.PublicKey.Equal(a.root.PublicKey) {
		return nil, errors.New("the key is not the root's")
	}
	if len(f.certs) == 3 {
		a.old, a.cross = f.certs[1], f.certs[2]
		if err := a.cross.CheckSignatureFrom(a.old); err != nil || fingerprint(a.cross) != fingerprint(a.root) {
			return nil, errors.New("the root before has not signed the root")
		}
	}
	return a, nil
}

// PEM is the authority with its private key, as it stands in the store.
func (a *Authority) PEM() ([]byte, error) {
	certs := []*x509.Certificate{a.root}
	if a.old != nil {
		certs = append(certs, a.old, a.cross)
	}
	return pemFile{a.key, certs}.encode()
}

// Cluster is the cluster's id: 16 hexadecimal digits that stay when the root changes.
func (a *Authority) Cluster() string { return a.cluster }

// Fingerprint is that of the root that issues.
func (a *Authority) Fingerprint() Fingerprint { return fingerprint(a.root) }

// Roots are the certificates that nodes shall trust, as PEM.
func (a *Authority) Roots() []byte {
	if a.old == nil {
		return encodeCertificates([]*x509.Certificate{a.root})
	}
	return encodeCertificates([]*x509.Certificate{a.root, a.old})
}

// Issue signs a certificate for the node with an id, of the key in a request (PKCS #10), from which it takes nothing
// else. What it answers is PEM: the node's certificate and, while a root before is trusted, what leads to that one. Its
// errors are coded abi.InvalidInput.
func (a *Authority) Issue(csrDER []byte, id string) ([]byte, error) {
	public, err := requestKey(csrDER)
	if err != nil {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("issue certificate: %w", err))
	}
	if !validID(id) {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("issue certificate: node id %.40q is not %d hexadecimal digits", id, idDigits))
	}
	now := time.Now()
	end := now.Add(NodeLife)
	if end.After(a.root.NotAfter) {
		end = a.root.NotAfter
	}
	leaf, err := sign(&x509.Certificate{
		NotBefore: now.Add(-Backdating), NotAfter: end, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{nodeURI(a.cluster, id)},
	}, a.root, public, a.key)
	if err != nil {
		return nil, err
	}
	chain := []*x509.Certificate{leaf}
	if a.cross != nil {
		chain = append(chain, a.cross)
	}
	return encodeCertificates(chain), nil
}

// requestKey answers the key of a request whose maker has shown that he holds it.
func requestKey(csrDER []byte) (*ecdsa.PublicKey, error) {
	if len(csrDER) > MaxRequestBytes {
		return nil, fmt.Errorf("the request has %d bytes, at most %d are allowed", len(csrDER), MaxRequestBytes)
	}
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return nil, fmt.Errorf("parse request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check request: %w", err)
	}
	public, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("the request's key is not one of ECDSA P-256")
	}
	return public, nil
}

// Rotate answers an authority with a new root. The root before stays trusted until Retire, which must come first if
// there is one already. Tokens made from then on name the new root, and are good for addresses of nodes that have
// renewed their certificates; those made before go on until Retire.
func (a *Authority) Rotate() (*Authority, error) {
	if a.old != nil {
		return nil, abi.WithCode(abi.Conflict, errors.New("rotate authority: the root before is still trusted, retire it first"))
	}
	key, root, err := newRoot(a.cluster)
	if err != nil {
		return nil, fmt.Errorf("rotate authority: %w", err)
	}
	template := rootTemplate(a.cluster)
	template.Subject, template.MaxPathLen, template.MaxPathLenZero = root.Subject, 0, true
	template.SubjectKeyId = root.SubjectKeyId
	if template.NotAfter.After(a.root.NotAfter) {
		template.NotAfter = a.root.NotAfter
	}
	cross, err := sign(template, a.root, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("rotate authority: %w", err)
	}
	return &Authority{cluster: a.cluster, key: key, root: root, old: a.root, cross: cross}, nil
}

// Rotating says whether a root before is still trusted.
func (a *Authority) Rotating() bool { return a.old != nil }

// Retire answers an authority that trusts its own root only. Nodes whose certificates the root before has issued are
// strangers then, so it comes after all have renewed theirs.
func (a *Authority) Retire() *Authority {
	return &Authority{cluster: a.cluster, key: a.key, root: a.root}
}

// String tells the authority apart without its key.
func (a *Authority) String() string {
	f := a.Fingerprint()
	return fmt.Sprintf("cluster %s root %s", a.cluster, hex.EncodeToString(f[:8]))
}

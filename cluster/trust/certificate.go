package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Lives of certificates. A shorter node life makes a stolen key useless sooner and a node that was off for long more
// likely to need a renewal before it can speak.
const (
	RootLife   = 20 * 365 * 24 * time.Hour
	NodeLife   = 365 * 24 * time.Hour
	Backdating = 5 * time.Minute // how far another node's clock may be behind
)

const (
	idDigits     = 16     // of a node's, a cluster's and an invite's id, hexadecimal
	scheme       = "sett" // of the URI that names a node: sett://CLUSTER/NODE
	maxChain     = 4      // certificates that are looked at: node, cross, root, old root
	maxPEMBytes  = 64 << 10
	certificates = "CERTIFICATE" // PEM block types
	privateKey   = "PRIVATE KEY"
)

// newID draws an id for a node: 16 hexadecimal digits.
func newID() string {
	var id [idDigits / 2]byte
	rand.Read(id[:]) // never fails, crypto/rand
	return hex.EncodeToString(id[:])
}

// validID says whether id has the form of newID's.
func validID(id string) bool {
	return len(id) == idDigits && strings.Trim(id, "0123456789abcdef") == ""
}

// Fingerprint is the SHA-256 of a public key's SubjectPublicKeyInfo.
type Fingerprint [sha256.Size]byte

func fingerprint(c *x509.Certificate) Fingerprint { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// nodeOf answers what node a certificate was issued to.
func nodeOf(c *x509.Certificate) (cluster, id string, err error) {
	if c.IsCA || len(c.URIs) != 1 {
		return "", "", errors.New("not the certificate of a node")
	}
	u := c.URIs[0]
	cluster, id = u.Host, strings.TrimPrefix(u.Path, "/")
	if u.Scheme != scheme || !validID(cluster) || !validID(id) {
		return "", "", fmt.Errorf("the certificate names %.80q, want sett://CLUSTER/NODE", u)
	}
	return cluster, id, nil
}

// clusterOf answers what cluster a root is of.
func clusterOf(c *x509.Certificate) (string, error) {
	if !c.IsCA || len(c.URIs) != 1 || c.URIs[0].Scheme != scheme || !validID(c.URIs[0].Host) || c.URIs[0].Path != "" {
		return "", errors.New("not the root of a cluster")
	}
	return c.URIs[0].Host, nil
}

func nodeURI(cluster, id string) *url.URL {
	u := &url.URL{Scheme: scheme, Host: cluster}
	if id != "" {
		u.Path = "/" + id
	}
	return u
}

// verify checks that the first of the certificates that were presented is a node's and was issued, maybe by way of the
// others, by one of the roots.
func verify(presented []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) (cluster, id string, err error) {
	if len(presented) == 0 {
		return "", "", errors.New("no certificate")
	}
	if len(presented) > maxChain {
		return "", "", fmt.Errorf("%d certificates, at most %d are looked at", len(presented), maxChain)
	}
	between := x509.NewCertPool()
	for _, c := range presented[1:] {
		between.AddCert(c)
	}
	_, err = presented[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return "", "", err
	}
	return nodeOf(presented[0])
}

// verifyRoot does what verify does with the one presented certificate that has the fingerprint as root.
func verifyRoot(presented []*x509.Certificate, root Fingerprint) error {
	roots, found := x509.NewCertPool(), false
	for _, c := range presented[:min(len(presented), maxChain)] {
		if c.IsCA && fingerprint(c) == root {
			roots.AddCert(c)
			found = true
		}
	}
	if !found {
		return ErrFingerprint
	}
	_, _, err := verify(presented, roots, x509.ExtKeyUsageServerAuth)
	return err
}

// selfSigned tells roots from certificates that lead to one.
func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	return key, nil
}

// pemFile is what a PEM text of ours holds.
type pemFile struct {
	key   *ecdsa.PrivateKey // nil: none
	certs []*x509.Certificate
}

// parsePEM reads at most one key and some certificates, and nothing else.
func parsePEM(text []byte) (f pemFile, err error) {
	if len(text) > maxPEMBytes {
		return f, fmt.Errorf("%d bytes of PEM, at most %d are allowed", len(text), maxPEMBytes)
	}
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		switch {
		case block == nil:
			return f, errors.New("not a PEM text")
		case block.Type == certificates:
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return f, err
			}
			f.certs = append(f.certs, c)
		case block.Type == privateKey && f.key == nil:
			if f.key, err = parseKey(block.Bytes); err != nil {
				return f, err
			}
		default:
			return f, fmt.Errorf("PEM block %.40q is not expected", block.Type)
		}
		text = rest
	}
	return f, nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("the key is not one of ECDSA P-256")
	}
	return ec, nil
}

// encode writes what parsePEM reads.
func (f pemFile) encode() ([]byte, error) {
	var text []byte
	if f.key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(f.key)
		if err != nil {
			return nil, fmt.Errorf("write key: %w", err)
		}
		text = pem.EncodeToMemory(&pem.Block{Type: privateKey, Bytes: der})
	}
	return append(text, encodeCertificates(f.certs)...), nil
}

func encodeCertificates(certs []*x509.Certificate) (text []byte) {
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: certificates, Bytes: c.Raw})...)
	}
	return text
}

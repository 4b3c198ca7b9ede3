package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// identityFile holds key, certificate and roots together, so that they change together.
const identityFile = "identity.pem"

// Identity is who a node is: an id, a key, and, once the node has joined, a certificate and the roots it trusts. A new
// certificate is used by the next handshake; streams that are open go on. Its methods may be called concurrently.
type Identity struct {
	id      string
	dir     string
	current atomic.Pointer[credentials]

	mu   sync.Mutex        // guards next, and serialises changes
	next *ecdsa.PrivateKey // of the last request; nil: there was none
}

// credentials is an identity at one moment. It never changes.
type credentials struct {
	key     *ecdsa.PrivateKey
	chain   []*x509.Certificate // the node's certificate, then what leads to older roots; none: not joined
	roots   []*x509.Certificate
	pool    *x509.CertPool // roots
	cluster string
	forNode tls.Certificate // what other nodes are shown
	forJoin tls.Certificate // with the roots, of which those who join know one by its fingerprint
}

// OpenIdentity reads the identity in a directory (made when absent, 0700) or, when there is none, draws a key and
// writes it there (0600). An empty directory keeps everything in memory. It is an error when the certificate there
// names another node.
func OpenIdentity(dir, id string) (*Identity, error) {
	i := &Identity{id: id, dir: dir}
	if err := i.open(); err != nil {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	return i, nil
}

func (i *Identity) open() error {
	if !validID(i.id) {
		return fmt.Errorf("node id %.40q is not %d hexadecimal digits", i.id, idDigits)
	}
	if i.dir != "" {
		text, err := os.ReadFile(filepath.Join(i.dir, identityFile))
		if err == nil {
			return i.load(text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	return i.swap(&credentials{key: key})
}

func (i *Identity) load(text []byte) error {
	f, err := parsePEM(text)
	if err != nil {
		return fmt.Errorf("parse %s: %w", identityFile, err)
	}
	if f.key == nil {
		return fmt.Errorf("parse %s: no key", identityFile)
	}
	chain, roots := divide(f.certs)
	c, err := newCredentials(i.id, f.key, chain, roots)
	if err != nil {
		return fmt.Errorf("parse %s: %w", identityFile, err)
	}
	i.current.Store(c)
	return nil
}

// divide tells roots from what leads to them.
func divide(certs []*x509.Certificate) (chain, roots []*x509.Certificate) {
	for _, c := range certs {
		if c.IsCA && selfSigned(c) {
			roots = append(roots, c)
		} else {
			chain = append(chain, c)
		}
	}
	return chain, roots
}

// newCredentials checks that the parts fit together. An expired certificate is none of its faults: the node can renew
// it.
func newCredentials(id string, key *ecdsa.PrivateKey, chain, roots []*x509.Certificate) (*credentials, error) {
	c := &credentials{key: key, chain: chain, roots: roots, pool: x509.NewCertPool()}
	if len(chain) == 0 && len(roots) == 0 {
		return c, nil
	}
	if len(chain) == 0 || len(roots) == 0 || len(chain)+len(roots) > maxChain {
		return nil, fmt.Errorf("%d certificates and %d roots, want at least one of each and at most %d", len(chain), len(roots), maxChain)
	}
	cluster, node, err := nodeOf(chain[0])
	if err != nil {
		return nil, err
	}
	if node != id {
		return nil, fmt.Errorf("the certificate is that of node %s, this is node %s", node, id)
	}
	if !key.PublicKey.Equal(chain[0].PublicKey) {
		return nil, errors.New("the certificate is for another key")
	}
	c.cluster = cluster
	if err := c.trust(); err != nil {
		return nil, err
	}
	c.forNode = tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		c.forNode.Certificate = append(c.forNode.Certificate, cert.Raw)
	}
	c.forJoin = c.forNode
	c.forJoin.Certificate = append([][]byte(nil), c.forNode.Certificate...)
	for _, root := range roots {
		c.forJoin.Certificate = append(c.forJoin.Certificate, root.Raw)
	}
	return c, nil
}

// trust fills the pool with the roots, one of which must have issued the certificate.
func (c *credentials) trust() error {
	for _, root := range c.roots {
		cluster, err := clusterOf(root)
		if err != nil {
			return err
		}
		if cluster != c.cluster {
			return fmt.Errorf("a root is that of cluster %s, the certificate that of %s", cluster, c.cluster)
		}
		c.pool.AddCert(root)
	}
	between := x509.NewCertPool()
	for _, cert := range c.chain[1:] {
		between.AddCert(cert)
	}
	_, err := c.chain[0].Verify(x509.VerifyOptions{Roots: c.pool, Intermediates: between, CurrentTime: c.chain[0].NotBefore.Add(Backdating)})
	if err != nil {
		return fmt.Errorf("none of the roots has issued the certificate: %w", err)
	}
	return nil
}

// identify answers the id of the node of this cluster that presents certificates.
func (c *credentials) identify(presented []*x509.Certificate, usage x509.ExtKeyUsage) (string, error) {
	cluster, id, err := verify(presented, c.pool, usage)
	if err == nil && cluster != c.cluster {
		err = fmt.Errorf("a certificate of cluster %s", cluster)
	}
	return id, err
}

// ID is the node's.
func (i *Identity) ID() string { return i.id }

// Cluster is the id of the cluster whose certificate this is; empty: the node has not joined one.
func (i *Identity) Cluster() string { return i.current.Load().cluster }

// Joined says whether there is a certificate, maybe an expired one.
func (i *Identity) Joined() bool { return i.Cluster() != "" }

// RenewAt is when a third of the certificate's life remains; zero: there is none.
func (i *Identity) RenewAt() time.Time {
	c := i.current.Load()
	if len(c.chain) == 0 {
		return time.Time{}
	}
	leaf := c.chain[0]
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
}

// Under says whether the authority's present root has issued the certificate, and its roots are those that are trusted.
func (i *Identity) Under(a *Authority) bool {
	c := i.current.Load()
	return len(c.chain) > 0 && c.chain[0].CheckSignatureFrom(a.root) == nil && bytes.Equal(encodeCertificates(c.roots), a.Roots())
}

// Issuer is the fingerprint of the root that has issued the certificate; zero: there is none.
func (i *Identity) Issuer() Fingerprint {
	c := i.current.Load()
	for _, root := range c.roots {
		if c.chain[0].CheckSignatureFrom(root) == nil {
			return fingerprint(root)
		}
	}
	return Fingerprint{}
}

// NewRequest makes a certificate request (PKCS #10). Before the node has joined it is for the key that is on disk, so
// that a node that asks again, after a crash too, is known by it; afterwards it is for a new key, which Use takes up.
func (i *Identity) NewRequest() (csrDER []byte, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := i.current.Load().key
	if i.Joined() {
		if key, err = newKey(); err != nil {
			return nil, err
		}
	}
	csrDER, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	i.next = key
	return csrDER, nil
}

// Use takes the answer to the last NewRequest, and the roots to trust from now on; both are PEM. An empty certificate
// keeps the one there is. When it returns without an error both are on disk, and the next handshake uses them. It
// refuses, coded abi.Conflict, what does not fit this node, its key, its cluster or each other.
func (i *Identity) Use(certPEM, rootsPEM []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	old := i.current.Load()
	key, chain := old.key, old.chain
	if len(certPEM) > 0 {
		f, err := parsePEM(certPEM)
		if err != nil || f.key != nil {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("use certificate: %w", orKey(err)))
		}
		chain = f.certs
		if i.next != nil {
			key = i.next
		}
	}
	f, err := parsePEM(rootsPEM)
	if err != nil || f.key != nil {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("use roots: %w", orKey(err)))
	}
	c, err := newCredentials(i.id, key, chain, f.certs)
	if err == nil && old.cluster != "" && c.cluster != old.cluster {
		err = fmt.Errorf("it is of cluster %s, this node is of %s", c.cluster, old.cluster)
	}
	if err == nil && c.cluster == "" {
		err = errors.New("no certificate")
	}
	if err != nil {
		return abi.WithCode(abi.Conflict, fmt.Errorf("use certificate: %w", err))
	}
	if err := i.swap(c); err != nil {
		return err
	}
	if len(certPEM) > 0 {
		i.next = nil
	}
	return nil
}

func orKey(err error) error {
	if err == nil {
		return errors.New("a key is among them")
	}
	return err
}

// swap writes credentials and then uses them.
func (i *Identity) swap(c *credentials) error {
	if i.dir != "" {
		text, err := pemFile{c.key, append(c.chain[:len(c.chain):len(c.chain)], c.roots...)}.encode()
		if err != nil {
			return err
		}
		if err := WriteFile(filepath.Join(i.dir, identityFile), text); err != nil {
			return fmt.Errorf("write %s: %w", identityFile, err)
		}
	}
	i.current.Store(c)
	return nil
}

// WriteFile puts a file (0600) in place whole, and its directory (0700) when that is not there: temporary file, fsync,
// rename, fsync of the directory.
func WriteFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

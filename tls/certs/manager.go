package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options of Open. Dir is required, the rest has defaults.
type Options struct {
	Dir string           // the certificates and keys; made when missing
	Now func() time.Time // time.Now
	// BuildDate is when this program was built; a clock before it is wrong. Zero believes every clock.
	BuildDate time.Time
	Log       *slog.Logger // discarded
}

// Manager holds the household's certificates. All methods may be called at once from several goroutines.
type Manager struct {
	dir   string
	clock func() time.Time
	built time.Time
	log   *slog.Logger
	root  identity // never changes after Open

	mu           sync.Mutex // held while certificates are made and written
	intermediate identity   // without cert until the first Apply
	leaf         identity   // without cert until the first Apply
	subjects     subjects   // of the last Apply, or of the leaf that Open found

	served  atomic.Pointer[presented] // never nil
	learned learned
	wake    chan struct{} // 1 slot: the time of renewal has changed, or come, or an address was learned
}

// presented is what handshakes are answered with.
type presented struct {
	tls tls.Certificate
	// renewAt is zero for the temporary leaf, which is not renewed.
	renewAt time.Time
	ips     []netip.Addr // that the leaf is for
}

// Open reads the household's certificates in o.Dir; where there are none it makes a root and keeps it. It starts
// nothing.
func Open(o Options) (*Manager, error) {
	m := &Manager{dir: o.Dir, clock: o.Now, built: o.BuildDate, log: o.Log, wake: make(chan struct{}, 1)}
	if m.clock == nil {
		m.clock = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if err := m.protect(); err != nil {
		return nil, err
	}
	if err := m.openRoot(); err != nil {
		return nil, err
	}
	m.openIntermediate()
	m.openLeaf()
	if m.leaf.cert != nil {
		m.present(m.leaf, renewAt(m.leaf.cert))
		return m, nil
	}
	temporary, err := newTemporary(m.now())
	if err != nil {
		return nil, err
	}
	m.present(temporary, time.Time{})
	return m, nil
}

// openRoot reads the root, or makes the first one.
func (m *Manager) openRoot() error {
	root, err := load(m.dir, rootFile)
	if err == nil {
		m.root = root
		if !root.cert.IsCA || root.cert.CheckSignatureFrom(root.cert) != nil {
			return fmt.Errorf("%s holds a certificate that is no household root: %s", filepath.Join(m.dir, rootFile), putBack)
		}
		if now := m.now(); now.Before(root.cert.NotBefore) || now.After(root.cert.NotAfter) {
			m.log.Warn("by this machine's clock the household's root certificate is not valid", "clock", m.clock(), "from", root.cert.NotBefore, "until", root.cert.NotAfter)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", err, putBack)
	}
	for _, name := range []string{intermediateFile, leafFile} {
		if exists(m.dir, name) {
			return fmt.Errorf("%s is missing, though %s, which it signed, is there: %s", filepath.Join(m.dir, rootFile), name, putBack)
		}
	}
	if m.root, err = newRoot(m.now()); err != nil {
		return err
	}
	if err := save(m.dir, rootFile, m.root); err != nil {
		return err
	}
	m.log.Info("made the household's root certificate", "sha256", Fingerprint(m.root.cert))
	return nil
}

const putBack = "put it back from a backup, or move the whole folder away for a new root, which every device must then be told to trust"

// openIntermediate reads the intermediate. A damaged one is made again by Apply.
func (m *Manager) openIntermediate() {
	id, err := load(m.dir, intermediateFile)
	if err == nil && id.key == nil {
		err = errors.New("its key is missing")
	}
	if err == nil {
		err = id.cert.CheckSignatureFrom(m.root.cert)
	}
	switch {
	case err == nil:
		m.intermediate = id
	case !errors.Is(err, fs.ErrNotExist):
		m.log.Warn("the household's intermediate certificate cannot be used and will be made again", "file", intermediateFile, "err", err)
	}
}

// openLeaf reads the leaf. A damaged one is made again by Apply.
func (m *Manager) openLeaf() {
	id, err := load(m.dir, leafFile)
	if err == nil && id.key == nil {
		err = errors.New("its key is missing")
	}
	if err == nil {
		err = verify(id, m.root.cert)
	}
	switch {
	case err == nil:
		m.leaf = id
		m.subjects = subjects{main: id.cert.Subject.CommonName, names: id.cert.DNSNames, ips: addresses(id.cert)}
	case !errors.Is(err, fs.ErrNotExist):
		m.log.Warn("the household's certificate cannot be used and will be made again", "file", leafFile, "err", err)
	}
}

// verify does what a client does with a leaf, at a time when all of its chain is valid.
func verify(leaf identity, root *x509.Certificate) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range leaf.chain {
		between.AddCert(c)
	}
	_, err := leaf.cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: leaf.cert.NotBefore.Add(time.Second)})
	return err
}

// Apply makes the household's leaf cover exactly names (host names in lower-case A-label form; the first is the one
// that people are shown) and those of ips that are private, loopback or link-local; the others are left out. The leaf is served from the next handshake
// on, and is on disk when Apply returns. Nothing is made or written where the present one will do. On an error
// what was served goes on being served; to undo an Apply, call it with what was applied before. Until the next
// Apply, Run adds addresses of the house at which clients turn out to ask.
func (m *Manager) Apply(names []string, ips []netip.Addr) error {
	s, err := newSubjects(names, ips)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.learned.forget()
	return m.issue(s)
}

// issue brings intermediate and leaf up to date for s. The caller holds mu.
func (m *Manager) issue(s subjects) error {
	now := m.now()
	intermediate := m.intermediate
	if intermediate.cert == nil || !permits(intermediate.cert, s) || m.tooOld(intermediate.cert, now) {
		var err error
		if intermediate, err = newIntermediate(m.root, s.names, now); err != nil {
			return err
		}
	}
	signed := m.leaf.cert != nil && m.leaf.cert.CheckSignatureFrom(intermediate.cert) == nil
	if signed && covers(m.leaf.cert, s) && !due(m.leaf.cert, intermediate.cert, now) {
		m.subjects = s
		return nil
	}
	leaf, err := newLeaf(intermediate, s, now)
	if err != nil {
		return err
	}
	if err := verify(leaf, m.root.cert); err != nil {
		return fmt.Errorf("checking a certificate just made: %w", err)
	}
	if intermediate.cert != m.intermediate.cert {
		if err := save(m.dir, intermediateFile, intermediate); err != nil {
			return err
		}
		m.intermediate = intermediate
		m.log.Info("made a new intermediate certificate", "until", intermediate.cert.NotAfter)
	}
	if err := save(m.dir, leafFile, leaf); err != nil {
		return err
	}
	m.leaf, m.subjects = leaf, s
	m.present(leaf, renewAt(leaf.cert))
	m.log.Info("made a new certificate", "names", s.names, "addresses", s.ips, "until", leaf.cert.NotAfter, "sha256", Fingerprint(leaf.cert))
	return nil
}

// tooOld reports whether an intermediate no longer gives a leaf its whole life, or begins in the future, and a
// new one would do better.
func (m *Manager) tooOld(intermediate *x509.Certificate, now time.Time) bool {
	if now.Before(intermediate.NotBefore) {
		return m.root.cert.NotBefore.Before(intermediate.NotBefore)
	}
	return now.Add(leafSpan-backdate).After(intermediate.NotAfter) && intermediate.NotAfter.Before(m.root.cert.NotAfter) && m.root.key != nil
}

// due reports whether a leaf should be made anew for its age, and a new one would last longer; one that begins
// in the future was made by a wrong clock.
func due(leaf, intermediate *x509.Certificate, now time.Time) bool {
	if now.Before(leaf.NotBefore) {
		return intermediate.NotBefore.Before(leaf.NotBefore)
	}
	return !now.Before(renewAt(leaf)) && leaf.NotAfter.Before(intermediate.NotAfter)
}

// renewAt is when two thirds of what lay before a leaf at its making have passed.
func renewAt(leaf *x509.Certificate) time.Time {
	made := leaf.NotBefore.Add(backdate)
	return made.Add(leaf.NotAfter.Sub(made) / 3 * 2)
}

// present answers the next handshakes with id.
func (m *Manager) present(id identity, renewAt time.Time) {
	p := &presented{renewAt: renewAt, ips: addresses(id.cert), tls: tls.Certificate{PrivateKey: id.key, Leaf: id.cert, Certificate: [][]byte{id.cert.Raw}}}
	for _, c := range id.chain {
		p.tls.Certificate = append(p.tls.Certificate, c.Raw)
	}
	m.served.Store(p)
	m.nudge()
}

// nudge makes Run look at the time again.
func (m *Manager) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// TLSConfig returns the configuration for servers on every port. It is the caller's: NextProtos may be set.
// Whoever it is given to presents, at each handshake, the newest certificate. Session tickets are rotated by
// crypto/tls, and no client is asked for a certificate: programs that have one of another kind would break.
func (m *Manager) TLSConfig() *tls.Config {
	return &tls.Config{
		GetCertificate: m.certificate,
		MinVersion:     tls.VersionTLS12,
		// For TLS 1.2; those of 1.3 are not configurable. RFC 9325, 4.2: ephemeral keys and AEAD.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// certificate answers one handshake. The household's leaf is the last resort for every name, so that a client
// which sends no name, or one we do not know, gets an answer it can show to a person.
func (m *Manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	p := m.served.Load()
	if p.renewAt.IsZero() {
		return &p.tls, nil
	}
	// Timers do not see a clock that was set; handshakes do.
	if !m.now().Before(p.renewAt) {
		m.nudge()
	}
	m.hearAddress(p, hello.Conn)
	return &p.tls, nil
}

// Root returns the household's root certificate. It is not nil.
func (m *Manager) Root() *x509.Certificate { return m.root.cert }

// RootPEM returns the root certificate as PEM, without its key.
func (m *Manager) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.root.cert.Raw})
}

// Serving returns the certificate that the next handshake is answered with.
func (m *Manager) Serving() *x509.Certificate { return m.served.Load().tls.Leaf }

// now is the clock, or the build date when the clock is before it.
func (m *Manager) now() time.Time { return latest(m.clock(), m.built) }

// Fingerprint returns the SHA-256 hash of a certificate as people compare it: AA:BB:...
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour

	// A certificate begins this long before it is made: boxes and phones with wrong clocks accept it too.
	backdate = 365 * day

	rootLife         = 20 * 365 * day // from its making
	intermediateLife = 10 * 365 * day
	// leafSpan is all of a leaf's life, from notBefore to notAfter. Apple's systems refuse more than 825 days.
	leafSpan = 800 * day
)

// identity is a certificate with its key, and what is sent after it. key is nil for a root whose key was taken
// away.
type identity struct {
	cert  *x509.Certificate
	chain []*x509.Certificate
	key   *ecdsa.PrivateKey
}

// newRoot makes a household's root. Its name ends in some digits of its key's hash, so that two roots in one
// phone can be told apart.
func newRoot(now time.Time) (identity, error) {
	key, id, err := newKey()
	if err != nil {
		return identity{}, err
	}
	t := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Letterbox"}, CommonName: "Letterbox household root " + hex.EncodeToString(id[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(rootLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            1,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId:          id,
		AuthorityKeyId:        id,
	}
	return sign(t, key, identity{cert: t, key: key})
}

// newIntermediate makes an intermediate that may sign for names and for what homeNames and homeNets say.
func newIntermediate(root identity, names []string, now time.Time) (identity, error) {
	if root.key == nil {
		return identity{}, errNoRootKey
	}
	key, id, err := newKey()
	if err != nil {
		return identity{}, err
	}
	t := &x509.Certificate{
		Subject:                     pkix.Name{Organization: []string{"Letterbox"}, CommonName: "Letterbox household " + hex.EncodeToString(id[:4])},
		NotBefore:                   latest(now.Add(-backdate), root.cert.NotBefore),
		NotAfter:                    earliest(now.Add(intermediateLife), root.cert.NotAfter),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         trees(names),
		PermittedIPRanges:           ipNets(),
		SubjectKeyId:                id,
	}
	return sign(t, key, root)
}

// newLeaf makes a leaf for s. It refuses what the intermediate may not sign.
func newLeaf(intermediate identity, s subjects, now time.Time) (identity, error) {
	if !permits(intermediate.cert, s) {
		return identity{}, fmt.Errorf("%s is outside of what the household's intermediate certificate may sign", strings.Join(s.names, ", "))
	}
	key, id, err := newKey()
	if err != nil {
		return identity{}, err
	}
	from := latest(now.Add(-backdate), intermediate.cert.NotBefore)
	t := &x509.Certificate{
		Subject:               leafName(s),
		NotBefore:             from,
		NotAfter:              earliest(from.Add(leafSpan), intermediate.cert.NotAfter),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              s.names,
		SubjectKeyId:          id,
	}
	for _, ip := range s.ips {
		t.IPAddresses = append(t.IPAddresses, ip.AsSlice())
	}
	leaf, err := sign(t, key, intermediate)
	leaf.chain = []*x509.Certificate{intermediate.cert}
	return leaf, err
}

// newTemporary makes the self-signed leaf of the time before set-up. People compare its fingerprint.
func newTemporary(now time.Time) (identity, error) {
	key, id, err := newKey()
	if err != nil {
		return identity{}, err
	}
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Letterbox set-up " + hex.EncodeToString(id[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafSpan - backdate),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              []string{"letterbox.local", "localhost"},
		SubjectKeyId:          id,
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.IPAddresses = append(t.IPAddresses, netip.MustParseAddr(ip).AsSlice())
	}
	return sign(t, key, identity{cert: t, key: key})
}

// newKey makes a P-256 key and its identifier: RFC 7093, 2, method 1, the leftmost 160 bits of the SHA-256 of
// the public key.
func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	sum := sha256.Sum256(point)
	return key, sum[:20], nil
}

// sign makes the certificate that t describes, for key, by issuer.
func sign(t *x509.Certificate, key *ecdsa.PrivateKey, issuer identity) (identity, error) {
	t.SerialNumber = serial()
	// RFC 5280, 4.1.2.5: no fractional seconds.
	t.NotBefore, t.NotAfter = t.NotBefore.UTC().Truncate(time.Second), t.NotAfter.UTC().Truncate(time.Second)
	der, err := x509.CreateCertificate(rand.Reader, t, issuer.cert, &key.PublicKey, issuer.key)
	if err != nil {
		return identity{}, fmt.Errorf("signing a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return identity{}, fmt.Errorf("reading back a certificate just signed: %w", err)
	}
	return identity{cert: cert, key: key}, nil
}

// serial returns 127 random bits, at least 1: RFC 5280, 4.1.2.2, positive and at most 20 octets.
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	b[15] |= 1
	return new(big.Int).SetBytes(b[:])
}

// leafName is the subject of a leaf. RFC 5280, A.1: a common name has at most 64 characters. It is for people
// alone; programs read the alternative names.
func leafName(s subjects) pkix.Name {
	if len(s.main) > 64 {
		return pkix.Name{CommonName: "Letterbox"}
	}
	return pkix.Name{CommonName: s.main}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

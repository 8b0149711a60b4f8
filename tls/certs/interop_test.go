//go:build interop

package certs

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestOutsidersAccept asks OpenSSL and GnutTLS, which most mail programs are built on, to verify what a fresh
// household presents, and to refuse a leaf outside the constraints.
func TestOutsidersAccept(t *testing.T) {
	m := open(t, t.TempDir(), time.Now)
	apply(t, m, "nas.local", "example.org", "mail.example.org")
	dir := t.TempDir()
	write := func(name string, certs ...[]byte) string {
		var b []byte
		for _, der := range certs {
			b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rogue := rogueLeaf(t, m)
	root := write("root", m.Root().Raw)
	between := write("between", m.intermediate.cert.Raw)
	leaf := write("leaf", m.leaf.cert.Raw)
	chain := write("chain", m.leaf.cert.Raw, m.intermediate.cert.Raw)
	bad, badChain := write("bad", rogue.cert.Raw), write("badchain", rogue.cert.Raw, m.intermediate.cert.Raw)
	for _, c := range []struct {
		accepts bool
		command []string
	}{
		{true, []string{"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "mail.example.org", "-CAfile", root, "-untrusted", between, leaf}},
		{true, []string{"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "192.168.1.5", "-CAfile", root, "-untrusted", between, leaf}},
		{false, []string{"openssl", "verify", "-verify_hostname", "bank.example", "-CAfile", root, "-untrusted", between, bad}},
		{true, []string{"certtool", "--verify", "--verify-profile=medium", "--verify-purpose=1.3.6.1.5.5.7.3.1", "--verify-hostname=nas.local", "--load-ca-certificate", root, "--infile", chain}},
		{false, []string{"certtool", "--verify", "--verify-hostname=bank.example", "--load-ca-certificate", root, "--infile", badChain}},
	} {
		out, err := exec.Command(c.command[0], c.command[1:]...).CombinedOutput()
		if (err == nil) != c.accepts {
			t.Errorf("%q: %v\n%s", c.command, err, out)
		}
	}
}

// rogueLeaf is what a thief of the intermediate's key would make.
func rogueLeaf(t *testing.T, m *Manager) identity {
	t.Helper()
	free := m.intermediate
	copied := *free.cert
	copied.PermittedDNSDomains = []string{"bank.example"}
	free.cert = &copied
	id, err := newLeaf(free, subjects{names: []string{"bank.example"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

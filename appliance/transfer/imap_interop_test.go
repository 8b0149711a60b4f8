//go:build interop

package transfer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"letterbox/appliance/imapreader"
	"letterbox/store/maildir/dovecottest"
)

// writeCertificate writes a certificate and its key for a server, and returns its fingerprint.
func writeCertificate(t *testing.T, cert, key string) string {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// TestInteropIMAPDovecotTLS: mail comes from Dovecot by STARTTLS, and from one without TLS it does not.
func TestInteropIMAPDovecotTLS(t *testing.T) {
	t.Parallel()
	mail := t.TempDir()
	cert, key := filepath.Join(mail, "cert.pem"), filepath.Join(mail, "key.pem") // where Dovecot may read
	print := writeCertificate(t, cert, key)
	var want []string
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(mail, "ann", "Maildir", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		text := fmt.Sprintf("Subject: %d\r\n\r\n%s", i, strings.Repeat("text\r\n", 1000*i))
		want = append(want, text)
		if err := os.WriteFile(filepath.Join(mail, "ann", "Maildir", "cur", fmt.Sprintf("17000000%02d.M%dP1.host:2,S", i, i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	account := func(addr string) IMAPAccount {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		return IMAPAccount{Server: imapreader.Server{Host: host, Port: n, Security: imapreader.STARTTLS, Fingerprint: print}, User: "ann", Password: dovecottest.Password}
	}

	d := dovecottest.Serve(t, mail, "ssl = required", "ssl_cert = <"+cert, "ssl_key = <"+key, "disable_plaintext_auth = yes")
	src, err := OpenIMAP(t.Context(), account(d.IMAP))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	k := newKeeper()
	bringAll(t, src, k)
	got := k.texts("INBOX")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d messages came, not %d", len(got), len(want))
	}
	wrong := account(d.IMAP)
	wrong.Password = "wrong"
	if _, err := OpenIMAP(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "does not let ann in") {
		t.Errorf("with another password: %v", err)
	}

	plain := dovecottest.Serve(t, t.TempDir())
	if _, err := OpenIMAP(t.Context(), account(plain.IMAP)); err == nil || !strings.HasPrefix(err.Error(), "127.0.0.1 does not encrypt on port ") {
		t.Errorf("without TLS: %v", err)
	}
}

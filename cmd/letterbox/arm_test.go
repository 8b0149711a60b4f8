//go:build interop

package main

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// TestInteropRaspberryPi runs the program that `make cross` builds for a Raspberry Pi 1 or Zero on that processor, as qemu plays it,
// through one delivery and one fetch over TLS.
func TestInteropRaspberryPi(t *testing.T) {
	t.Parallel()
	program, err := filepath.Abs("../../bin/letterbox-linux-arm-6")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("'make cross-linux_arm-6' comes first: %v", err)
	}
	offset, err := freeOffset()
	if err != nil {
		t.Fatal(err)
	}
	const password, domain = "correct horse battery", "pi.home.arpa"
	dir := filepath.Join(t.TempDir(), "data")
	onPi := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "qemu-arm-static", append([]string{"-cpu", "arm1176", program}, args...)...)
	}
	found := onPi("init", "--data", dir, "--domain", domain, "--user", "ann", "--password-file", "-", "--listen", "127.0.0.1", "--port-offset", strconv.Itoa(offset))
	found.Stdin = strings.NewReader(password)
	if out, err := found.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	s, err := startServer(onPi("serve", "--data", dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()

	trust := &tls.Config{InsecureSkipVerify: true} // the certificate is another test's matter
	address := func(port int) string { return "127.0.0.1:" + strconv.Itoa(port+offset) }
	out, err := smtp.DialTLS(address(465), trust)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Auth(sasl.NewPlainClient("", "ann", password)); err != nil {
		t.Fatal(err)
	}
	const letter = "From: ann@pi.home.arpa\r\nSubject: To myself\r\n\r\nBuy raspberries.\r\n"
	if err := out.SendMail("ann@"+domain, []string{"ann@" + domain}, strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}

	in, err := imapclient.DialTLS(address(993), &imapclient.Options{TLSConfig: trust})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := in.Login("ann", password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	text := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText}
	got, err := in.Fetch(imap.SeqSetNum(2), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{text}}).Collect()
	if err != nil || len(got) != 1 || string(got[0].FindBodySection(text)) != "Buy raspberries.\r\n" {
		t.Errorf("fetched %v (%v)", got, err)
	}
	if log, err := s.stop(); err != nil {
		t.Errorf("the server's end: %v\n%s", err, log)
	}
}

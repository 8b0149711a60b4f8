//go:build interop

package main

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"letterbox/store/maildir/dovecottest"
)

// TestInteropImportIMAPDovecot: what comes from Dovecot is what it serves, once.
func TestInteropImportIMAPDovecot(t *testing.T) {
	t.Parallel()
	there := filepath.Join(t.TempDir(), "there")
	box(t, there, household(t), oldMail())
	want := letters(holdings(t, there))
	d := dovecottest.New(t, filepath.Join(there, "mail", "ann", "Maildir"))
	here := filepath.Join(memDir(t), "here")
	box(t, here, household(t), nil)
	for range 2 {
		said := mustRun(t, "import", "imap", "--data", here, "--server", piped(t, d.IMAP(t)), "--unencrypted", "--user", "ann", "--password-file", passwordFile(t), "ann")
		wantSame(t, "from Dovecot", letters(holdings(t, here)), want)
		if t.Failed() {
			t.Fatal(said)
		}
		if strings.Contains(said, "left out") {
			t.Error(said)
		}
	}
}

// piped serves one connection with what speaks on a pipe, and tells where.
func piped(t *testing.T, server io.ReadWriteCloser) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			io.Copy(server, conn)
			server.Close()
		})
		io.Copy(conn, server)
		conn.Close()
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

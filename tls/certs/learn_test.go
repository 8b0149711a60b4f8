package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// arrived is a connection that came in at an address of this box.
type arrived struct {
	net.Conn
	at net.Addr
}

func (a arrived) LocalAddr() net.Addr { return a.at }

// arriveAt begins a handshake at an address, as the listener of a port sees it.
func arriveAt(m *Manager, address string) {
	ip := netip.MustParseAddr(address)
	m.certificate(&tls.ClientHelloInfo{Conn: arrived{at: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 993))}})
}

func isFor(leaf *x509.Certificate, address string) bool { return leaf.VerifyHostname(address) == nil }

// running runs m until the test ends, within a bubble.
func running(t *testing.T, m *Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// The router has given this box another address: whoever comes next is shown the old leaf, those after a new one.
func TestAddressChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := open(t, dir, nil)
		defer running(t, m)()
		arriveAt(m, "192.168.1.77")
		synctest.Wait()
		if isFor(m.Serving(), "192.168.1.77") {
			t.Error("the temporary certificate has changed under the fingerprint shown")
		}
		apply(t, m, "nas.local")
		first := m.Serving()
		for _, known := range []string{"192.168.1.5", "::ffff:192.168.1.5", "fd00::5", "203.0.113.9", "127.0.0.9", "2001:db8::1"} {
			arriveAt(m, known)
		}
		synctest.Wait()
		if !m.Serving().Equal(first) {
			t.Error("a new certificate for an address that it has, or may not have")
		}
		for range 100 {
			arriveAt(m, "192.168.1.77")
		}
		synctest.Wait()
		second := shown(t, m, "192.168.1.77", time.Now())
		if second.Equal(first) || !isFor(second, "192.168.1.5") || !isFor(second, "nas.local") {
			t.Errorf("the new certificate is for %v", second.IPAddresses)
		}
		written := files(t, dir)
		arriveAt(m, "192.168.1.77")
		arriveAt(m, "192.168.1.5")
		synctest.Wait()
		for name, content := range files(t, dir) {
			if written[name] != content {
				t.Errorf("%s was written again", name)
			}
		}
	})
}

// A box that is reached at ever more addresses makes a few certificates, not one each; after Apply it learns anew.
func TestLearnsFewAddresses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := open(t, dir, nil)
		defer running(t, m)()
		apply(t, m, "nas.local")
		for i := range 250 {
			arriveAt(m, "10.0.0."+strconv.Itoa(i))
			synctest.Wait()
		}
		if got := len(m.Serving().IPAddresses); got != 2+maxLearned {
			t.Errorf("the certificate is for %d addresses", got)
		}
		apply(t, m, "nas.local")
		if got := len(m.Serving().IPAddresses); got != 2 {
			t.Errorf("after Apply the certificate is for %d addresses", got)
		}
		arriveAt(m, "10.0.0.249")
		synctest.Wait()
		if !isFor(m.Serving(), "10.0.0.249") {
			t.Error("nothing is learned after Apply")
		}
	})
}

// A disk that cannot be written is tried again, without hurry.
func TestLearningFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := open(t, dir, nil)
		apply(t, m, "nas.local")
		defer running(t, m)()
		m.dir = dir + "/gone"
		arriveAt(m, "10.0.0.1")
		synctest.Wait()
		if isFor(m.Serving(), "10.0.0.1") {
			t.Fatal("served without being on disk")
		}
		if err := os.Symlink(dir, dir+"/gone"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retryAfter + time.Second)
		synctest.Wait()
		if !isFor(m.Serving(), "10.0.0.1") {
			t.Error("not tried again")
		}
	})
}

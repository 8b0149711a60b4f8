package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var today = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, clock func() time.Time) *Manager {
	t.Helper()
	m, err := Open(Options{Dir: dir, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func at(when time.Time) func() time.Time { return func() time.Time { return when } }

func apply(t *testing.T, m *Manager, names ...string) {
	t.Helper()
	if err := m.Apply(names, []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("fd00::5")}); err != nil {
		t.Fatal(err)
	}
}

// shown does a handshake as a client of the household would and returns the leaf that it accepted.
func shown(t *testing.T, m *Manager, name string, when time.Time) *x509.Certificate {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(m.RootPEM())
	state, err := handshake(t, m, &tls.Config{RootCAs: roots, ServerName: name, Time: at(when)})
	if err != nil {
		t.Fatalf("handshake for %s on %s: %v", name, when.Format(time.DateOnly), err)
	}
	return state.PeerCertificates[0]
}

func handshake(t *testing.T, m *Manager, c *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tls.Server(ours, m.TLSConfig()).HandshakeContext(t.Context())
		ours.Close()
	}()
	client := tls.Client(theirs, c)
	err := client.HandshakeContext(t.Context())
	theirs.Close()
	<-done
	return client.ConnectionState(), err
}

func TestClientsAcceptTheLeaf(t *testing.T) {
	t.Parallel()
	m := open(t, t.TempDir(), at(today))
	apply(t, m, "nas.local", "example.org", "mail.example.org", "letterbox")
	for _, name := range []string{"nas.local", "example.org", "mail.example.org", "letterbox", "192.168.1.5", "fd00::5"} {
		for _, when := range []time.Time{today, today.AddDate(0, -11, 0), today.AddDate(0, 9, 0)} {
			shown(t, m, name, when)
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		roots := x509.NewCertPool()
		roots.AddCert(m.Root())
		state, err := handshake(t, m, &tls.Config{RootCAs: roots, ServerName: "nas.local", Time: at(today), MinVersion: version, MaxVersion: version})
		if err != nil || state.Version != version {
			t.Errorf("TLS %x: got %x, %v", version, state.Version, err)
		}
	}
	if _, err := handshake(t, m, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestLeafProfile(t *testing.T) {
	t.Parallel()
	m := open(t, t.TempDir(), at(today))
	apply(t, m, "nas.local", "example.org")
	leaf, between, root := m.leaf.cert, m.intermediate.cert, m.Root()
	if got := leaf.NotAfter.Sub(leaf.NotBefore); got > 800*day {
		t.Errorf("the leaf lasts %s", got)
	}
	for name, c := range map[string]*x509.Certificate{"leaf": leaf, "intermediate": between, "root": root} {
		if got := today.Sub(c.NotBefore); got > 365*day || got < 364*day {
			t.Errorf("%s begins %s back", name, got)
		}
		if len(c.SubjectKeyId) == 0 || len(c.AuthorityKeyId) == 0 {
			t.Errorf("%s lacks a key identifier", name)
		}
		if c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() < 64 {
			t.Errorf("%s has serial number %s", name, c.SerialNumber)
		}
	}
	if between.MaxPathLen != 0 || !between.PermittedDNSDomainsCritical {
		t.Error("the intermediate may sign intermediates, or clients may ignore its constraints")
	}
	if want := []string{"home.arpa", "lan", "local", "localhost", "example.org"}; !slices.Equal(between.PermittedDNSDomains, want) {
		t.Errorf("the intermediate may sign for %q, want %q", between.PermittedDNSDomains, want)
	}
	if len(between.PermittedIPRanges) != len(homeNets) {
		t.Errorf("the intermediate may sign for the addresses %v", between.PermittedIPRanges)
	}
	if leaf.IsCA || !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Error("the leaf is not for servers alone")
	}
}

func TestTemporaryUntilApplied(t *testing.T) {
	t.Parallel()
	m := open(t, t.TempDir(), at(today))
	before := m.Serving()
	if before.CheckSignatureFrom(m.Root()) == nil {
		t.Fatal("the temporary certificate is signed by the root")
	}
	config := m.TLSConfig() // handed out before, serves what comes after
	apply(t, m, "nas.local")
	now, err := config.GetCertificate(&tls.ClientHelloInfo{ServerName: "nas.local"})
	if err != nil || now.Leaf.Equal(before) || !now.Leaf.Equal(m.Serving()) {
		t.Errorf("after Apply the old certificate is served: %v", err)
	}
}

func TestApplyWritesOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	steps := []struct {
		does    string
		names   []string
		when    time.Time
		changed []string
	}{
		{"the first time", []string{"nas.local", "example.org"}, today, []string{intermediateFile, leafFile}},
		{"again, in another order", []string{"example.org", "NAS.local", "nas.local"}, today, nil},
		{"a name within the constraints", []string{"example.org", "nas.local", "mail.example.org"}, today, []string{leafFile}},
		{"another domain", []string{"example.org", "example.net"}, today, []string{intermediateFile, leafFile}},
		{"a domain fewer", []string{"example.org"}, today, []string{leafFile}},
		{"before renewal is due", []string{"example.org"}, today.Add(289 * day), nil},
		{"when renewal is due", []string{"example.org"}, today.Add(291 * day), []string{leafFile}},
		{"when the intermediate grows old", []string{"example.org"}, today.AddDate(9, 0, 0), []string{intermediateFile, leafFile}},
	}
	dir := t.TempDir()
	root := ""
	for _, s := range steps {
		before := files(t, dir)
		m := open(t, dir, at(s.when))
		apply(t, m, s.names...)
		after := files(t, dir)
		var changed []string
		for name := range after {
			if before[name] != after[name] && name != rootFile {
				changed = append(changed, name)
			}
		}
		slices.Sort(changed)
		slices.Sort(s.changed)
		if !slices.Equal(changed, s.changed) {
			t.Errorf("%s: wrote %q, want %q", s.does, changed, s.changed)
		}
		if root == "" {
			root = after[rootFile]
		}
		if after[rootFile] != root {
			t.Fatalf("%s: the root changed", s.does)
		}
		shown(t, m, "example.org", s.when)
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", e.Name(), info.Mode())
		}
		out[e.Name()] = string(b)
	}
	return out
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "10.0.0.1", "::1", "a..b", "-a.example", "a b.example", "mïlk.example", "*.example.org", strings.Repeat("a", 64) + ".org", "example.org."} {
		if _, err := newSubjects([]string{bad}, nil); err == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
	if _, err := newSubjects(nil, []netip.Addr{netip.MustParseAddr("10.0.0.1")}); err == nil {
		t.Error("no name at all is accepted")
	}
	var ips []netip.Addr
	for _, ip := range []string{"::ffff:10.0.0.1", "10.0.0.1", "198.51.100.7", "2001:db8::1", "fe80::1%eth0", "127.0.0.1", "172.32.0.1"} {
		ips = append(ips, netip.MustParseAddr(ip))
	}
	s, err := newSubjects([]string{"B.local", "a.local", "b.local"}, ips)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a.local", "b.local"}; !slices.Equal(s.names, want) {
		t.Errorf("names %q, want %q", s.names, want)
	}
	want := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1")}
	if !slices.Equal(s.ips, want) {
		t.Errorf("addresses %v, want %v", s.ips, want)
	}
}

func TestNeverOutsideTheConstraints(t *testing.T) {
	t.Parallel()
	root, err := newRoot(today)
	if err != nil {
		t.Fatal(err)
	}
	between, err := newIntermediate(root, []string{"example.org", "box"}, today)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"example.org": true, "a.b.example.org": true, "box": true, "x.local": true, "local": true, "myhouse.home.arpa": true,
		"example.com": false, "badexample.org": false, "org": false, "letterbox": false, "xlocal": false,
	} {
		_, err := newLeaf(between, subjects{names: []string{name}}, today)
		if got := err == nil; got != want {
			t.Errorf("a leaf for %s: made %v, want %v", name, got, want)
		}
	}
	if _, err := newLeaf(between, subjects{names: []string{"box"}, ips: []netip.Addr{netip.MustParseAddr("8.8.8.8")}}, today); err == nil {
		t.Error("a leaf for 8.8.8.8 is made")
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	remove := func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	cut := func(t *testing.T, path string) {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, b[:len(b)/2], 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign := func(t *testing.T, path string) {
		other := open(t, t.TempDir(), at(today))
		apply(t, other, "nas.local")
		b, err := os.ReadFile(filepath.Join(other.dir, filepath.Base(path)))
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// swap puts another certificate's key beside the certificate.
	swap := func(t *testing.T, path string) {
		id, err := load(filepath.Dir(path), filepath.Base(path))
		if err != nil {
			t.Fatal(err)
		}
		if id.key, _, err = newKey(); err != nil {
			t.Fatal(err)
		}
		if err := save(filepath.Dir(path), filepath.Base(path), id); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, file string
		damage     func(*testing.T, string)
		opens      bool
	}{
		{"root cut", rootFile, cut, false},
		{"root gone", rootFile, remove, false},
		{"root key swapped", rootFile, swap, false},
		{"intermediate cut", intermediateFile, cut, true},
		{"intermediate gone", intermediateFile, remove, true},
		{"intermediate of another household", intermediateFile, foreign, true},
		{"intermediate key swapped", intermediateFile, swap, true},
		{"leaf cut", leafFile, cut, true},
		{"leaf gone", leafFile, remove, true},
		{"leaf of another household", leafFile, foreign, true},
		{"leaf key swapped", leafFile, swap, true},
		{"root of another household", rootFile, foreign, true}, // a root put back by its owner wins
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			apply(t, open(t, dir, at(today)), "nas.local")
			c.damage(t, filepath.Join(dir, c.file))
			before := files(t, dir)
			m, err := Open(Options{Dir: dir, Now: at(today)})
			if (err == nil) != c.opens {
				t.Fatalf("Open: %v", err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), filepath.Join(dir, c.file)) || strings.Contains(err.Error(), "\n") {
					t.Errorf("not a sentence that names the file: %v", err)
				}
				if !maps.Equal(before, files(t, dir)) {
					t.Error("Open changed files that it refused")
				}
				return
			}
			apply(t, m, "nas.local")
			shown(t, m, "nas.local", today)
			if files(t, dir)[rootFile] != before[rootFile] {
				t.Error("the root changed")
			}
		})
	}
}

func TestWithoutTheRootKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := open(t, dir, at(today))
	apply(t, m, "example.org")
	if err := save(dir, rootFile, identity{cert: m.Root()}); err != nil {
		t.Fatal(err)
	}
	m = open(t, dir, at(today.Add(300*day)))
	apply(t, m, "mail.example.org") // the intermediate will do
	err := m.Apply([]string{"example.net"}, nil)
	if err == nil || !strings.Contains(err.Error(), "root") {
		t.Errorf("a new domain without the root's key: %v", err)
	}
	shown(t, m, "mail.example.org", today.Add(300*day))
}

func TestRenewsByItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := open(t, dir, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		synctest.Wait()
		apply(t, m, "nas.local")
		first := m.Serving()
		time.Sleep(289 * day)
		synctest.Wait()
		if !m.Serving().Equal(first) {
			t.Error("renewed too early")
		}
		time.Sleep(2 * day)
		synctest.Wait()
		second := m.Serving()
		if second.Equal(first) {
			t.Fatal("not renewed")
		}
		shown(t, m, "nas.local", time.Now())
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A timer does not see that the clock was set; the next handshake does.
func TestRenewsAfterTheClockJumped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		jump := time.Duration(0)
		built := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
		m, err := Open(Options{Dir: dir, BuildDate: built, Now: func() time.Time { return time.Unix(100, 0).Add(jump) }})
		if err != nil {
			t.Fatal(err)
		}
		if !m.now().Equal(built) {
			t.Error("1970 is believed")
		}
		apply(t, m, "nas.local")
		first := shown(t, m, "nas.local", built)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		synctest.Wait()
		now := built.AddDate(2, 0, 0)
		jump = now.Sub(time.Unix(100, 0))
		if !m.now().Equal(now) {
			t.Error("the clock is right and not believed")
		}
		m.certificate(&tls.ClientHelloInfo{})
		synctest.Wait()
		if shown(t, m, "nas.local", now).Equal(first) {
			t.Error("not renewed")
		}
		cancel()
		<-done
	})
}

// A renewal that does not work is tried again, without hurry, and the old leaf is served.
func TestRenewalFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		m, err := Open(Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		apply(t, m, "nas.local")
		first := m.Serving()
		m.dir = filepath.Join(dir, "gone")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		time.Sleep(291 * day)
		m.certificate(&tls.ClientHelloInfo{})
		synctest.Wait()
		if n := strings.Count(log.String(), "was not renewed"); n < 1 || n > 3 {
			t.Errorf("complained %d times in a day", n)
		}
		if !m.Serving().Equal(first) {
			t.Error("the old certificate is no longer served")
		}
		m.mu.Lock()
		m.dir = dir
		m.mu.Unlock()
		time.Sleep(day)
		synctest.Wait()
		if m.Serving().Equal(first) {
			t.Error("not tried again")
		}
		cancel()
		<-done
	})
}

// At the end of the root's life nothing lasts longer than the root, and nobody spins.
func TestEndOfTheRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	apply(t, open(t, dir, at(today)), "nas.local")
	late := today.AddDate(19, 11, 0)
	m := open(t, dir, func() time.Time { return late })
	apply(t, m, "nas.local")
	leaf := shown(t, m, "nas.local", late)
	if leaf.NotAfter.After(m.Root().NotAfter) {
		t.Error("the leaf outlives the root")
	}
	before := files(t, dir)
	late = m.Root().NotAfter.Add(-day)
	if err := m.renew(); err == nil || !strings.Contains(err.Error(), "root certificate ends") {
		t.Errorf("renewal says %v", err)
	}
	if !maps.Equal(before, files(t, dir)) {
		t.Error("written for nothing")
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	f := Fingerprint(open(t, t.TempDir(), at(today)).Root())
	if len(f) != 95 || strings.Count(f, ":") != 31 || f != strings.ToUpper(f) {
		t.Errorf("got %q", f)
	}
}

// TestMainName: people are shown the first name that was applied, after a renewal and a restart as well.
func TestMainName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := open(t, dir, at(today))
	apply(t, m, "mail.miller.home.arpa", "autoconfig.miller.home.arpa")
	if err := m.renew(); err != nil {
		t.Fatal(err)
	}
	m = open(t, dir, at(today))
	if err := m.renew(); err != nil {
		t.Fatal(err)
	}
	if got := m.Serving().Subject.CommonName; got != "mail.miller.home.arpa" {
		t.Errorf("the certificate is called %q", got)
	}
}

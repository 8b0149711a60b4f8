package imapd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"letterbox/store"
)

// household is an Authenticator: everybody's password is "secret".
type household []string

func (h household) SignIn(_ context.Context, login, password string, _ netip.Addr) (string, error) {
	for _, name := range h {
		if login == name && password == "secret" {
			return name, nil
		}
	}
	return "", errors.New("wrong name or password")
}

// A fixture is a server over a real store in a folder of the test.
type fixture struct {
	t      testing.TB
	dir    string
	store  *store.Store
	server *Server
	log    *syncBuffer
	addr   string // in the clear, STARTTLS on offer
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newFixture opens a store with mailboxes for ann and ben and a server that
// does not listen yet.
func newFixture(t testing.TB, change func(*Options)) *fixture {
	t.Helper()
	return newFixtureIn(t, t.TempDir(), change)
}

// newFixtureIn is newFixture with the data directory dir.
func newFixtureIn(t testing.TB, dir string, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: dir, log: &syncBuffer{}}
	st, err := store.Open(f.dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	people := household{"ann", "ben"}
	for _, p := range people {
		if err := st.CreateAccount(p); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{
		Store: st, Auth: people, PlaintextOnLoopback: true, Version: "1.0", AppendLimit: 1 << 20,
		Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	f.store, f.server = st, New(o)
	return f
}

// listen serves on a port of the loopback interface until the test ends.
func (f *fixture) listen() {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(l) }()
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			f.t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			f.t.Errorf("serve: %v", err)
		}
	})
}

// deliver puts a message into a mailbox of ann's, as another program would.
func (f *fixture) deliver(mailbox string, text []byte, date time.Time, flags ...string) store.UID {
	f.t.Helper()
	account, err := f.store.Account("ann")
	if err != nil {
		f.t.Fatal(err)
	}
	box, err := account.Open(mailbox)
	if err != nil {
		f.t.Fatal(err)
	}
	defer box.Close()
	in := f.store.NewIncoming()
	defer in.Close()
	if _, err := in.Write(text); err != nil {
		f.t.Fatal(err)
	}
	uids, err := box.Append(context.Background(), []store.AppendMessage{{In: in, Flags: flags, Date: date}})
	if err != nil {
		f.t.Fatal(err)
	}
	return uids[0]
}

// fill puts n small messages into INBOX.
func (f *fixture) fill(n int) {
	f.t.Helper()
	account, err := f.store.Account("ann")
	if err != nil {
		f.t.Fatal(err)
	}
	box, err := account.Open("INBOX")
	if err != nil {
		f.t.Fatal(err)
	}
	defer box.Close()
	for done := 0; done < n; {
		var list []store.AppendMessage
		for len(list) < 500 && done < n {
			done++
			in := f.store.NewIncoming()
			fmt.Fprintf(in, "From: Ben <ben@example.org>\r\nTo: ann@example.org\r\nSubject: number %d\r\n"+
				"Date: Mon, 02 Mar 2026 10:00:00 +0100\r\nMessage-ID: <%d@example.org>\r\n\r\nHello.\r\n", done, done)
			list = append(list, store.AppendMessage{In: in, Date: time.Unix(1772000000, 0)})
		}
		if _, err := box.Append(context.Background(), list); err != nil {
			f.t.Fatal(err)
		}
		for _, m := range list {
			m.In.Close()
		}
	}
}

// messageFile reads a file of testdata/messages, with CRLF line ends.
func messageFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "messages", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// certificate makes a configuration for a server called localhost.
var certificate = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// clientTLS is for a client that does not care whom it speaks to.
func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// traceLogger logs everything.
func traceLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: LevelTrace}))
}

// revoking lets ann in once, and takes her right away before she is told so.
type revoking struct {
	server *Server
	asked  int
}

func (r *revoking) SignIn(context.Context, string, string, netip.Addr) (string, error) {
	if r.asked++; r.asked > 1 {
		return "", errors.New("wrong name or password")
	}
	r.server.Disconnect("ann")
	return "ann", nil
}

// TestRevokedWhileSigningIn: a right that ends while it is checked lets nobody in.
func TestRevokedWhileSigningIn(t *testing.T) {
	t.Parallel()
	auth := &revoking{}
	f := newFixture(t, func(o *Options) { o.Auth = auth })
	auth.server = f.server
	p := f.dialPipe(t)
	p.send("a LOGIN ann secret")
	p.until("a NO [AUTHENTICATIONFAILED]")
	p.conn.Close()
	f.shutdown()
}

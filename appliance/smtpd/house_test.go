package smtpd

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
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"letterbox/appliance/mailaddr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A house is the Directory of the tests: ann and ben at example.org, with family@ for both, and everything at
// catch.example for ann.
type house struct{}

func (house) SignIn(_ context.Context, login, password string, _ netip.Addr) (string, error) {
	switch {
	case login == "busy":
		return "", fmt.Errorf("checking the password: %w", ErrTemporary)
	case (login == "ann" || login == "ben") && password == login+" secret":
		return login, nil
	}
	return "", errors.New("wrong password")
}

func (house) Recipients(to mailaddr.Addr) ([]string, error) {
	base, _, _ := to.Fold().Detail()
	switch base.Domain() {
	case "catch.example":
		return []string{"ann"}, nil
	case "example.org", "xn--bcher-kva.example", "":
	default:
		return nil, ErrNotOurs
	}
	switch base.Local() {
	case "nobody-home":
		return nil, nil
	case "ann", "ben", "full", "broken", "panic", "over", "nearly", "crowded", "stuck":
		return []string{base.Local()}, nil
	case "club":
		return []string{"ann", "over"}, nil
	case "hoarders":
		return []string{"nearly", "over"}, nil
	case "mixed":
		return []string{"ann", "crowded"}, nil
	case "jürg", "postmaster", "ann smith":
		return []string{"ann"}, nil
	case "family":
		return []string{"ann", "ben"}, nil
	case "lookup":
		return nil, errors.New("the list cannot be read")
	}
	return nil, ErrUnknown
}

func (house) MaySendAs(person string, from mailaddr.Addr) bool {
	from, _, _ = from.Fold().Detail()
	return from.Domain() == "example.org" && (from.Local() == person || from.Local() == "family")
}

// A room is the Mailroom of the tests. It remembers what was delivered.
type room struct {
	mu        sync.Mutex
	delivered []delivery
	open      int           // Incomings not closed
	gate      chan struct{} // when not nil, Deliver waits for it or for its context
	entered   chan struct{} // told when Deliver waits
}

type delivery struct {
	to      []string
	header  string
	message string // as it came, bare LF included
}

type incoming struct {
	bytes.Buffer
	room *room
}

func (r *room) Receive() Incoming {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	return &incoming{room: r}
}

func (in *incoming) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("no room for this")) {
		return 0, fmt.Errorf("spooling: %w", ErrFull)
	}
	if bytes.Contains(b, []byte("the disk is full")) {
		return 0, &os.PathError{Op: "write", Path: "spool", Err: syscall.ENOSPC}
	}
	return in.Buffer.Write(b)
}

func (in *incoming) Close() error {
	in.room.mu.Lock()
	defer in.room.mu.Unlock()
	in.room.open--
	return nil
}

// Room: over has no room at all, nearly for 3,000 octets, crowded lives on a full disk.
func (r *room) Room(person string, octets int64) error {
	switch {
	case person == "over", person == "nearly" && octets > 3000:
		return fmt.Errorf("asking: %w", ErrOverQuota)
	case person == "crowded":
		return fmt.Errorf("asking: %w", ErrFull)
	case person == "stuck":
		return errors.New("nobody knows")
	}
	return nil
}

func (r *room) Deliver(ctx context.Context, in Incoming, to []Recipient) error {
	if r.gate != nil {
		r.entered <- struct{}{}
		select {
		case <-r.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := delivery{message: in.(*incoming).String()}
	over := func(t Recipient) bool {
		return errors.Is(r.Room(t.Person, int64(len(t.Header)+in.(*incoming).Len())), ErrOverQuota)
	}
	if !slices.ContainsFunc(to, func(t Recipient) bool { return !over(t) }) {
		return fmt.Errorf("delivering: %w", ErrOverQuota)
	}
	for _, t := range to {
		switch t.Person {
		case "full":
			return fmt.Errorf("delivering: %w", ErrFull)
		case "panic":
			panic("the mailroom is gone")
		case "broken":
			return errors.New("the disk is on fire")
		}
		d.to = append(d.to, t.Person)
		d.header = string(t.Header)
	}
	slices.Sort(d.to)
	r.delivered = append(r.delivered, d)
	return nil
}

func (r *room) deliveries() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.delivered)
}

// only gives the one message that was delivered.
func (r *room) only(t *testing.T) delivery {
	t.Helper()
	all := r.deliveries()
	if len(all) != 1 {
		t.Fatalf("%d messages were delivered, not one: %q", len(all), all)
	}
	return all[0]
}

// testTLS is a certificate for the test server and a client configuration that trusts it.
var testTLS = sync.OnceValues(func() (*tls.Config, *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.org"}, DNSNames: []string{"mx.example.org"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}}
	return server, &tls.Config{RootCAs: roots, ServerName: "mx.example.org"}
})

// A server under test, on a port of loopback.
type underTest struct {
	*Server
	room *room
	addr string
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// testOptions are those of every test server.
func testOptions(r *room, log *lockedBuffer) Options {
	server, _ := testTLS()
	return Options{
		Hostname: "mx.example.org", Directory: house{}, Mailroom: r, TLS: server, MaxSize: 1 << 20, MaxRecipients: 5,
		Log: slog.New(slog.NewTextHandler(log, nil)),
		Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
	}
}

// start runs a server of a kind: intake, submission or submissions.
func start(t *testing.T, kind string, change ...func(*Options)) *underTest {
	t.Helper()
	u := &underTest{room: &room{}, log: &lockedBuffer{}}
	o := testOptions(u.room, u.log)
	for _, c := range change {
		c(&o)
	}
	u.Server = NewSubmission(o)
	serve := u.Server.Serve
	switch kind {
	case "intake":
		u.Server = NewIntake(o)
		serve = u.Server.Serve
	case "submissions":
		serve = u.Server.ServeTLS
	case "submission":
	default:
		t.Fatalf("no server is called %q", kind)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.addr = l.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = u.Shutdown(ctx) // cuts what a test has left open
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if u.room.open != 0 {
			t.Errorf("%d messages were never closed", u.room.open)
		}
	})
	return u
}

package imapreader

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Security is how a connection is kept from others.
type Security int

const (
	TLS         Security = iota // from the first octet on
	STARTTLS                    // from a command on, before which nothing is said
	Unencrypted                 // not at all: to this very machine only
)

// A Server is where mail lies.
type Server struct {
	Host        string
	Port        int
	Security    Security
	Roots       *x509.CertPool // who may vouch for the server; nil: whom this system trusts
	Fingerprint string         // SHA-256 of the only certificate that is taken, 64 hex digits; "": whichever Roots vouch for
}

// Times for a server.
const (
	dialTime   = 30 * time.Second
	answerTime = 5 * time.Minute // without a single octet
)

// A Conn is a connection to a server. It has one user at a time; the end of the context that it was made with closes it. After an error
// that is not *Refused it is of no more use.
type Conn struct {
	conn net.Conn
	s    scanner
	tags int
	tag  string // of the command under way
	caps map[string]bool
	bye  string // what the server said when it hung up
	pre  bool   // signed in from the start
	stop func() bool

	encrypted bool
	meter     meter
}

// Dial connects and secures the connection. Its errors are sentences for people.
func Dial(ctx context.Context, server Server) (*Conn, error) {
	addr := net.JoinHostPort(server.Host, strconv.Itoa(server.Port))
	dialer := net.Dialer{Timeout: dialTime}
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, dialError(server, addr, err)
	}
	c := &Conn{caps: make(map[string]bool)}
	c.stop = context.AfterFunc(ctx, func() { raw.Close() })
	c.use(&patient{raw})
	if err := c.begin(ctx, server, raw); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) begin(ctx context.Context, server Server, raw net.Conn) error {
	if server.Security == Unencrypted {
		if peer, ok := raw.RemoteAddr().(*net.TCPAddr); !ok || !peer.IP.IsLoopback() {
			return fmt.Errorf("%s is not this machine: without encryption everybody on the way could read the password and the mail", server.Host)
		}
	}
	if server.Security == TLS {
		if err := c.secure(ctx, server); err != nil {
			return err
		}
	}
	if err := c.greeting(); IsRefused(err) {
		return fmt.Errorf("%s does not take the connection: %w", server.Host, err)
	} else if err != nil {
		return fmt.Errorf("%s does not answer like an IMAP server: %w", server.Host, err)
	}
	if server.Security == STARTTLS {
		return c.startTLS(ctx, server)
	}
	return nil
}

func (c *Conn) use(conn net.Conn) {
	c.conn = conn
	c.meter = newMeter(conn, maxAnswer)
	c.s.r = bufio.NewReaderSize(&c.meter, 16<<10)
}

func (c *Conn) startTLS(ctx context.Context, server Server) error {
	if c.pre {
		return fmt.Errorf("%s wants to go on without encryption", server.Host)
	}
	if err := c.run("STARTTLS", nil); err != nil {
		return fmt.Errorf("%s does not encrypt on port %d: %w", server.Host, server.Port, err)
	}
	if c.s.r.Buffered() > 0 { // said before, by whomever
		return inTheClear(server)
	}
	if err := c.secure(ctx, server); err != nil {
		return err
	}
	clear(c.caps) // RFC 9051, 6.2.1: what was said in the clear may be somebody else's
	c.bye = ""
	return nil
}

// inTheClear says that something came in the clear behind the answer to STARTTLS, where nothing may be but TLS.
func inTheClear(server Server) error {
	return fmt.Errorf("%s goes on in the clear after STARTTLS: somebody may be in between", server.Host)
}

func (c *Conn) secure(ctx context.Context, server Server) error {
	config := &tls.Config{ServerName: server.Host, RootCAs: server.Roots}
	if server.Fingerprint != "" {
		config.InsecureSkipVerify = true // VerifyConnection does it
		config.VerifyConnection = func(s tls.ConnectionState) error {
			if got := fingerprint(s.PeerCertificates[0]); got != server.Fingerprint {
				return fmt.Errorf("the certificate of %s has the fingerprint %s, which is not the one that was given", server.Host, got)
			}
			return nil
		}
	}
	conn := tls.Client(c.conn, config)
	shake, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if err := conn.HandshakeContext(shake); err != nil {
		return tlsError(server, err)
	}
	c.use(conn)
	c.encrypted = true
	return nil
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// Close hangs up.
func (c *Conn) Close() error {
	c.stop()
	return c.conn.Close()
}

// patient gives a peer time for each read and write.
type patient struct{ net.Conn }

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// dialError says why there is no connection.
func dialError(server Server, addr string, err error) error {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("there is no server called %s", server.Host)
	case errors.As(err, &dns):
		return fmt.Errorf("the address of %s cannot be found out: %w", server.Host, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s refuses connections: no server listens there", addr)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s does not answer", addr)
	}
	return fmt.Errorf("connecting to %s: %w", addr, err)
}

// tlsError says why a connection is not trusted.
func tlsError(server Server, err error) error {
	var (
		bad    *tls.CertificateVerificationError
		noTLS  tls.RecordHeaderError
		name   x509.HostnameError
		date   x509.CertificateInvalidError
		reason = "nobody who is trusted here vouches for it"
	)
	switch {
	case errors.As(err, &noTLS) && server.Security == STARTTLS:
		return inTheClear(server)
	case errors.As(err, &noTLS):
		return fmt.Errorf("%s does not speak TLS on port %d; with STARTTLS it may (port 143)", server.Host, server.Port)
	}
	if !errors.As(err, &bad) || len(bad.UnverifiedCertificates) == 0 {
		return fmt.Errorf("securing the connection to %s: %w", server.Host, err)
	}
	cert := bad.UnverifiedCertificates[0]
	switch {
	case errors.As(err, &name):
		reason = "it is for " + strings.Join(cert.DNSNames, ", ") + " and not for " + server.Host
	case errors.As(err, &date) && date.Reason == x509.Expired:
		reason = "it is good from " + cert.NotBefore.Format(time.DateOnly) + " to " + cert.NotAfter.Format(time.DateOnly) + " only"
	}
	return fmt.Errorf("the certificate of %s is not trusted: %s. Its fingerprint is %s", server.Host, reason, fingerprint(cert))
}

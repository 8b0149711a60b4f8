package appliance_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"letterbox/appliance/config"
)

// startTLS connects to a port that begins without TLS and asks for it.
func (b *box) startTLS(t *testing.T, svc config.Service) net.Conn {
	t.Helper()
	conn := b.dial(t, svc)
	r := bufio.NewReader(conn)
	say := func(command, answer string) {
		t.Helper()
		if _, err := conn.Write([]byte(command)); err != nil {
			t.Fatal(err)
		}
		for {
			text, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v, want %q", svc, err, answer)
			}
			if strings.HasPrefix(text, answer) {
				return
			}
		}
	}
	if svc == config.IMAP {
		say("", "* OK ")
		say("a STARTTLS\r\n", "a OK ")
		return conn
	}
	say("", "220 ")
	say("EHLO laptop.lan\r\n", "250 ")
	say("STARTTLS\r\n", "220 ")
	return conn
}

// shaken finishes the handshake of a service and returns what it presented.
func (b *box) shaken(t *testing.T, svc config.Service, c *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	var raw net.Conn
	switch svc {
	case config.IMAP, config.SMTP, config.Submission:
		raw = b.startTLS(t, svc)
	default:
		raw = b.dial(t, svc)
	}
	conn := tls.Client(raw, c)
	defer conn.Close()
	err := conn.HandshakeContext(t.Context())
	return conn.ConnectionState(), err
}

var tlsServices = []config.Service{config.SMTP, config.IMAP, config.HTTPS, config.Submissions, config.Submission, config.IMAPS}

// TestCertificateOnEveryPort: whichever way a device comes in, the household's root vouches for whom it meets, by every name that the
// box has; and nobody vouches for another name.
func TestCertificateOnEveryPort(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, svc := range tlsServices {
		for _, name := range []string{"mail." + domain, domain, "autoconfig." + domain, "letterbox.local", "localhost", "127.0.0.1"} {
			c := b.tls()
			c.ServerName = name
			state, err := b.shaken(t, svc, c)
			if err != nil {
				t.Errorf("%s as %s: %v", svc, name, err)
				continue
			}
			if len(state.PeerCertificates) != 2 || len(state.VerifiedChains) == 0 {
				t.Errorf("%s presents %d certificates, want leaf and intermediate", svc, len(state.PeerCertificates))
			}
		}
		c := b.tls()
		c.ServerName = "mail.other.example"
		if _, err := b.shaken(t, svc, c); err == nil {
			t.Errorf("%s vouches for another household's name", svc)
		}
	}
}

// TestNewDomain: a domain that is added is in the certificate of the next connection and takes mail, while whoever was signed in
// reads on undisturbed.
func TestNewDomain(t *testing.T) {
	t.Parallel()
	b := start(t)
	old := b.imap(t, "ben")
	if got := bodies(t, old, "INBOX"); len(got) != 1 {
		t.Fatalf("ben has %d messages, want his welcome", len(got))
	}
	err := b.Update(t.Context(), func(c *config.Config) error {
		c.Domains = append(c.Domains, config.Domain{Name: "boat.home.arpa"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, svc := range tlsServices {
		c := b.tls()
		for _, name := range []string{"mail.boat.home.arpa", "mail." + domain} {
			c.ServerName = name
			if _, err := b.shaken(t, svc, c); err != nil {
				t.Errorf("%s as %s: %v", svc, name, err)
			}
		}
	}
	if err := b.send(t, "ann", "ben@boat.home.arpa", letter); err != nil {
		t.Errorf("mail for the new domain: %v", err)
	}
	if got := bodies(t, old, "INBOX"); len(got) != 2 {
		t.Errorf("the old connection sees %d messages, want 2", len(got))
	}
}

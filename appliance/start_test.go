package appliance_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"letterbox/appliance"
	"letterbox/appliance/config"
)

// The household of these tests.
const (
	domain   = "miller.home.arpa"
	password = "correct horse battery"
)

// box is a letterbox that runs for one test.
type box struct {
	*appliance.Appliance
	dir  string
	stop func() // ends Run and waits for it; done at the test's end in any case

	diskDied bool // caches cannot be written when the data is closed
}

// newConfig listens on free loopback ports.
func newConfig() config.Config {
	c := config.Default()
	c.Listen.Address = []string{"127.0.0.1"}
	for _, svc := range config.Services() {
		c.Listen.Port(svc).Listen = config.AnyPort
	}
	return c
}

// open opens the letterbox in dir, which the test's end closes.
func open(t *testing.T, dir string) *appliance.Appliance {
	t.Helper()
	return openFrom(t, dir, newConfig())
}

// openFrom opens the letterbox in dir, whose set-up would start from defaults.
func openFrom(t *testing.T, dir string, defaults config.Config) *appliance.Appliance {
	t.Helper()
	a, err := appliance.Open(dir, appliance.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Version: "test", Defaults: defaults})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// run runs the letterbox in dir as it is, set up or not.
func run(t *testing.T, dir string) *box {
	t.Helper()
	a := open(t, dir)
	return serve(t, dir, a)
}

func serve(t *testing.T, dir string, a *appliance.Appliance) *box {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- a.Run(ctx, func() { close(ready) }) }()
	b := &box{Appliance: a, dir: dir}
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running: %v", err)
		}
		if err := a.Close(); err != nil && !b.diskDied {
			t.Errorf("closing: %v", err)
		}
	}
	t.Cleanup(b.stop)
	select {
	case <-ready:
	case err := <-ended:
		stopped = true
		a.Close()
		t.Fatalf("the letterbox did not start: %v", err)
	}
	return b
}

// start runs a letterbox in which ann and ben live.
func start(t *testing.T) *box {
	t.Helper()
	return startIn(t, t.TempDir())
}

// startIn runs it on the data in dir, which is new.
func startIn(t *testing.T, dir string) *box {
	t.Helper()
	a := open(t, dir)
	if err := a.Found(t.Context(), appliance.Founding{Household: "The Millers", Domain: domain, Person: "ann", FullName: "Ann Miller", Password: password}); err != nil {
		t.Fatal(err)
	}
	b := serve(t, dir, a)
	b.add(t, "ben")
	return b
}

// add gives somebody a mailbox, with the password that everybody here has.
func (b *box) add(t *testing.T, person string) {
	t.Helper()
	err := b.Update(t.Context(), func(c *config.Config) error {
		c.People = append(c.People, config.Person{Name: person, Password: c.People[0].Password})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// addr is where the service is to be found.
func (b *box) addr(t *testing.T, svc config.Service) string {
	t.Helper()
	for _, s := range b.Status().Serving {
		if s.Service == string(svc) {
			return s.Address
		}
	}
	t.Fatalf("%s is not served", svc)
	return ""
}

// tls trusts the household's root and nobody else.
func (b *box) tls() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.Certificates().RootPEM)
	return &tls.Config{RootCAs: roots, ServerName: "mail." + domain}
}

// imap signs somebody in.
func (b *box) imap(t *testing.T, person string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(b.addr(t, config.IMAPS), &imapclient.Options{TLSConfig: b.tls()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(person, password).Wait(); err != nil {
		t.Fatalf("%s signs in: %v", person, err)
	}
	return c
}

// smtp signs somebody in for sending.
func (b *box) smtp(t *testing.T, person string) *smtp.Client {
	t.Helper()
	c, err := smtp.DialTLS(b.addr(t, config.Submissions), b.tls())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Auth(sasl.NewPlainClient("", person, password)); err != nil {
		t.Fatalf("%s signs in: %v", person, err)
	}
	return c
}

// post25 hands a letter for ben to port 25.
func (b *box) post25(t *testing.T, text string) error {
	t.Helper()
	c, err := smtp.Dial(b.addr(t, config.SMTP))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.SendMail("sender@example.org", []string{"ben@" + domain}, strings.NewReader(text))
}

func appendTo(c *imapclient.Client, mailbox, text string) error {
	cmd := c.Append(mailbox, int64(len(text)), nil)
	_, written := cmd.Write([]byte(text))
	closed := cmd.Close()
	_, err := cmd.Wait()
	return cmp.Or(err, closed, written)
}

// dial connects to a service without TLS.
func (b *box) dial(t *testing.T, svc config.Service) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", b.addr(t, svc))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

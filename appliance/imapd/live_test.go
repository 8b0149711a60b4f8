package imapd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// A pipe is a client on the other end of a net.Pipe.
type pipe struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// dialPipe connects to the server through a net.Pipe, whose time is the
// bubble's. The peer has no address, so it is not on loopback: it is made
// to look secure by the caller's options.
func (f *fixture) dialPipe(t *testing.T) *pipe {
	t.Helper()
	client, server := net.Pipe()
	f.server.start(loopback{server}, false)
	p := &pipe{t, client, bufio.NewReader(client)}
	p.want("* OK [CAPABILITY ")
	return p
}

// loopback is a connection that says it comes from this machine.
type loopback struct{ net.Conn }

func (loopback) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipe) send(lines ...string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(strings.Join(lines, "\r\n") + "\r\n")); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipe) want(prefix string) string {
	p.t.Helper()
	got, err := readResponse(p.r)
	if err != nil || !strings.HasPrefix(got, prefix) {
		p.t.Fatalf("want %q, got %q, %v", prefix, got, err)
	}
	return got
}

func (p *pipe) until(prefix string) {
	p.t.Helper()
	for {
		got, err := readResponse(p.r)
		if err != nil {
			p.t.Fatalf("want %q: %v", prefix, err)
		}
		if strings.HasPrefix(got, prefix) {
			return
		}
	}
}

func (p *pipe) signIn() {
	p.t.Helper()
	p.send("l LOGIN ann secret")
	p.want("l OK ")
}

func (f *fixture) shutdown() {
	f.t.Helper()
	if err := f.server.Shutdown(context.Background()); err != nil {
		f.t.Error(err)
	}
}

func TestTimeouts(t *testing.T) {
	t.Run("sign-in", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			start := time.Now()
			p := f.dialPipe(t)
			p.want("* BYE signing in took too long")
			if took := time.Since(start); took != signInTimeout {
				t.Errorf("it took %v", took)
			}
			f.shutdown()
		})
	})
	t.Run("sign-in in small pieces", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			start := time.Now()
			p := f.dialPipe(t)
			stop := make(chan struct{})
			go func() {
				defer close(stop)
				for {
					if _, err := p.conn.Write([]byte("x")); err != nil {
						return
					}
					time.Sleep(time.Second) // the bubble's time, not ours
				}
			}()
			p.want("* BYE signing in took too long")
			if took := time.Since(start); took > signInTimeout+time.Second {
				t.Errorf("it took %v", took)
			}
			p.conn.Close()
			<-stop
			f.shutdown()
		})
	})
	t.Run("idling for 29 minutes and too long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			p := f.dialPipe(t)
			p.signIn()
			for range 3 {
				p.send("a IDLE")
				p.want("+ idling")
				time.Sleep(29 * time.Minute) // the bubble's time, not ours
				p.send("DONE")
				p.want("a OK")
			}
			start := time.Now()
			p.want("* BYE nothing was heard for 30 minutes")
			if took := time.Since(start); took != inactivityTimeout {
				t.Errorf("it took %v", took)
			}
			f.shutdown()
		})
	})
}

// TestIdleAtOnce: a change reaches an idle client without any time passing.
func TestIdleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		p := f.dialPipe(t)
		p.signIn()
		p.send("a SELECT INBOX", "b IDLE")
		p.until("+ idling")
		time.Sleep(20 * time.Minute) // the bubble's time, not ours
		start := time.Now()
		f.deliver("INBOX", messageFile(t, "simple.eml"), time.Time{})
		p.want("* 1 EXISTS")
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		p.conn.Close()
		f.shutdown()
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	idle, waiting := f.dialPipe(t), f.dialPipe(t)
	idle.signIn()
	idle.send("a IDLE")
	idle.want("+ idling")
	done := make(chan error, 1)
	go func() { done <- f.server.Shutdown(context.Background()) }()
	idle.want("* BYE the server is shutting down")
	waiting.want("* BYE the server is shutting down")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestShutdownCuts: a client that reads nothing cannot hold up the end.
func TestShutdownCuts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.dialPipe(t)
	stuck := f.dialPipe(t)
	stuck.send("a NOOP") // the answer cannot be written: nobody reads the pipe
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	ann, ben := f.dialPipe(t), f.dialPipe(t)
	ann.signIn()
	ben.send("l LOGIN ben secret")
	ben.want("l OK")
	f.server.Disconnect("ann")
	ann.want("* BYE please sign in again")
	ben.send("a NOOP")
	ben.want("a OK")
	ben.conn.Close()
	f.shutdown()
}

// TestLongLines: what is too long is answered, and what follows is not lost.
func TestLongLines(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.listen()
	tests := []struct {
		name string
		send string
		want []string
	}{
		{"a line", "a FETCH 1 " + strings.Repeat("x", 2*maxCommand), []string{"a BAD the line is too long"}},
		{"a line with a literal at its end", "a NOOP " + strings.Repeat("x", maxCommand) + " {8+}\r\nx LOGOUT", []string{"a BAD the line is too long"}},
		{"a literal", fmt.Sprintf("a SELECT {%d+}\r\n%s", maxCommand+1, strings.Repeat("x LOGOUT\r\n", maxCommand)[:maxCommand+1]), []string{"a BAD the literal is too large here"}},
		{"literals and lines together", fmt.Sprintf("a SELECT {%d+}\r\n%s%s {2+}\r\nyy", maxCommand-100,
			strings.Repeat("x", maxCommand-100), strings.Repeat(" y", 100)), []string{"a BAD the command is too long"}},
		{"a message", fmt.Sprintf("a APPEND INBOX {%d+}\r\n%s", 1<<20+11, strings.Repeat("x LOGOUT\r\n", 1<<18)[:1<<20+11]),
			[]string{"a NO [TOOBIG] a message may have 1048576 octets at most"}},
		{"a long set", "a UID FETCH " + strings.Repeat("1,3,5,7,", 4999) + "9 UID", []string{"a OK UID FETCH completed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			p := &pipe{t, conn, bufio.NewReader(conn)}
			p.want("* OK")
			p.signIn()
			p.send("s SELECT INBOX")
			p.until("s OK")
			p.send(tt.send)
			for _, w := range tt.want {
				p.want(w)
			}
			p.send("z NOOP")
			p.want("z OK")
		})
	}
}

func TestTraceHidesPasswords(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.server.o.Log = traceLogger(f.log)
	p := f.dialPipe(t)
	p.send("a LOGIN ann hunter2")
	p.want("a NO")
	p.send("LOGIN ann hunter2")
	p.want("LOGIN BAD")
	p.send("b AUTHENTICATE PLAIN AGFubgBodW50ZXIy")
	p.want("b NO")
	p.send("c AUTHENTICATE PLAIN")
	p.want("+ ")
	p.send("AGFubgBodW50ZXIy")
	p.want("c NO")
	p.signIn()
	p.conn.Close()
	f.shutdown()
	log := f.log.String()
	for _, secret := range []string{"hunter2", "AGFubgBodW50ZXIy", " secret"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, redacted) || !strings.Contains(log, "AUTHENTICATIONFAILED") {
		t.Errorf("the log lacks the trace:\n%s", log)
	}
}

// TestTLS: port 993, with a client of somebody else's.
func TestTLS(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.TLS, o.PlaintextOnLoopback = certificate(), false })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.server.ServeTLS(l) }()
	exists := make(chan uint32, 1)
	c, err := imapclient.DialTLS(l.Addr().String(), &imapclient.Options{
		TLSConfig: clientTLS(),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(m *imapclient.UnilateralDataMailbox) {
			if m.NumMessages != nil {
				select {
				case exists <- *m.NumMessages:
				default:
				}
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Authenticate(plain{"ann", "secret"}); err != nil {
		t.Fatal(err)
	}
	text := messageFile(t, "parts.eml")
	appendCmd := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
	if _, err := appendCmd.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := appendCmd.Close(); err != nil {
		t.Fatal(err)
	}
	if data, err := appendCmd.Wait(); err != nil || data.UID != 1 {
		t.Fatalf("APPEND: %+v, %v", data, err)
	}
	if data, err := c.Select("INBOX", nil).Wait(); err != nil || data.NumMessages != 1 || data.UIDNext != 2 {
		t.Fatalf("SELECT: %+v, %v", data, err)
	}
	whole := &imap.FetchItemBodySection{}
	msgs, err := c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{
		Envelope: true, Flags: true, UID: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection: []*imap.FetchItemBodySection{whole},
	}).Collect()
	if err != nil || len(msgs) != 1 {
		t.Fatalf("FETCH: %v, %v", msgs, err)
	}
	if got := msgs[0].FindBodySection(whole); !bytes.Equal(got, text) {
		t.Errorf("BODY[] came back changed: %q", got)
	}
	if got := msgs[0].Envelope.Subject; got != "Café am See" {
		t.Errorf("the subject is %q", got)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{"zürich"}}, nil).Wait()
	if err != nil || len(found.AllUIDs()) != 1 {
		t.Errorf("SEARCH: %v, %v", found, err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	f.deliver("INBOX", messageFile(t, "simple.eml"), time.Time{})
	if n := <-exists; n != 2 {
		t.Errorf("EXISTS %d", n)
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Move(imap.UIDSetNum(1), "Trash").Wait(); err != nil {
		t.Error(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
	f.shutdown()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// plain is SASL PLAIN.
type plain struct{ user, password string }

func (p plain) Start() (string, []byte, error) {
	return "PLAIN", []byte("\x00" + p.user + "\x00" + p.password), nil
}
func (p plain) Next([]byte) ([]byte, error) { return nil, errors.New("there is no second step") }

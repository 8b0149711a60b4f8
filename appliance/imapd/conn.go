package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// Limits on what a client may send. Passing one is answered; see the package
// comment.
const (
	maxCommandBefore = 4 << 10   // octets of a command, literals included, before sign-in
	maxCommand       = 256 << 10 // octets of a command, literals included but an APPEND's message
	maxBadBefore     = 10        // commands in a row answered with BAD before sign-in
	maxBad           = 50        // commands in a row answered with BAD
	keepBuffer       = 4 << 10   // larger buffers are not kept between commands
)

// A state is a state of the protocol (RFC 9051, 3), usable as a set.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected
	loggedOut

	signedIn = authenticated | selected
	anyState = notAuthenticated | signedIn
)

// A feature is something that ENABLE switches on (RFC 5161).
type feature uint8

const (
	featCondStore  feature = 1 << iota // RFC 7162
	featUTF8Accept                     // RFC 6855
	featIMAP4rev2                      // RFC 9051
)

// A conn is one connection and its session. One goroutine owns it; others may
// only call end.
type conn struct {
	server  *Server
	link    *link
	in      input
	out     output
	log     *slog.Logger
	trace   bool
	peer    netip.Addr
	ctx     context.Context // ends when the connection is cut
	cancel  context.CancelFunc
	started time.Time

	farewell atomic.Pointer[string] // set by end: the text of the BYE

	state   state
	secure  bool   // under TLS
	person  string // written under server.mu
	account *store.Account
	enabled feature
	view    *view // of the selected mailbox; nil: none
	bad     int   // commands in a row answered with BAD
	line    []byte
	command imapwire.Collector
	scratch scratch
}

func newConn(s *Server, raw net.Conn) *conn {
	c := &conn{server: s, link: newLink(raw), state: notAuthenticated, started: time.Now()}
	if addr, err := netip.ParseAddrPort(raw.RemoteAddr().String()); err == nil {
		c.peer = addr.Addr().Unmap()
	}
	c.log = s.o.Log.With("proto", "imap", "peer", c.peer.String())
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.in.src, c.in.before = c.link, c.flush
	c.out.dst = c.link
	if s.o.Log.Enabled(c.ctx, LevelTrace) {
		c.trace = true
		c.out.seen = c.traceOutput
	}
	return c
}

// end makes the connection say BYE with text as soon as the command under way
// has ended. It may be called from any goroutine.
func (c *conn) end(text string) {
	c.farewell.CompareAndSwap(nil, &text)
	c.link.wake()
}

// ending reports whether long commands should give up.
func (c *conn) ending() bool { return c.farewell.Load() != nil || c.ctx.Err() != nil }

func (c *conn) serve(implicitTLS bool) {
	defer c.cancel()
	defer c.link.cut()
	defer c.deselect()
	c.link.deadline = c.started.Add(signInTimeout)
	if implicitTLS {
		if err := c.handshake(); err != nil {
			c.log.Debug("TLS handshake failed", "err", err)
			return
		}
	}
	c.greet()
	err := c.loop()
	c.say(err)
	if c.flush() == nil {
		// The other end of TLS learns that nothing was cut off.
		if t, ok := c.link.conn.(*tls.Conn); ok {
			_ = t.CloseWrite()
		}
	}
	c.log.Log(c.ctx, slog.LevelDebug, "connection ended", "person", c.person, "err", err, "took", time.Since(c.started))
}

// say tells the client why the connection ends, if it can still hear it.
func (c *conn) say(err error) {
	switch {
	case errors.Is(err, errEnded):
		c.out.line("* BYE ", *c.farewell.Load())
	case errors.Is(err, errIdle) && c.state == notAuthenticated:
		c.out.line("* BYE signing in took too long")
	case errors.Is(err, errIdle):
		c.out.line("* BYE nothing was heard for 30 minutes")
	case errors.Is(err, errTooManyBad):
		c.out.line("* BYE too many bad commands")
	case errors.Is(err, errDrainedEnough):
		c.out.line("* BYE [LIMIT] what was sent is too large")
	}
}

var (
	errEnded      = &linkError{errors.New("the connection was ended by the server")}
	errTooManyBad = &linkError{errors.New("too many bad commands in a row")}
)

// handshake puts TLS over the socket.
func (c *conn) handshake() error {
	if err := c.link.raw.SetDeadline(c.link.deadline); err != nil {
		return err
	}
	t := tls.Server(c.link.raw, c.server.o.TLS)
	if err := t.HandshakeContext(c.ctx); err != nil {
		return err
	}
	c.link.conn, c.secure = t, true
	return nil
}

func (c *conn) flush() error { return c.out.flush() }

func (c *conn) greet() {
	c.out.begin()
	c.out.buf = append(c.out.buf, "* OK ["...)
	c.out.buf = c.appendCapabilities(c.out.buf)
	c.out.line("] Letterbox is ready")
}

// loop reads and answers commands until the connection ends.
func (c *conn) loop() error {
	for c.state != loggedOut {
		if err := c.next(); err != nil {
			return err
		}
		if c.out.err != nil {
			return c.out.err
		}
	}
	return nil
}

// next reads and answers one command.
func (c *conn) next() error {
	if c.farewell.Load() != nil {
		return errEnded
	}
	c.shrink()
	r, err := c.readCommand()
	if r == nil || isLinkError(err) {
		return err
	}
	if err == nil {
		err = c.run(r)
	}
	if isLinkError(err) {
		return err
	}
	if derr := c.drainMessage(r); derr != nil {
		return derr
	}
	return c.finish(r, err)
}

// shrink gives back what a large command left behind.
func (c *conn) shrink() {
	if cap(c.line) > keepBuffer {
		c.line = nil
	}
	c.line = c.line[:0]
	c.scratch.shrink()
}

// waitDeadline sets until when the client must have said something.
func (c *conn) waitDeadline() {
	if c.state == notAuthenticated {
		c.link.deadline = c.started.Add(signInTimeout)
		return
	}
	c.link.deadline = time.Now().Add(inactivityTimeout)
}

// readLine reads one line into c.line, with its line end. Being woken is not
// an error here, except for the end.
func (c *conn) readLine(limit int) error {
	c.line = c.line[:0]
	c.waitDeadline()
	for {
		var err error
		c.line, err = c.in.readLine(c.line, limit)
		if !errors.Is(err, errWoken) {
			return err
		}
		if c.farewell.Load() != nil {
			return errEnded
		}
	}
}

// Read reads octets of a literal. Time starts anew with each piece, since a
// large message may come slowly.
func (c *conn) Read(p []byte) (int, error) {
	for {
		c.waitDeadline()
		n, err := c.in.Read(p)
		if n > 0 || !errors.Is(err, errWoken) {
			return n, err
		}
		if c.farewell.Load() != nil {
			return 0, errEnded
		}
	}
}

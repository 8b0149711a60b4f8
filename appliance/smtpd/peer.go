package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Times a peer has, RFC 5321, 4.5.3.2.
const (
	commandTime   = 5 * time.Minute // for its next command (4.5.3.2.7) and for each part of a message
	writeTime     = 5 * time.Minute // to take an answer
	handshakeTime = time.Minute

	// signInTime is how long a submission connection lasts on which nobody has signed in, whatever it says: places are few.
	signInTime = 5 * time.Minute
)

// flushSize is how many bytes of answers wait for the moment at which the server has nothing to do but read.
const flushSize = 4 << 10

var (
	errIdle     = errors.New("the peer was silent for too long")
	errNobodyIn = errors.New("nobody signed in for too long")
	errShutdown = errors.New("the server shuts down")
	errSignOut  = errors.New("the person may not be signed in any longer")
)

// A peer is one connection, over both of its phases: deadlines, buffered output, TLS and the end. One goroutine
// reads and writes; drain and cut may be called by others.
type peer struct {
	server *Server
	raw    net.Conn
	addr   netip.AddrPort // zero when the connection has no such address
	ctx    context.Context
	cancel context.CancelFunc
	log    *slog.Logger
	begun  time.Time
	tls    *tls.ConnectionState // nil in plaintext
	out    bytes.Buffer         // answers not yet sent

	faults, badSignIns, badRecipients int // they end the connection when there are too many

	mu     sync.Mutex
	conn   net.Conn // raw, or TLS over it
	person string   // who has signed in
	enough error    // why no further command is wanted: errShutdown or errSignOut
	idle   bool     // waits for a command, and may be interrupted
}

func newPeer(s *Server, c net.Conn) *peer {
	ctx, cancel := context.WithCancel(s.ctx)
	p := &peer{server: s, raw: c, conn: c, ctx: ctx, cancel: cancel, begun: time.Now()}
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		p.addr = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	p.log = s.options.Log.With("proto", "smtp", "peer", p.name())
	return p
}

// name is the peer's address for people.
func (p *peer) name() string {
	if !p.addr.IsValid() {
		return "local"
	}
	return p.addr.Addr().String()
}

// run speaks with the peer until one of the two has enough.
func (p *peer) run(implicit *tls.Config) {
	defer p.cut()
	if implicit != nil {
		if err := p.startTLS(implicit); err != nil {
			return
		}
	}
	for greet := true; ; greet = false {
		w := newWire(p)
		w.speak(greet)
		if !w.upgraded {
			p.flush()
			return
		}
	}
}

// startTLS does the handshake.
func (p *peer) startTLS(config *tls.Config) error {
	c := tls.Server(p.raw, config)
	ctx, cancel := context.WithTimeout(p.ctx, handshakeTime)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		p.log.Info("TLS handshake failed", "err", err)
		return err
	}
	state := c.ConnectionState()
	p.tls = &state
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = c
	return nil
}

// Read reads from the peer, after it has been sent every answer so far. Errors are errIdle, errNobodyIn, errShutdown,
// errSignOut or the connection's.
func (p *peer) Read(b []byte) (int, error) {
	if err := p.flush(); err != nil {
		return 0, err
	}
	p.mu.Lock()
	if p.enough != nil && p.idle {
		defer p.mu.Unlock()
		return 0, p.enough
	}
	conn := p.conn
	until, silence := p.patience()
	err := conn.SetReadDeadline(until)
	p.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := conn.Read(b)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		if enough := p.wantsEnd(); enough != nil {
			return 0, enough
		}
		return 0, silence
	}
	return n, err
}

// patience tells until when the peer is read from, and the error that it is then. p.mu is held.
func (p *peer) patience() (until time.Time, silence error) {
	until = time.Now().Add(commandTime)
	if end := p.begun.Add(signInTime); p.server.submission && p.person == "" && end.Before(until) {
		return end, errNobodyIn
	}
	return until, errIdle
}

// Write keeps an answer until flush.
func (p *peer) Write(b []byte) (int, error) {
	p.out.Write(b)
	if p.out.Len() < flushSize {
		return len(b), nil
	}
	return len(b), p.flush()
}

// flush sends the answers that wait. RFC 2920, 3.2: answers to pipelined commands may be sent together.
func (p *peer) flush() error {
	if p.out.Len() == 0 {
		return nil
	}
	defer p.emptied()
	if err := p.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := p.conn.Write(p.out.Bytes())
	return err
}

// emptied makes room for the next answers, and gives back what a long one took.
func (p *peer) emptied() {
	if p.out.Cap() > flushSize {
		p.out = bytes.Buffer{}
	}
	p.out.Reset()
}

// setIdle says whether the peer may be interrupted while it is read from.
func (p *peer) setIdle(idle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = idle
}

// wantsEnd tells why the connection is to end, while the peer is between two messages.
func (p *peer) wantsEnd() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.idle {
		return nil
	}
	return p.enough
}

// signedIn notes whose the connection is, for signOut; empty: nobody's.
func (p *peer) signedIn(person string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.person = person
}

// signOut is drain for a connection of this person.
func (p *peer) signOut(person string) {
	p.mu.Lock()
	theirs := person != "" && p.person == person
	p.mu.Unlock()
	if theirs {
		p.drain(errSignOut)
	}
}

// drain makes the peer's next wait for a command its last.
func (p *peer) drain(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enough = why
	if p.idle {
		_ = p.raw.SetReadDeadline(time.Unix(1, 0)) // an error means that the connection is gone
	}
}

// cut ends the connection at once.
func (p *peer) cut() {
	p.cancel()
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	if p.server.ctx.Err() != nil {
		conn = p.raw // no time left for TLS's goodbye
	}
	_ = conn.Close()
}

// isLoopback tells whether the peer is this very machine.
func (p *peer) isLoopback() bool { return p.addr.IsValid() && p.addr.Addr().IsLoopback() }

// maySignIn tells whether a password may be sent over this connection.
func (p *peer) maySignIn() bool {
	return p.server.submission && (p.tls != nil || p.server.options.PlaintextOnLoopback && p.isLoopback())
}

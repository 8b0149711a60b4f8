package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/emersion/go-smtp"
)

// Limits of lines in octets, with CRLF.
const (
	readSize       = 4 << 10
	maxCommandLine = 2 << 10 // RFC 5321, 4.5.3.1.4 asks for 512, and extensions add to MAIL and RCPT: 26 (SIZE), 500 (AUTH), ...
	maxAuthLine    = 12288   // RFC 4954, 4.3
	maxDiscard     = 1 << 20 // of a line that is too long, until the connection ends
)

// How often a peer may be wrong on one connection.
const (
	maxFaults        = 1000 // added up
	syntaxFault      = 100  // a command that is none
	orderFault       = 1    // a command out of order: pipelining brings many after one refusal
	maxBadSignIns    = 5
	maxBadRecipients = 100
)

var (
	errLineTooLong = errors.New("line too long")
	errLineEndless = errors.New("line has no end")
)

// A wire is the connection as go-smtp sees it, for one of the peer's phases (plaintext, TLS). It hands go-smtp one line at
// a time, and only well-formed commands in a good order. The goroutine of go-smtp's connection owns it.
type wire struct {
	peer     *peer
	session  *session
	r        *bufio.Reader
	source   source
	pending  []byte // for go-smtp, before anything else is read
	sasl     bool   // the next line is a response in an AUTH exchange
	ending   bool   // nothing more is read
	mute     bool   // the next line of go-smtp is not for the peer
	hello    bool   // the next line of go-smtp answers EHLO or HELO
	upgraded bool   // ended by STARTTLS: the next phase follows
	closed   chan struct{}
}

func newWire(p *peer) *wire {
	w := &wire{peer: p, source: source{peer: p}, closed: make(chan struct{})}
	w.r = bufio.NewReaderSize(&w.source, readSize)
	w.session = &session{wire: w, peer: p, server: p.server}
	return w
}

// A source is the peer as r reads it: first comes what was read beyond the end of a message.
type source struct {
	peer *peer
	left []byte
}

func (s *source) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		return s.peer.Read(b)
	}
	n := copy(b, s.left)
	if s.left = s.left[n:]; len(s.left) == 0 {
		s.left = nil
	}
	return n, nil
}

// unread makes b come next. r must be empty.
func (s *source) unread(b []byte) {
	if len(b) > 0 {
		s.left = append(bytes.Clone(b), s.left...)
	}
}

// buffered tells whether something of the peer has been read that nobody has taken yet.
func (w *wire) buffered() bool { return w.r.Buffered()+len(w.source.left) > 0 }

// speak lets go-smtp talk to the peer until the phase ends. A go-smtp Server serves this one connection, since it takes
// connections from listeners only, and its state must be gone after STARTTLS (RFC 3207, 4.2).
func (w *wire) speak(greet bool) {
	o := w.peer.server.options
	w.mute = !greet
	engine := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return w.session, nil }))
	engine.Domain = o.Hostname
	engine.MaxMessageBytes = o.MaxSize
	engine.MaxRecipients = o.MaxRecipients
	engine.MaxLineLength = 0        // lines are limited here
	engine.EnableSMTPUTF8 = true    // RFC 6531
	engine.AllowInsecureAuth = true // whether AUTH is offered is the session's matter
	engine.ErrorLog = engineLog{w.peer.log}
	if w.peer.tls == nil {
		engine.TLSConfig = o.TLS // offers STARTTLS, which never reaches go-smtp
	}
	_ = engine.Serve(&oneConn{conn: w, taken: make(chan struct{}, 1)}) // always net.ErrClosed
	_ = engine.Shutdown(context.Background())                          // waits for the goroutine that Serve began
}

// Read gives go-smtp what it should see next.
func (w *wire) Read(b []byte) (int, error) {
	for len(w.pending) == 0 {
		if w.ending {
			return 0, io.EOF
		}
		w.next()
	}
	n := copy(b, w.pending)
	w.pending = w.pending[n:]
	return n, nil
}

// next reads one line, and leaves in pending what go-smtp has to do about it, if anything.
func (w *wire) next() {
	defer w.survive()
	w.peer.setIdle(!w.session.chunking())
	line, err := w.readLine()
	enough := w.peer.wantsEnd()
	w.peer.setIdle(false)
	switch {
	case errors.Is(err, errLineTooLong):
		w.badLine("500 5.5.6 line too long")
	case errors.Is(err, errLineEndless):
		w.reply("500 5.5.6 line too long")
		w.goodbye("421 4.7.0 %s line has no end", w.hostname())
	case err != nil:
		w.fail(err)
	case enough != nil:
		w.fail(enough)
	case !wellFormed(line):
		w.badLine("500 5.5.2 lines end in CR LF and hold no control characters")
	case w.sasl:
		w.sasl = false
		w.pending = saslResponse(line)
	default:
		w.pending = w.session.screen(line)
	}
}

// survive ends this connection instead of the whole program when something of ours panics; go-smtp does so for what it calls.
func (w *wire) survive() {
	if cause := recover(); cause != nil {
		w.peer.log.Error("smtp session", "err", fmt.Sprint(cause), "stack", string(debug.Stack()))
		w.goodbye("421 4.3.0 %s something went wrong here", w.hostname())
	}
}

// badLine answers a line that is none. In an AUTH exchange it ends the exchange, which go-smtp answers with 501.
func (w *wire) badLine(answer string) {
	if w.sasl {
		w.sasl = false
		w.pending = []byte("*\r\n")
		return
	}
	w.bad(answer)
}

// saslResponse passes on a line of an AUTH exchange. What is not base64 cancels the exchange (RFC 4954, 4: 501).
func saslResponse(line []byte) []byte {
	text := bytes.TrimSuffix(line, []byte("\r\n"))
	if _, err := base64.StdEncoding.DecodeString(string(text)); err != nil && string(text) != "=" {
		return []byte("*\r\n")
	}
	return line
}

// readLine reads up to LF. A line that is too long is read to its end without being kept.
func (w *wire) readLine() ([]byte, error) {
	part, err := w.r.ReadSlice('\n')
	if err == nil && len(part) <= w.lineLimit(part) {
		return bytes.Clone(part), nil
	}
	line := bytes.Clone(part)
	for errors.Is(err, bufio.ErrBufferFull) && len(line) <= w.lineLimit(line) {
		part, err = w.r.ReadSlice('\n')
		line = append(line, part...)
	}
	switch {
	case err == nil && len(line) <= w.lineLimit(line):
		return line, nil
	case err == nil:
		return nil, errLineTooLong
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, w.discardLine(len(line))
	}
	return nil, err
}

func (w *wire) lineLimit(line []byte) int {
	if w.sasl || len(line) >= 4 && bytes.EqualFold(line[:4], []byte("AUTH")) {
		return maxAuthLine
	}
	return maxCommandLine
}

// discardLine reads to the end of a line of which n octets have been read.
func (w *wire) discardLine(n int) error {
	for n <= maxDiscard {
		part, err := w.r.ReadSlice('\n')
		n += len(part)
		switch {
		case err == nil:
			return errLineTooLong
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
	return errLineEndless
}

// wellFormed tells whether a line ends in CRLF and has no control character before. RFC 5321, 2.3.8: CR and LF only
// together.
func wellFormed(line []byte) bool {
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	return ok && bytes.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0
}

// Write takes go-smtp's answers.
func (w *wire) Write(b []byte) (int, error) {
	if w.mute {
		w.mute = !bytes.HasSuffix(b, []byte("\n"))
		return len(b), nil
	}
	if w.hello && bytes.HasPrefix(b, []byte("250")) {
		// RFC 5321, 4.1.1.1: the server's name comes first. go-smtp says hello instead.
		w.reply(string(b[:4]) + w.hostname() + " greets " + w.session.helo)
		w.hello = false
		return len(b), nil
	}
	return w.peer.Write(b)
}

// reply answers the peer without go-smtp.
func (w *wire) reply(answer string) {
	_, _ = w.peer.Write([]byte(answer + "\r\n")) // when the peer is gone, the next read tells
}

// bad answers a command that is none; ten of them end the connection.
func (w *wire) bad(answer string) { w.fault(answer, syntaxFault) }

// outOfOrder answers a command that cannot be obeyed now.
func (w *wire) outOfOrder(answer string) { w.fault(answer, orderFault) }

func (w *wire) fault(answer string, weight int) {
	w.reply(answer)
	if w.peer.faults += weight; w.peer.faults >= maxFaults {
		w.goodbye("421 4.7.0 %s too many errors", w.hostname())
	}
}

// goodbye is the last answer.
func (w *wire) goodbye(format string, args ...any) {
	w.reply(fmt.Sprintf(format, args...))
	w.end()
}

// end makes go-smtp see the end of the connection.
func (w *wire) end() {
	w.ending = true
	w.pending = nil
}

// fail ends the connection for what reading ended with.
func (w *wire) fail(err error) {
	switch {
	case errors.Is(err, errIdle): // RFC 5321, 3.8
		w.goodbye("421 4.4.2 %s nothing was heard for too long", w.hostname())
	case errors.Is(err, errNobodyIn):
		w.goodbye("421 4.7.0 %s nobody has signed in for too long", w.hostname())
	case errors.Is(err, errShutdown):
		w.goodbye("421 4.3.2 %s is being shut down", w.hostname())
	case errors.Is(err, errSignOut):
		w.goodbye("421 4.7.0 %s asks you to sign in again", w.hostname())
	default:
		w.end()
	}
}

// drop reads n octets and forgets them; it is false when the connection failed.
func (w *wire) drop(n int64) bool {
	if _, err := io.CopyN(io.Discard, w.r, n); err != nil {
		w.fail(err)
		return false
	}
	return true
}

func (w *wire) hostname() string { return w.peer.server.options.Hostname }

// Close ends the phase; the connection itself is the peer's to close.
func (w *wire) Close() error {
	select {
	case <-w.closed:
		return net.ErrClosed
	default:
		close(w.closed)
		w.end()
		return nil
	}
}

func (w *wire) LocalAddr() net.Addr  { return w.peer.raw.LocalAddr() }
func (w *wire) RemoteAddr() net.Addr { return w.peer.raw.RemoteAddr() }

// Deadlines are the peer's.
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// oneConn is a listener that has one connection, and ends when that has ended.
type oneConn struct {
	conn  *wire
	taken chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case l.taken <- struct{}{}:
		return l.conn, nil
	case <-l.conn.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// engineLog takes what go-smtp reports: panics of ours, and nothing else that matters.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Printf(format string, v ...any) {
	l.log.Error("smtp session", "err", fmt.Sprintf(format, v...))
}

func (l engineLog) Println(v ...any) { l.log.Error("smtp session", "err", fmt.Sprint(v...)) }

package smtpd

import (
	"crypto/rand"
	"io"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"

	"letterbox/appliance/mailaddr"
)

// maxHelo is how long a host's name may be, RFC 5321, 4.5.3.1.2.
const maxHelo = 255

// A session is one phase of a connection as go-smtp's Session: what was said so far. The goroutine of the connection owns
// it; only transaction is shared with the goroutine in which go-smtp runs Data for BDAT.
type session struct {
	wire   *wire
	peer   *peer
	server *Server

	helo     string
	extended bool          // EHLO, not HELO
	person   string        // who has signed in
	addr     mailaddr.Addr // of the MAIL or RCPT that screen has passed on

	mu sync.Mutex
	tx *transaction
}

// A transaction is one message, from MAIL to its end.
type transaction struct {
	id      string // in Received and in the log
	from    mailaddr.Addr
	utf8    bool // MAIL said SMTPUTF8
	to      []recipient
	chunked bool // BDAT; set before Data begins

	mu      sync.Mutex
	aborted bool          // Data must not begin
	running chan struct{} // closed when Data ends; nil before it begins
}

// A recipient is an address of RCPT and the people who have it.
type recipient struct {
	addr   mailaddr.Addr
	people []string
}

func (s *session) transaction() *transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tx
}

func (s *session) setTransaction(t *transaction) *transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.tx
	s.tx = t
	return old
}

// chunking tells whether a message is between its first and its last BDAT.
func (s *session) chunking() bool {
	t := s.transaction()
	return t != nil && t.chunked
}

// Mail begins a transaction. The address is the one that screen has parsed.
func (s *session) Mail(_ string, o *smtp.MailOptions) error {
	from := s.addr
	if !from.IsASCII() && !o.UTF8 {
		return answer(550, 5, 6, 7, "say SMTPUTF8 for an address with letters outside ASCII") // RFC 6531, 3.5
	}
	if s.server.submission && !from.IsZero() && !s.server.options.Directory.MaySendAs(s.person, from) {
		s.peer.log.Info("mail refused", "person", s.person, "from", from.String(), "result", "not an address of theirs")
		return answer(550, 5, 7, 1, s.person+" may not send as "+from.String())
	}
	s.setTransaction(&transaction{id: strings.ToLower(rand.Text()[:16]), from: from, utf8: o.UTF8})
	return nil
}

// Rcpt adds a recipient. The address is the one that screen has parsed.
func (s *session) Rcpt(_ string, _ *smtp.RcptOptions) error {
	t := s.transaction()
	if !s.addr.IsASCII() && !t.utf8 {
		return answer(553, 5, 6, 7, "say SMTPUTF8 for an address with letters outside ASCII") // RFC 6531, 3.5
	}
	people, err := s.server.options.Directory.Recipients(s.addr)
	if err != nil {
		return s.refuseRecipient(t, err)
	}
	t.to = append(t.to, recipient{addr: s.addr, people: people})
	return nil
}

// Data receives a message and delivers it. It returns the answer, which is an error for go-smtp in every case.
func (s *session) Data(r io.Reader) error {
	t := s.transaction()
	if t == nil || !t.begin() {
		return errAborted
	}
	defer t.finished()
	m := newReceipt(s, t)
	defer m.close()
	if t.chunked {
		return m.chunks(r)
	}
	return m.data()
}

// begin marks that Data runs; it is false when the transaction was given up before.
func (t *transaction) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.aborted {
		return false
	}
	t.running = make(chan struct{})
	return true
}

func (t *transaction) finished() { close(t.running) }

// abort gives the transaction up, and waits for a Data that runs: go-smtp has ended what that reads.
func (t *transaction) abort() {
	t.mu.Lock()
	t.aborted = true
	running := t.running
	t.mu.Unlock()
	if running != nil {
		<-running
	}
}

// Reset ends the transaction, whatever came of it.
func (s *session) Reset() {
	if t := s.setTransaction(nil); t != nil {
		t.abort()
	}
}

// Logout ends the session.
func (s *session) Logout() error {
	s.Reset()
	return nil
}

// badRecipient answers a wrong recipient without go-smtp; too many of them end the connection.
func (s *session) badRecipient(text string) {
	s.wire.reply(text)
	if s.tooManyBadRecipients() {
		s.wire.goodbye("421 4.7.0 %s too many wrong recipients", s.server.options.Hostname)
	}
}

func (s *session) tooManyBadRecipients() bool {
	s.peer.badRecipients++
	return s.peer.badRecipients >= maxBadRecipients
}

package smtpd

import (
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"letterbox/appliance/mailaddr"
)

// maxHelo is how long a host's name may be, RFC 5321, 4.5.3.1.2.
const maxHelo = 255

// A session is one phase of a connection as go-smtp's Session: what was said so far. The goroutine of go-smtp's connection
// owns it.
type session struct {
	wire   *wire
	peer   *peer
	server *Server

	helo     string
	extended bool          // EHLO, not HELO
	person   string        // who has signed in
	addr     mailaddr.Addr // of the MAIL or RCPT that screen has passed on
	tx       *transaction  // nil between messages
}

// A transaction is one message, from MAIL to its end.
type transaction struct {
	id     string // in Received and in the log
	from   mailaddr.Addr
	size   int64 // octets that MAIL announced; 0: it did not
	utf8   bool  // MAIL said SMTPUTF8
	to     []recipient
	chunks *receipt // what BDAT has brought so far; nil before the first
}

// A recipient is an address of RCPT and the people who have it.
type recipient struct {
	addr   mailaddr.Addr
	people []string
}

// isFor tells whether the message comes to a person already, by an address that was accepted.
func (t *transaction) isFor(person string) bool {
	return slices.ContainsFunc(t.to, func(r recipient) bool { return slices.Contains(r.people, person) })
}

// chunking tells whether a message is between its first and its last BDAT.
func (s *session) chunking() bool { return s.tx != nil && s.tx.chunks != nil }

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
	s.tx = &transaction{id: strings.ToLower(rand.Text()[:16]), from: from, size: o.Size, utf8: o.UTF8}
	return nil
}

var errNobody = errors.New("the directory names nobody for an address of the household")

// Rcpt adds a recipient. The address is the one that screen has parsed.
func (s *session) Rcpt(_ string, _ *smtp.RcptOptions) error {
	t := s.tx
	if !s.addr.IsASCII() && !t.utf8 {
		return answer(553, 5, 6, 7, "say SMTPUTF8 for an address with letters outside ASCII") // RFC 6531, 3.5
	}
	people, err := s.server.options.Directory.Recipients(s.addr)
	if err == nil && len(people) == 0 {
		err = errNobody // such a message would be acknowledged and kept by nobody
	}
	if err != nil {
		return s.refuseRecipient(t, err)
	}
	if err := s.room(t, people); err != nil {
		return s.deferRecipient(t, err)
	}
	t.to = append(t.to, recipient{addr: s.addr, people: people})
	return nil
}

// traceRoom is about what is put in front of a message, in octets.
const traceRoom = 1 << 10

// room tells whether an address has room for the message: whether one of its people has, since a message that was
// accepted is kept for all of them (Mailroom.Deliver). Who gets it by another address already needs no more.
func (s *session) room(t *transaction, people []string) error {
	var full error
	fits := false
	for _, person := range people {
		if t.isFor(person) {
			fits = true
			continue
		}
		err := s.server.options.Mailroom.Room(person, t.size+traceRoom)
		switch {
		case err == nil:
			fits = true
		case errors.Is(err, ErrOverQuota):
			full = err
		default: // not for the quota's sake: Deliver would not do it either
			return err
		}
	}
	if fits {
		return nil
	}
	return full
}

// Data receives the message after DATA and delivers it. It reads the wire itself, not go-smtp's reader of it. It returns the
// answer, which is an error for go-smtp in every case.
func (s *session) Data(io.Reader) error {
	m := newReceipt(s, s.tx)
	defer m.close()
	return m.data()
}

// bdat receives a chunk of a message that screen has found in order, and delivers the message after the last one. go-smtp
// knows nothing of it, but is told RSET when the message is done with.
func (s *session) bdat(size int64, last bool) []byte {
	if s.tx.chunks == nil {
		s.tx.chunks = newReceipt(s, s.tx)
	}
	m := s.tx.chunks
	if _, err := io.CopyN(m, s.wire.r, size); errors.Is(err, errEndless) {
		s.wire.reply("552 5.3.4 " + tooLarge(s.server.options.MaxSize))
		s.wire.end()
		return nil
	} else if err != nil {
		s.wire.fail(err)
		return nil
	}
	if !last && m.err == nil {
		s.wire.reply("250 2.0.0 " + strconv.FormatInt(size, 10) + " octets received") // RFC 3030, 2
		return nil
	}
	s.wire.reply(line(m.finish()))
	m.close()
	s.tx.chunks = nil
	s.wire.mute = true // what go-smtp answers to RSET
	return command("RSET")
}

// Reset ends the transaction, whatever came of it.
func (s *session) Reset() {
	if s.chunking() {
		s.tx.chunks.giveUp()
	}
	s.tx = nil
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

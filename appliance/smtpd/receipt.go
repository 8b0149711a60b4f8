package smtpd

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/mail"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"letterbox/appliance/mailaddr"
)

// A receipt is one message on its way from the wire into the Mailroom.
type receipt struct {
	session *session
	tx      *transaction
	in      Incoming
	header  *headerScan
	size    int64 // octets so far, as they came
	err     error // what went wrong while keeping it
}

func newReceipt(s *session, t *transaction) *receipt {
	m := &receipt{session: s, tx: t, in: s.server.options.Mailroom.Receive()}
	m.header = newHeaderScan(m.in, s.server.submission)
	return m
}

func (m *receipt) close() {
	if err := m.in.Close(); err != nil {
		m.session.peer.log.Warn("message not cleaned up", "id", m.tx.id, "err", err)
	}
}

var (
	errTooLarge = errors.New("the message is too large")
	errEndless  = errors.New("the message has no end")
)

// wasteFactor is how many times the size of the largest message is read of one that is too large.
const wasteFactor = 10

// Write keeps octets of the message until there are too many or they cannot be kept. The rest of the message is then read
// and forgotten, so that the session can go on; the only error is errEndless, when that takes too long.
func (m *receipt) Write(b []byte) (int, error) {
	m.size += int64(len(b))
	if m.size/wasteFactor > m.session.server.options.MaxSize {
		return 0, errEndless
	}
	if m.err != nil {
		return len(b), nil
	}
	if m.size > m.session.server.options.MaxSize {
		m.err = errTooLarge
		return len(b), nil
	}
	_, m.err = m.header.Write(b)
	return len(b), nil
}

// data receives what follows DATA, reading the wire itself.
func (m *receipt) data() error {
	w := m.session.wire
	if err := w.copyMessage(m); err != nil {
		w.end()
		switch {
		case errors.Is(err, errEndless):
			return m.log(answer(552, 5, 3, 4, tooLarge(m.session.server.options.MaxSize)))
		case errors.Is(err, errIdle):
			return m.log(answer(421, 4, 4, 2, w.hostname()+" nothing was heard for too long"))
		}
		return m.log(answer(421, 4, 4, 2, "the connection broke within the message"))
	}
	w.pending = []byte(".\r\n") // go-smtp, which has read nothing of the message, looks for its end
	return m.finish()
}

// giveUp ends a message that will not be finished.
func (m *receipt) giveUp() {
	m.log(answer(451, 4, 4, 2, "the message was given up before its last chunk"))
	m.close()
}

// finish looks at the whole message and delivers it. Every return is the answer for the sender.
func (m *receipt) finish() *smtp.SMTPError {
	if m.err == nil {
		m.err = m.header.Close()
	}
	switch {
	case errors.Is(m.err, errTooLarge):
		return m.log(answer(552, 5, 3, 4, tooLarge(m.session.server.options.MaxSize)))
	case m.err != nil:
		return m.keepingFailed(m.err)
	case m.header.received > maxHops: // RFC 5321, 6.3
		return m.log(answer(554, 5, 4, 6, fmt.Sprintf("the message has passed more than %d servers and must be in a loop", maxHops)))
	}
	if m.session.server.submission {
		if refusal := m.checkAuthors(); refusal != nil {
			return m.log(refusal)
		}
	}
	if err := m.session.server.options.Mailroom.Deliver(m.session.peer.ctx, m.in, m.copies()); err != nil {
		return m.keepingFailed(err)
	}
	return m.log(answer(250, 2, 0, 0, "delivered, id "+m.tx.id))
}

// copies is one Recipient for each person, however many of the addresses are theirs.
func (m *receipt) copies() []Recipient {
	now := m.session.server.options.Now()
	header := m.session.traceHeader(m.tx, now)
	if m.session.server.submission {
		header = append(header, m.session.missingFields(m.tx, m.header, now)...)
	}
	if m.header.orphan { // a folded first line would go on with a field of ours: From, or Received
		header = append(header, "X-Unnamed-Field:\r\n"...)
	}
	var list []Recipient
	for _, to := range m.tx.to {
		for _, person := range to.people {
			if !slices.ContainsFunc(list, func(r Recipient) bool { return r.Person == person }) {
				list = append(list, Recipient{Person: person, Header: header})
			}
		}
	}
	return list
}

// checkAuthors refuses a message whose header names authors or senders that the person is not (RFC 6409, 6.1).
func (m *receipt) checkAuthors() *smtp.SMTPError {
	h, person := m.header, m.session.person
	if h.tooLong {
		return answer(550, 5, 6, 0, "the From field is too long")
	}
	if !h.has["from"] && m.tx.from.IsZero() {
		return answer(550, 5, 6, 0, "the message has no From field")
	}
	for _, field := range h.authors {
		authors, err := authors(string(field))
		if err != nil {
			return answer(550, 5, 6, 0, "the From or Sender field cannot be understood")
		}
		for _, a := range authors {
			if !m.session.server.options.Directory.MaySendAs(person, a) {
				return answer(550, 5, 7, 1, person+" may not write as "+a.String())
			}
		}
	}
	return nil
}

// anyCharset reads encoded words in whatever charset: names are not looked at, and must not keep the address from being found.
var anyCharset = mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}

// authors reads the body of a From or Sender field; there is at least one.
func authors(field string) ([]mailaddr.Addr, error) {
	parser := mail.AddressParser{WordDecoder: &anyCharset}
	list, err := parser.ParseList(strings.ToValidUTF8(field, "?")) // raw 8-bit names are wrong and common
	if err != nil {
		return nil, err
	}
	var all []mailaddr.Addr
	for _, a := range list {
		at := strings.LastIndexByte(a.Address, '@') // the local part comes unquoted
		if at < 0 {
			return nil, errors.New("the address has no domain")
		}
		d, err := mailaddr.ParseDomain(a.Address[at+1:])
		if err != nil {
			return nil, err
		}
		addr, err := mailaddr.New(a.Address[:at], d)
		if err != nil {
			return nil, err
		}
		all = append(all, addr)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no address")
	}
	return all, nil
}

// keepingFailed answers and logs trouble of ours, or that no recipient has room. All recipients share the answer to
// a message, so that it is then kept for none of them; RCPT has asked whether there is room, so that this is rare.
func (m *receipt) keepingFailed(err error) *smtp.SMTPError {
	level := slog.LevelError
	if errors.Is(err, ErrOverQuota) {
		level = slog.LevelInfo
	}
	m.session.peer.log.Log(m.session.peer.ctx, level, "message not kept", "id", m.tx.id, "err", err)
	return m.log(keepingFailed(err, m.tx.id))
}

// log writes the line that tells what became of the message.
func (m *receipt) log(a *smtp.SMTPError) *smtp.SMTPError {
	to := make([]string, 0, len(m.tx.to))
	for _, r := range m.tx.to {
		to = append(to, r.addr.String())
	}
	m.session.peer.log.Info("mail", "id", m.tx.id, "from", m.tx.from.String(), "to", to, "size", m.size,
		"person", m.session.person, "tls", m.session.peer.tlsName(), "result", fmt.Sprintf("%d %s", a.Code, a.Message))
	return a
}

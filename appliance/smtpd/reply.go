package smtpd

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/emersion/go-smtp"
)

// answer is an SMTP answer with its enhanced code (RFC 3463), as go-smtp wants it.
func answer(code, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

// line is an answer as it is sent.
func line(a *smtp.SMTPError) string {
	e := a.EnhancedCode
	return fmt.Sprintf("%d %d.%d.%d %s", a.Code, e[0], e[1], e[2], a.Message)
}

// refuseRecipient answers RCPT for an address that the Directory has nobody for.
func (s *session) refuseRecipient(t *transaction, err error) error {
	log := s.peer.log.With("id", t.id, "from", t.from.String(), "to", s.addr.String())
	reply := answer(550, 5, 1, 1, "nobody here has the address "+s.addr.String())
	switch {
	case errors.Is(err, ErrNotOurs) && s.server.submission:
		reply = answer(550, 5, 7, 1, "this letterbox does not send mail outside the house yet")
	case errors.Is(err, ErrNotOurs):
		reply = answer(550, 5, 7, 1, "relay denied: this letterbox takes mail for its household only")
	case errors.Is(err, ErrUnknown):
	default:
		log.Warn("recipient deferred", "err", err)
		return answer(451, 4, 3, 0, "the address cannot be looked up for the moment, ask for "+t.id)
	}
	log.Info("recipient refused", "result", reply.Message)
	if s.tooManyBadRecipients() {
		s.wire.end()
		return answer(421, 4, 7, 0, s.server.options.Hostname+" too many wrong recipients")
	}
	return reply
}

// deferRecipient answers RCPT for an address whose mailbox has no room for the message, or none is known. Nothing but
// this recipient is refused: the sender goes on with the others and tries this one again (RFC 5321, 4.5.3.1.10 and 4.5.4.1).
func (s *session) deferRecipient(t *transaction, err error) error {
	reply := keepingFailed(err, t.id)
	s.peer.log.Info("recipient deferred", "id", t.id, "from", t.from.String(), "to", s.addr.String(), "result", reply.Message, "err", err)
	return reply
}

// keepingFailed answers what the Mailroom could not keep. RFC 3463, 3.3: X.2.2 is a mailbox that is full, X.3.1 the disk.
func keepingFailed(err error, id string) *smtp.SMTPError {
	if errors.Is(err, ErrOverQuota) {
		return answer(452, 4, 2, 2, "the mailbox is full, try again later")
	}
	if errors.Is(err, ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return answer(452, 4, 3, 1, "there is no room for this message, try again later")
	}
	return answer(451, 4, 3, 0, "the message cannot be kept for the moment, ask for "+id)
}

func tooLarge(limit int64) string {
	return fmt.Sprintf("the message is larger than %d octets", limit)
}

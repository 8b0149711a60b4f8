package imapd

import (
	"letterbox/appliance/imapwire"
)

// startTLS is STARTTLS (RFC 9051, 6.2.1).
func (c *conn) startTLS(r *request) error {
	if err := imapwire.ParseNone(r.args); err != nil {
		return err
	}
	if !c.mayStartTLS() {
		return bad("TLS is not on offer here, or in use already")
	}
	c.answer(r.tag, answer{"OK", "", "begin TLS now"})
	r.answered = true
	if err := c.flush(); err != nil {
		return err
	}
	// What came in the clear behind the command is dropped: somebody on the
	// way may have put it there.
	c.in.discard()
	if err := c.handshake(); err != nil {
		c.log.Debug("TLS handshake failed", "err", err)
		return &linkError{err}
	}
	return nil
}

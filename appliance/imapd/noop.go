package imapd

import "letterbox/appliance/imapwire"

// noop is NOOP (RFC 9051, 6.1.2) and CHECK (RFC 3501, 6.4.1). What is new in
// the mailbox is said at the end of every command; nothing is left to be
// checkpointed.
func (c *conn) noop(r *request) error { return imapwire.ParseNone(r.args) }

// logout is LOGOUT (RFC 9051, 6.1.3).
func (c *conn) logout(r *request) error {
	if err := imapwire.ParseNone(r.args); err != nil {
		return err
	}
	c.deselect()
	c.out.line("* BYE until next time")
	c.state = loggedOut
	return nil
}

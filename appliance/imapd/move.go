package imapd

import "letterbox/appliance/imapwire"

// move is MOVE (RFC 9051, 6.4.8).
func (c *conn) move(r *request) error { return c.moveMessages(r, false) }

// uidMove is UID MOVE (RFC 9051, 6.4.9).
func (c *conn) uidMove(r *request) error { return c.moveMessages(r, true) }

func (c *conn) moveMessages(r *request, byUID bool) error {
	a, err := imapwire.ParseMove(r.args)
	if err != nil {
		return err
	}
	uids, err := c.source(a.Set, byUID)
	if err != nil {
		return err
	}
	if c.view.readOnly {
		return errReadOnly
	}
	to, err := c.target(a.Mailbox)
	if err != nil {
		return err
	}
	defer c.release(to)
	if len(uids) == 0 {
		return nil
	}
	pairs, err := c.view.box.Move(uids, to)
	if code := copyUIDCode(to, pairs); code != "" {
		// RFC 9051, 6.4.8: COPYUID goes before the EXPUNGE responses, so it is
		// untagged. Told also for what was moved before a failure.
		c.out.line("* OK [", code, "] moved")
	}
	return err // the EXPUNGE responses follow: see finish
}

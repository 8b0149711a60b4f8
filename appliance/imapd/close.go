package imapd

import "letterbox/appliance/imapwire"

// close is CLOSE (RFC 9051, 6.4.1): what is marked \Deleted goes, in silence.
func (c *conn) close(r *request) error {
	if err := imapwire.ParseNone(r.args); err != nil {
		return err
	}
	if !c.view.readOnly {
		if err := c.expungeDeleted(wholeView(c.view)); err != nil {
			return err
		}
	}
	c.deselect()
	return nil
}

// unselect is UNSELECT (RFC 9051, 6.4.2): nothing goes.
func (c *conn) unselect(r *request) error {
	if err := imapwire.ParseNone(r.args); err != nil {
		return err
	}
	c.deselect()
	return nil
}

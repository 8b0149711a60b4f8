package imapd

import "letterbox/appliance/imapwire"

// delete is DELETE (RFC 9051, 6.3.5).
func (c *conn) delete(r *request) error {
	a, err := imapwire.ParseDelete(r.args)
	if err != nil {
		return err
	}
	return c.account.Delete(trimDelimiter(a.Mailbox))
}

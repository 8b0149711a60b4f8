package imapd

import "letterbox/appliance/imapwire"

// rename is RENAME (RFC 9051, 6.3.6). Renaming INBOX moves its messages and
// leaves it empty; the store does it.
func (c *conn) rename(r *request) error {
	a, err := imapwire.ParseRename(r.args)
	if err != nil {
		return err
	}
	return c.account.Rename(trimDelimiter(a.From), trimDelimiter(a.To))
}

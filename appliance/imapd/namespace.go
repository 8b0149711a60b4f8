package imapd

import "letterbox/appliance/imapwire"

// delimiter separates the levels of a mailbox name.
const delimiter = '/'

// namespace is NAMESPACE (RFC 9051, 6.3.10): one personal namespace.
func (c *conn) namespace(r *request) error {
	if err := imapwire.ParseNone(r.args); err != nil {
		return err
	}
	c.out.line(`* NAMESPACE (("" "/")) NIL NIL`)
	return nil
}

package imapd

import "letterbox/appliance/imapwire"

// subscribe is SUBSCRIBE (RFC 9051, 6.3.7).
func (c *conn) subscribe(r *request) error { return c.setSubscribed(r, true) }

// unsubscribe is UNSUBSCRIBE (RFC 9051, 6.3.8).
func (c *conn) unsubscribe(r *request) error { return c.setSubscribed(r, false) }

func (c *conn) setSubscribed(r *request, on bool) error {
	a, err := imapwire.ParseSubscribe(r.args)
	if err != nil {
		return err
	}
	return c.account.Subscribe(trimDelimiter(a.Mailbox), on)
}

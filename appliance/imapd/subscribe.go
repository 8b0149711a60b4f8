package imapd

import (
	"slices"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// subscribe is SUBSCRIBE (RFC 9051, 6.3.7), of mailboxes that
// are there, as in Dovecot: most
// programs show a subscription to nothing as a folder that cannot be opened. One
// that has been deleted stays subscribed all the same.
func (c *conn) subscribe(r *request) error {
	a, err := imapwire.ParseSubscribe(r.args)
	if err != nil {
		return err
	}
	name := trimDelimiter(a.Mailbox)
	list, err := c.account.List()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(m store.MailboxInfo) bool { return m.Name == name && m.Selectable }) {
		return store.ErrNoMailbox
	}
	return c.account.Subscribe(name, true)
}

// unsubscribe is UNSUBSCRIBE (RFC 9051, 6.3.8).
func (c *conn) unsubscribe(r *request) error {
	a, err := imapwire.ParseSubscribe(r.args)
	if err != nil {
		return err
	}
	return c.account.Subscribe(trimDelimiter(a.Mailbox), false)
}

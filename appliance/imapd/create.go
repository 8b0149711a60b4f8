package imapd

import (
	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
)

// create is CREATE (RFC 9051, 6.3.4; USE: RFC 6154, 3).
func (c *conn) create(r *request) error {
	a, err := imapwire.ParseCreate(r.args)
	if err != nil {
		return err
	}
	// RFC 9051, 6.3.4: a delimiter at the end only says that children are
	// to come.
	name := trimDelimiter(a.Mailbox)
	use := ""
	switch len(a.SpecialUse) {
	case 0:
	case 1:
		use = a.SpecialUse[0]
	default:
		return no(codeUseAttr, "a mailbox has one special use here")
	}
	if name == inbox {
		return no(imap.ResponseCodeAlreadyExists, "INBOX is always there")
	}
	if err := c.account.Create(name, use); err != nil {
		return err
	}
	if box, err := c.account.Status(name); err == nil {
		r.code = "MAILBOXID (" + box.MailboxID + ")" // RFC 8474, 4.1
	}
	return nil
}

// inbox is the one name that is compared without regard to case.
const inbox = "INBOX"

func trimDelimiter(name string) string {
	if n := len(name); n > 1 && name[n-1] == delimiter {
		return name[:n-1]
	}
	return name
}

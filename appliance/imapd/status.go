package imapd

import (
	"slices"
	"strconv"

	"letterbox/appliance/imapwire"
)

// status is STATUS (RFC 9051, 6.3.11; RFC 7162, 3.1.7; RFC 7889; RFC 8438;
// RFC 8474, 4.3).
func (c *conn) status(r *request) error {
	a, err := imapwire.ParseStatus(r.args)
	if err != nil {
		return err
	}
	return c.sayStatus(a.Mailbox, a.Items)
}

// sayStatus writes one STATUS response.
func (c *conn) sayStatus(name string, items []imapwire.StatusItem) error {
	s, err := c.account.Status(name)
	if err != nil {
		return err
	}
	if slices.Contains(items, imapwire.StatusHighestModSeq) {
		c.enableCondStore()
	}
	c.out.begin()
	b := imapwire.AppendMailbox(append(c.out.buf, "* STATUS "...), name, c.utf8())
	b = append(b, " ("...)
	for i, item := range items {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, item.String()...), ' ')
		switch item {
		case imapwire.StatusMessages:
			b = strconv.AppendInt(b, int64(s.Messages), 10)
		case imapwire.StatusUIDNext:
			b = strconv.AppendUint(b, uint64(s.UIDNext), 10)
		case imapwire.StatusUIDValidity:
			b = strconv.AppendUint(b, uint64(s.UIDValidity), 10)
		case imapwire.StatusUnseen:
			b = strconv.AppendInt(b, int64(s.Unseen), 10)
		case imapwire.StatusDeleted:
			b = strconv.AppendInt(b, int64(s.Deleted), 10)
		case imapwire.StatusSize:
			b = strconv.AppendInt(b, s.Size, 10)
		case imapwire.StatusHighestModSeq:
			b = strconv.AppendUint(b, uint64(s.HighestModSeq), 10)
		case imapwire.StatusAppendLimit:
			b = strconv.AppendInt(b, c.server.o.AppendLimit, 10)
		case imapwire.StatusMailboxID:
			b = append(append(append(b, '('), s.MailboxID...), ')')
		default: // RECENT: see describe
			b = append(b, '0')
		}
	}
	c.out.buf = append(b, ")\r\n"...)
	c.out.done()
	return nil
}

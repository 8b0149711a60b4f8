package imapd

import (
	"errors"
	"strconv"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// selectMailbox is SELECT (RFC 9051, 6.3.2).
func (c *conn) selectMailbox(r *request) error { return c.open(r, false) }

// examine is EXAMINE (RFC 9051, 6.3.3).
func (c *conn) examine(r *request) error { return c.open(r, true) }

func (c *conn) open(r *request, readOnly bool) error {
	a, err := imapwire.ParseSelect(r.args)
	if err != nil {
		return err
	}
	// RFC 9051, 6.3.2: the mailbox selected before is closed, whether this
	// succeeds or not, without expunging.
	if c.view != nil {
		c.deselect()
		c.out.line("* OK [CLOSED] the mailbox selected before is closed")
	}
	box, err := c.account.Open(a.Mailbox)
	if err != nil {
		return err
	}
	if a.CondStore {
		c.enableCondStore()
	}
	v := &view{box: box, readOnly: readOnly}
	v.load()
	status := box.Status()
	if status.UIDValidity == 0 { // somebody deleted it just now
		c.release(box)
		return store.ErrNoMailbox
	}
	c.view, c.state = v, selected
	c.describe(status)
	r.code, r.text = "READ-WRITE", a.Mailbox+" selected"
	if readOnly {
		r.code, r.text = "READ-ONLY", a.Mailbox+" examined"
	}
	return nil
}

// load fills a new view: the messages and the mod-sequence that belongs to
// them.
func (v *view) load() {
	// A change between the two calls is found again by the next Changes,
	// which may only tell too much.
	v.modSeq = v.box.Status().HighestModSeq
	v.uids = v.box.UIDs(nil)
	v.keywords, v.full = v.box.Keywords(), v.box.KeywordsFull()
}

// describe writes the untagged answers to SELECT.
func (c *conn) describe(s store.Status) {
	v := c.view
	c.sayFlagList()
	c.sayNumber(len(v.uids), " EXISTS")
	if c.enabled&featIMAP4rev2 == 0 {
		// RFC 3501, 7.3.2. No message is ever recent here: RFC 9051 has done
		// away with it, and it would cost a write for each session.
		c.sayNumber(0, " RECENT")
		if i, ok := v.index(s.FirstUnseen); ok && s.FirstUnseen != 0 {
			c.sayCode("UNSEEN ", uint64(i+1), "the first unread message")
		}
	}
	c.sayCode("UIDVALIDITY ", uint64(s.UIDValidity), "the UIDs are valid")
	c.sayCode("UIDNEXT ", uint64(s.UIDNext), "the next UID")
	c.sayHighestModSeq()
	c.out.line("* OK [MAILBOXID (", s.MailboxID, ")] the mailbox's identity") // RFC 8474, 4.2
	if c.enabled&featIMAP4rev2 != 0 {
		c.out.begin()
		b := append(c.out.buf, `* LIST () "/" `...)
		c.out.buf = imapwire.AppendMailbox(b, v.box.Name(), c.utf8())
		c.out.line()
	}
}

// sayHighestModSeq tells up to where the view is complete (RFC 7162, 3.1.2.1).
func (c *conn) sayHighestModSeq() {
	c.sayCode("HIGHESTMODSEQ ", uint64(c.view.modSeq), "the latest change")
}

// sayCode writes an untagged OK with a number in its response code.
func (c *conn) sayCode(code string, n uint64, text string) {
	c.out.begin()
	b := append(c.out.buf, "* OK ["...)
	b = append(b, code...)
	b = strconv.AppendUint(b, n, 10)
	b = append(b, "] "...)
	b = append(b, text...)
	c.out.buf = append(b, '\r', '\n')
	c.out.done()
}

// deselect leaves the selected mailbox, if there is one.
func (c *conn) deselect() {
	if c.view == nil {
		return
	}
	if err := c.view.box.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
		c.log.Error("closing a mailbox", "person", c.person, "mailbox", c.view.box.Name(), "err", err)
	}
	c.view, c.state = nil, authenticated
}

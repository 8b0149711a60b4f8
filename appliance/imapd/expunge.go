package imapd

import (
	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// errReadOnly answers what would change a mailbox that was opened by EXAMINE.
var errReadOnly = no(imap.ResponseCodeNoPerm, "the mailbox was opened to be looked at only")

// expunge is EXPUNGE (RFC 9051, 6.4.3).
func (c *conn) expunge(r *request) error {
	if err := imapwire.ParseNone(r.args); err != nil {
		return err
	}
	return c.expungeAndTell(r, wholeView(c.view))
}

// uidExpunge is UID EXPUNGE (RFC 9051, 6.4.9).
func (c *conn) uidExpunge(r *request) error {
	a, err := imapwire.ParseUIDExpunge(r.args)
	if err != nil {
		return err
	}
	spans, err := c.spans(a.Set, true)
	if err != nil {
		return err
	}
	return c.expungeAndTell(r, spans)
}

func (c *conn) expungeAndTell(r *request, spans []imapwire.Span) error {
	if c.view.readOnly {
		return errReadOnly
	}
	if err := c.expungeDeleted(spans); err != nil {
		return err
	}
	if err := c.announce(true); err != nil {
		return err
	}
	if c.enabled&featCondStore != 0 {
		// RFC 7162, 3.1.2.1 wants no more than that it is never behind.
		r.code = "HIGHESTMODSEQ " + formatModSeq(c.view.modSeq)
	}
	return nil
}

// wholeView is every message that the client knows.
func wholeView(v *view) []imapwire.Span {
	if len(v.uids) == 0 {
		return nil
	}
	return []imapwire.Span{{Lo: 0, Hi: len(v.uids)}}
}

// expungeDeleted removes the messages in spans that are marked \Deleted. Those
// that the client does not know yet stay, whatever flags they have.
func (c *conn) expungeDeleted(spans []imapwire.Span) error {
	v := c.view
	var doomed []store.UID
	err := batches(spans, batchSize, func(lo, hi int) error {
		c.scratch.metas = v.box.Lookup(c.scratch.metas[:0], v.uids[lo:hi])
		for _, m := range c.scratch.metas {
			if m.Flags.Has(store.Deleted) {
				doomed = append(doomed, m.UID)
			}
		}
		return nil
	})
	if err != nil || len(doomed) == 0 {
		return err
	}
	return v.box.Expunge(doomed)
}

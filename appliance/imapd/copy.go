package imapd

import (
	"errors"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// copy is COPY (RFC 9051, 6.4.7).
func (c *conn) copy(r *request) error { return c.copyMessages(r, false) }

// uidCopy is UID COPY (RFC 9051, 6.4.9).
func (c *conn) uidCopy(r *request) error { return c.copyMessages(r, true) }

func (c *conn) copyMessages(r *request, byUID bool) error {
	a, err := imapwire.ParseCopy(r.args)
	if err != nil {
		return err
	}
	uids, err := c.source(a.Set, byUID)
	if err != nil {
		return err
	}
	to, err := c.target(a.Mailbox)
	if err != nil {
		return err
	}
	defer c.release(to)
	if len(uids) == 0 {
		return nil // RFC 9051, 6.4.9: UIDs that do not exist are no fault
	}
	pairs, err := c.view.box.Copy(uids, to)
	if err != nil {
		return err
	}
	r.code = copyUIDCode(to, pairs)
	return nil
}

// source returns the UIDs of a set, of messages that are still there. A
// sequence number of a message that is gone is a fault, so that COPY is all
// or nothing.
func (c *conn) source(set imapwire.NumSet, byUID bool) ([]store.UID, error) {
	spans, err := c.spans(set, byUID)
	if err != nil {
		return nil, err
	}
	uids := c.view.uidsOf(spans)
	kept := uids[:0]
	for len(uids) > 0 {
		n := min(batchSize, len(uids))
		c.scratch.metas = c.view.box.Lookup(c.scratch.metas[:0], uids[:n])
		if len(c.scratch.metas) < n && !byUID {
			return nil, no(codeExpungeIssued, "some of the messages are no longer there")
		}
		uids = uids[n:]
		for _, m := range c.scratch.metas {
			kept = append(kept, m.UID)
		}
	}
	return kept, nil
}

// target opens the mailbox that messages go to. The caller releases it.
func (c *conn) target(name string) (*store.Mailbox, error) {
	to, err := c.account.OpenTarget(name)
	if errors.Is(err, store.ErrNoMailbox) {
		// RFC 9051, 6.3.12 and 6.4.7: the client may make it and try again.
		return nil, no(imap.ResponseCodeTryCreate, "there is no such mailbox; it can be created")
	}
	return to, err
}

func (c *conn) release(box *store.Mailbox) {
	if err := box.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
		c.log.Error("closing a mailbox", "person", c.person, "mailbox", box.Name(), "err", err)
	}
}

// copyUIDCode is the response code COPYUID (RFC 9051, 7.1); "" if there is
// nothing to tell.
func copyUIDCode(to *store.Mailbox, pairs []store.CopyUID) string {
	validity := to.UIDValidity()
	if len(pairs) == 0 || validity == 0 { // 0: somebody deleted the mailbox since
		return ""
	}
	src, dst := make([]store.UID, len(pairs)), make([]store.UID, len(pairs))
	for i, p := range pairs {
		src[i], dst[i] = p.Src, p.Dst
	}
	b := append([]byte("COPYUID "), strconv.FormatUint(uint64(validity), 10)...)
	b = imapwire.AppendNumSet(append(b, ' '), src)
	b = imapwire.AppendNumSet(append(b, ' '), dst)
	return string(b)
}

package imapd

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// announce pulls what happened in the selected mailbox since the last time
// and tells the client: EXPUNGE (if sequence numbers may move), EXISTS, FLAGS
// for new keywords, FETCH for changed flags.
func (c *conn) announce(moves bool) error { return c.pull(moves, nil) }

// pull is announce without what own holds, in ascending order: changes by this
// session that the client needs not be told of, or is told of otherwise.
func (c *conn) pull(moves bool, own []store.Meta) error {
	v := c.view
	if v == nil {
		return nil
	}
	var changes store.Changes
	if err := v.pullChanges(&changes); err != nil {
		return err
	}
	if moves {
		c.sayExpunged()
	}
	if v.lost {
		return nil
	}
	known := c.sayExists(changes.Changed)
	if len(changes.Changed) == 0 && v.full == v.box.KeywordsFull() {
		return nil
	}
	c.sayKeywords()
	for i := range known {
		k, found := slices.BinarySearchFunc(own, known[i].UID, compareUID)
		if !found || own[k].ModSeq < known[i].ModSeq {
			c.sayFlags(&known[i])
		}
	}
	return nil
}

// pullChanges asks the store what happened since the last time. When the
// mailbox itself has been deleted, its messages are gone one and all.
func (v *view) pullChanges(changes *store.Changes) (err error) {
	if v.lost {
		return nil
	}
	*changes, err = v.box.Changes(v.modSeq)
	if errors.Is(err, store.ErrNoMailbox) {
		// RFC 2180, 3.3: the client keeps an empty mailbox.
		v.lost, v.gone = true, slices.Clone(v.uids)
		return nil
	}
	if err != nil {
		return err
	}
	if changes.Incomplete && v.modSeq < changes.HighestModSeq {
		// The mailbox does not remember what went: see what is left.
		changes.Vanished = subtract(slices.Clone(v.uids), v.box.UIDs(nil))
	}
	v.modSeq = changes.HighestModSeq
	v.noteGone(changes.Vanished)
	return nil
}

// noteGone remembers which messages of the view have vanished.
func (v *view) noteGone(vanished []store.UID) {
	n := len(v.gone)
	for _, uid := range vanished {
		if _, ok := v.index(uid); ok {
			v.gone = append(v.gone, uid)
		}
	}
	if n > 0 && len(v.gone) > n {
		slices.Sort(v.gone)
		v.gone = slices.Compact(v.gone)
	}
}

// sayExpunged tells which messages are gone, the last first, so that no
// number told has moved by one told before.
func (c *conn) sayExpunged() {
	v := c.view
	if len(v.gone) == 0 {
		return
	}
	for _, uid := range slices.Backward(v.gone) {
		if i, ok := v.index(uid); ok {
			c.sayNumber(i+1, " EXPUNGE")
		}
	}
	v.remove(v.gone)
	v.gone = nil
}

func compareUID(m store.Meta, uid store.UID) int { return cmp.Compare(m.UID, uid) }

// sayNumber writes "* n what".
func (c *conn) sayNumber(n int, what string) {
	c.out.begin()
	b := append(c.out.buf, "* "...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, what...)
	c.out.buf = append(b, '\r', '\n')
	c.out.done()
}

// sayExists takes new messages, the last ones of changed, into the view, tells
// EXISTS if there were any, and returns the changed messages that the
// client knew before.
func (c *conn) sayExists(changed []store.Meta) (known []store.Meta) {
	v := c.view
	last := v.lastUID()
	first, _ := slices.BinarySearchFunc(changed, last+1, compareUID)
	for i := range changed[first:] {
		v.uids = append(v.uids, changed[first+i].UID)
	}
	if first < len(changed) {
		c.sayNumber(len(v.uids), " EXISTS")
	}
	return changed[:first]
}

// sayKeywords tells FLAGS and PERMANENTFLAGS if there are keywords that the
// client has not been told of. RFC 9051, 7.3.5.
func (c *conn) sayKeywords() {
	v := c.view
	keywords, full := v.box.Keywords(), v.box.KeywordsFull()
	if len(keywords) == len(v.keywords) && full == v.full {
		return
	}
	v.keywords, v.full = keywords, full
	c.sayFlagList()
}

// sayFlagList writes FLAGS and PERMANENTFLAGS.
func (c *conn) sayFlagList() {
	v := c.view
	names := append(slices.Clone(store.SystemFlags[:]), v.keywords...)
	c.out.begin()
	b := append(c.out.buf, "* FLAGS "...)
	b = imapwire.AppendFlags(b, names)
	b = append(b, "\r\n* OK [PERMANENTFLAGS "...)
	switch {
	case v.readOnly:
		b = append(b, "()] nothing can be changed here\r\n"...)
	case v.full:
		b = imapwire.AppendFlags(b, names)
		b = append(b, "] no more keywords can be made\r\n"...)
	default:
		b = imapwire.AppendFlags(b, append(names, `\*`))
		b = append(b, "] these flags are kept\r\n"...)
	}
	c.out.buf = b
	c.out.done()
}

// sayFlags tells the flags of a message unasked.
func (c *conn) sayFlags(m *store.Meta) {
	i, ok := c.view.index(m.UID)
	if !ok {
		return
	}
	c.out.begin()
	b := appendFetchHead(c.out.buf, i+1)
	b = append(b, "UID "...)
	b = strconv.AppendUint(b, uint64(m.UID), 10)
	b = append(b, ' ')
	if c.enabled&featCondStore != 0 {
		b = appendModSeq(b, m.ModSeq)
		b = append(b, ' ')
	}
	b = c.view.appendFlags(b, m.Flags)
	c.out.buf = append(b, ")\r\n"...)
	c.out.done()
}

// appendFetchHead appends "* n FETCH (".
func appendFetchHead(b []byte, n int) []byte {
	b = append(b, "* "...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, " FETCH ("...)
}

// appendModSeq appends the data item MODSEQ (RFC 7162, 3.1.5).
func appendModSeq(b []byte, m store.ModSeq) []byte {
	b = append(b, "MODSEQ ("...)
	b = strconv.AppendUint(b, uint64(m), 10)
	return append(b, ')')
}

func formatModSeq(m store.ModSeq) string { return strconv.FormatUint(uint64(m), 10) }

// appendFlags appends the data item FLAGS. Keywords that have not been
// announced are left out; sayKeywords goes before.
func (v *view) appendFlags(b []byte, f store.Flags) []byte {
	b = append(b, "FLAGS ("...)
	sep := false
	for bit := range store.SystemFlags {
		if f&(1<<bit) != 0 {
			b = appendFlag(b, store.SystemFlags[bit], sep)
			sep = true
		}
	}
	if f>>store.KeywordBit != 0 {
		for i, name := range v.keywords {
			if f&store.Keyword(i) != 0 {
				b = appendFlag(b, name, sep)
				sep = true
			}
		}
	}
	return append(b, ')')
}

func appendFlag(b []byte, name string, sep bool) []byte {
	if sep {
		b = append(b, ' ')
	}
	return append(b, name...)
}

func appendUID(b []byte, uid store.UID) []byte { return strconv.AppendUint(b, uint64(uid), 10) }

package imapd

import (
	"slices"
	"strconv"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// batchSize is how many messages are looked up at a time.
const batchSize = 256

// A view is what a session has told its client of the selected mailbox. It
// differs from the mailbox by what the client has not been told yet, and
// costs 4 octets a message. It belongs to the connection's goroutine.
type view struct {
	box      *store.Mailbox
	readOnly bool
	uids     []store.UID  // ascending; the message at index i has sequence number i+1
	modSeq   store.ModSeq // changes up to here have been pulled
	gone     []store.UID  // ascending; vanished from the mailbox, still in uids
	lost     bool         // the mailbox has been deleted
	keywords []string     // of the mailbox, all announced by FLAGS
	full     bool         // PERMANENTFLAGS has been told without \*
	saved    []store.UID  // ascending; the result that "$" stands for (RFC 9051, 6.4.4.1)
}

// index returns the index of uid, and whether it is in the view.
func (v *view) index(uid store.UID) (int, bool) { return slices.BinarySearch(v.uids, uid) }

// lastUID is the highest UID of the view, 0 if it is empty.
func (v *view) lastUID() store.UID {
	if len(v.uids) == 0 {
		return 0
	}
	return v.uids[len(v.uids)-1]
}

// spans returns where in the view the messages of a set lie. Sequence numbers
// beyond the view are an error (RFC 9051, 9, seq-number); UIDs that do not
// exist are not (6.4.9).
func (c *conn) spans(set imapwire.NumSet, byUID bool) ([]imapwire.Span, error) {
	v := c.view
	dst := c.scratch.spans[:0]
	switch {
	case set.Saved:
		dst = v.savedSpans(dst)
	case byUID:
		dst = imapwire.UIDSpans(dst, set, v.uids)
	default:
		last, star := set.Max()
		if int64(last) > int64(len(v.uids)) || star && len(v.uids) == 0 {
			return nil, bad("there is no message with such a number: the mailbox has " + strconv.Itoa(len(v.uids)))
		}
		dst = set.SeqSpans(dst, len(v.uids))
	}
	c.scratch.spans = dst
	return dst, nil
}

// savedSpans are the spans of "$".
func (v *view) savedSpans(dst []imapwire.Span) []imapwire.Span {
	for _, uid := range v.saved {
		i, ok := v.index(uid)
		if !ok {
			continue
		}
		if n := len(dst); n > 0 && dst[n-1].Hi == i {
			dst[n-1].Hi++
		} else {
			dst = append(dst, imapwire.Span{Lo: i, Hi: i + 1})
		}
	}
	return dst
}

// storeBatch is how many messages one change of flags takes. Each change costs a
// sync of the folder, which is nothing beside 4,096 renames, and memory for
// what the store tells of each message, which is bounded so.
const storeBatch = 16 * batchSize

// batches calls f with at most size neighbouring messages at a time: from
// index lo up to, not including, hi.
func batches(spans []imapwire.Span, size int, f func(lo, hi int) error) error {
	for _, s := range spans {
		for lo := s.Lo; lo < s.Hi; lo += size {
			if err := f(lo, min(lo+size, s.Hi)); err != nil {
				return err
			}
		}
	}
	return nil
}

// uidsOf returns the UIDs of the messages in spans: a copy.
func (v *view) uidsOf(spans []imapwire.Span) []store.UID {
	n := 0
	for _, s := range spans {
		n += s.Hi - s.Lo
	}
	list := make([]store.UID, 0, n)
	for _, s := range spans {
		list = append(list, v.uids[s.Lo:s.Hi]...)
	}
	return list
}

// remove takes the messages of gone, which are in the view, out of it.
func (v *view) remove(gone []store.UID) {
	v.uids = subtract(v.uids, gone)
	v.saved = subtract(v.saved, gone)
}

// subtract removes b from a in place. Both are ascending.
func subtract(a, b []store.UID) []store.UID {
	if len(b) == 0 {
		return a
	}
	kept := a[:0]
	for _, uid := range a {
		for len(b) > 0 && b[0] < uid {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != uid {
			kept = append(kept, uid)
		}
	}
	return kept
}

// scratch is memory that commands use again, for what has been taken out of a
// response by the next command.
type scratch struct {
	metas []store.Meta
	spans []imapwire.Span
}

// shrink gives back what is too large to be kept while idle.
func (s *scratch) shrink() {
	if cap(s.metas) > 0 {
		s.metas = nil
	}
	if cap(s.spans) > 64 {
		s.spans = nil
	}
}

package imapwire

import "slices"

// StatusItem is one thing that STATUS tells of a mailbox.
type StatusItem uint8

// The status items of RFC 9051, 6.3.11, RFC 7162, RFC 7889, RFC 8438 and RFC 8474.
const (
	StatusMessages StatusItem = iota + 1
	StatusRecent              // RFC 3501
	StatusUIDNext
	StatusUIDValidity
	StatusUnseen
	StatusDeleted
	StatusSize
	StatusHighestModSeq
	StatusAppendLimit
	StatusMailboxID
)

// String returns the item's name on the wire.
func (i StatusItem) String() string {
	switch i {
	case StatusMessages:
		return "MESSAGES"
	case StatusRecent:
		return "RECENT"
	case StatusUIDNext:
		return "UIDNEXT"
	case StatusUIDValidity:
		return "UIDVALIDITY"
	case StatusUnseen:
		return "UNSEEN"
	case StatusDeleted:
		return "DELETED"
	case StatusSize:
		return "SIZE"
	case StatusHighestModSeq:
		return "HIGHESTMODSEQ"
	case StatusAppendLimit:
		return "APPENDLIMIT"
	case StatusMailboxID:
		return "MAILBOXID"
	}
	return ""
}

// StatusArgs are the arguments of STATUS.
type StatusArgs struct {
	Mailbox string
	Items   []StatusItem // at least one, without duplicates, in the client's order
}

// ParseStatus reads the arguments of STATUS.
func ParseStatus(d *Decoder) (StatusArgs, error) {
	var a StatusArgs
	d.space("a mailbox name")
	a.Mailbox = d.mailbox("the mailbox name")
	d.space("a list of status items")
	a.Items = d.statusItems()
	return a, d.end()
}

// statusItems reads a list of status items, of STATUS or of LIST RETURN (STATUS ...).
func (d *Decoder) statusItems() []StatusItem {
	var items []StatusItem
	n := d.list("the list of status items", maxStatusItems, func() {
		name := d.word("a status item")
		for i := StatusMessages; i <= StatusMailboxID; i++ {
			if i.String() == name {
				if !slices.Contains(items, i) {
					items = append(items, i)
				}
				return
			}
		}
		d.fail("there is no status item %s", name)
	})
	if n == 0 {
		d.fail("the list of status items is empty")
	}
	return items
}

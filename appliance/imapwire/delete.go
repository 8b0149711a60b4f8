package imapwire

// DeleteArgs are the arguments of DELETE (RFC 9051, 6.3.5).
type DeleteArgs struct {
	Mailbox string
}

// ParseDelete reads the arguments of DELETE.
func ParseDelete(d *Decoder) (DeleteArgs, error) {
	var a DeleteArgs
	d.space("a mailbox name")
	a.Mailbox = d.mailbox("the mailbox name")
	return a, d.end()
}

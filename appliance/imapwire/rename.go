package imapwire

// RenameArgs are the arguments of RENAME (RFC 9051, 6.3.6).
type RenameArgs struct {
	From, To string
}

// ParseRename reads the arguments of RENAME.
func ParseRename(d *Decoder) (RenameArgs, error) {
	var a RenameArgs
	d.space("a mailbox name")
	a.From = d.mailbox("the mailbox name")
	d.space("the new name")
	a.To = d.mailbox("the new name")
	return a, d.end()
}

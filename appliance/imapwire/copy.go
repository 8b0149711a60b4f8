package imapwire

// CopyArgs are the arguments of COPY and UID COPY (RFC 9051, 6.4.7).
type CopyArgs struct {
	Set     NumSet
	Mailbox string
}

// ParseCopy reads the arguments of COPY and UID COPY.
func ParseCopy(d *Decoder) (CopyArgs, error) {
	var a CopyArgs
	d.space("a set of messages")
	a.Set = d.set()
	d.space("a mailbox name")
	a.Mailbox = d.mailbox("the mailbox name")
	return a, d.end()
}

package imapwire

// LsubArgs are the arguments of LSUB (RFC 3501, 6.3.9).
type LsubArgs struct {
	Reference, Pattern string
}

// ParseLsub reads the arguments of LSUB.
func ParseLsub(d *Decoder) (LsubArgs, error) {
	var a LsubArgs
	d.space("a reference name")
	a.Reference = d.listPattern("the reference name")
	d.space("a mailbox pattern")
	a.Pattern = d.listPattern("the mailbox pattern")
	return a, d.end()
}

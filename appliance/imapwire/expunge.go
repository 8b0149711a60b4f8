package imapwire

// ExpungeArgs are the arguments of UID EXPUNGE (RFC 9051, 6.4.9). EXPUNGE has none.
type ExpungeArgs struct {
	Set NumSet
}

// ParseUIDExpunge reads the arguments of UID EXPUNGE.
func ParseUIDExpunge(d *Decoder) (ExpungeArgs, error) {
	var a ExpungeArgs
	d.space("a set of UIDs")
	a.Set = d.set()
	return a, d.end()
}

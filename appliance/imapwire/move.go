package imapwire

// MoveArgs are the arguments of MOVE and UID MOVE (RFC 9051, 6.4.8).
type MoveArgs struct {
	Set     NumSet
	Mailbox string
}

// ParseMove reads the arguments of MOVE and UID MOVE.
func ParseMove(d *Decoder) (MoveArgs, error) {
	a, err := ParseCopy(d)
	return MoveArgs(a), err
}

package imapwire

// SubscribeArgs are the arguments of SUBSCRIBE and UNSUBSCRIBE (RFC 9051, 6.3.7 and 6.3.8).
type SubscribeArgs struct {
	Mailbox string
}

// ParseSubscribe reads the arguments of SUBSCRIBE and UNSUBSCRIBE.
func ParseSubscribe(d *Decoder) (SubscribeArgs, error) {
	var a SubscribeArgs
	d.space("a mailbox name")
	a.Mailbox = d.mailbox("the mailbox name")
	return a, d.end()
}

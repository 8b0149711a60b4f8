package imapwire

// LoginArgs are the arguments of LOGIN (RFC 9051, 6.2.3). They come out as the bytes that were sent: an old client's
// password may be Latin-1.
type LoginArgs struct {
	User, Password string
}

// ParseLogin reads the arguments of LOGIN.
func ParseLogin(d *Decoder) (LoginArgs, error) {
	var a LoginArgs
	d.secret = true
	d.space("a user name")
	a.User = d.astring("the user name")
	d.space("a password")
	a.Password = d.astring("the password")
	return a, d.end()
}

package imapwire

// SelectArgs are the arguments of SELECT and EXAMINE (RFC 9051, 6.3.2).
type SelectArgs struct {
	Mailbox   string
	CondStore bool // (CONDSTORE), RFC 7162, 3.1.8
}

// ParseSelect reads the arguments of SELECT and EXAMINE.
func ParseSelect(d *Decoder) (SelectArgs, error) {
	var a SelectArgs
	d.space("a mailbox name")
	a.Mailbox = d.mailbox("the mailbox name")
	if d.more() {
		// RFC 4466, 2.1: select-params.
		d.options("the SELECT parameters", a.parameter)
	}
	return a, d.end()
}

// parameter reads the rest of the parameter name if there is one of that name.
func (a *SelectArgs) parameter(name string) bool {
	switch name {
	case "CONDSTORE":
		a.CondStore = true
	default:
		return false
	}
	return true
}

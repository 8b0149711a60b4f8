package imapwire

// IDParam is something that a client tells of itself. A value of NIL comes out as "".
type IDParam struct {
	Name, Value string
}

// IDArgs are the arguments of ID (RFC 2971): none for NIL. They are the client's words and may be of any length
// that a command can have: cut them before logging.
type IDArgs struct {
	Params []IDParam
}

// ParseID reads the arguments of ID.
func ParseID(d *Decoder) (IDArgs, error) {
	var a IDArgs
	d.space("NIL or a list")
	if d.acceptWord("NIL") {
		return a, d.end()
	}
	d.list("the ID list", maxIDParams, func() {
		var p IDParam
		p.Name = d.astring("the name of an ID field")
		d.space("its value")
		if !d.acceptWord("NIL") {
			p.Value = d.astring("the value of an ID field")
		}
		a.Params = append(a.Params, p)
	})
	return a, d.end()
}

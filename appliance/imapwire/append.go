package imapwire

import "time"

// AppendArgs are the arguments of APPEND (RFC 9051, 6.3.12) up to and including the announcement of the message.
type AppendArgs struct {
	Mailbox string
	Flags   []string  // canonical, without duplicates
	Date    time.Time // zero if none was given
	UTF8    bool      // UTF8 (~{n}: a parenthesis closes behind the message (RFC 6855, 4)
	Message Literal   // Binary for literal8 (RFC 3516, 4.4)
}

// ParseAppend reads the arguments of APPEND. Its input ends with the announcement of the message, with or without the
// line end; Collector.MessageNext tells when that has come.
func ParseAppend(d *Decoder) (AppendArgs, error) {
	var a AppendArgs
	d.space("a mailbox name")
	a.Mailbox = d.mailbox("the mailbox name")
	d.space("flags, a date or the message")
	if d.peek() == '(' {
		a.Flags = d.flagList()
		d.space("a date or the message")
	}
	if d.peek() == '"' {
		a.Date = d.dateTime()
		d.space("the message")
	}
	a.message(d)
	return a, d.end()
}

// message reads the announcement of the message.
func (a *AppendArgs) message(d *Decoder) {
	if d.acceptWord("UTF8") {
		a.UTF8 = true
		d.skipSpaces()
		if !d.accept('(') {
			d.expected("a parenthesis after UTF8")
		}
		d.skipSpaces()
	}
	rest := d.b[d.pos:]
	l, ok := LiteralTail(rest)
	if !ok || l.Len != len(trimLineEnd(rest)) {
		d.expected("the message as a literal")
		return
	}
	// RFC 6855, 4: append-data =/ "UTF8" SP "(" literal8 ")"
	if a.UTF8 && !l.Binary {
		d.fail("the message in UTF8 (...) must be a binary literal, ~{%d}", l.Size)
		return
	}
	a.Message = l
	d.pos += l.Len
}

// ParseAppendEnd reads what follows the octets of the message up to the line end: nothing, or the parenthesis that
// closes UTF8 (...).
func ParseAppendEnd(d *Decoder, a AppendArgs) error {
	if a.UTF8 {
		d.skipSpaces()
		if !d.accept(')') {
			d.expected("a parenthesis that closes UTF8")
		}
	}
	return d.end()
}

package imapwire

import (
	"bytes"
	"unicode/utf8"
)

// astring reads an atom (with "]"), a quoted string or a literal. 8-bit characters may stand in both kinds of
// string, whether UTF8=ACCEPT is on or not, as in Dovecot; they come out as they are.
func (d *Decoder) astring(what string) string { return d.stringOr(what, isAStringChar) }

// stringOr reads a quoted string, a literal, or bytes for which bare holds.
func (d *Decoder) stringOr(what string, bare func(byte) bool) string {
	switch d.peek() {
	case '"':
		return d.quoted(what)
	case '{':
		return d.literal(what)
	case '~':
		if d.pos+1 < len(d.b) && d.b[d.pos+1] == '{' {
			// RFC 3516, 4.4: literal8 stands where the grammar names it, and nowhere else.
			d.fail("a binary literal (~{}) is not allowed for %s", what)
			return ""
		}
	}
	return string(d.while(what, bare))
}

// text reads an astring that must be valid UTF-8.
func (d *Decoder) text(what string) string {
	s := d.astring(what)
	if !utf8.ValidString(s) {
		d.fail("%s is not valid UTF-8", what)
		return ""
	}
	return s
}

// quoted reads a string in double quotes (RFC 9051, 4.3).
func (d *Decoder) quoted(what string) string {
	if !d.accept('"') {
		d.expected(what + " in quotes")
		return ""
	}
	start := d.pos
	if n := bytes.IndexAny(d.b[start:], "\"\\\r\n\x00"); n >= 0 && d.b[start+n] == '"' {
		d.pos = start + n + 1
		return string(d.b[start : start+n])
	}
	var s []byte
	for d.pos < len(d.b) {
		c := d.b[d.pos]
		d.pos++
		switch c {
		case '"':
			return string(s)
		case 0:
			d.fail("%s holds a NUL", what)
			return ""
		case '\r', '\n':
			d.fail("the quotes of %s are not closed", what)
			return ""
		case '\\':
			// RFC 9051, 9: quoted-specials. Anything else behind a backslash is a client that forgot to
			// double it; guessing which it meant could open the wrong mailbox.
			c = d.peek()
			if c != '"' && c != '\\' {
				d.fail("a backslash in %s must stand before a quote or another backslash", what)
				return ""
			}
			d.pos++
		}
		s = append(s, c)
	}
	d.fail("the quotes of %s are not closed", what)
	return ""
}

// literal reads a literal whose octets stand inline (RFC 9051, 4.3; RFC 7888 with "+").
func (d *Decoder) literal(what string) string {
	line := d.b[d.pos:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
	}
	l, ok := LiteralTail(line)
	if !ok || l.Len != len(trimLineEnd(line)) {
		d.expected("a literal ({number} at the end of the line) for " + what)
		return ""
	}
	d.pos += len(line)
	if l.Size > int64(len(d.b)-d.pos) {
		d.fail("the literal of %s is cut short", what)
		return ""
	}
	s := d.b[d.pos : d.pos+int(l.Size)]
	// RFC 9051, 4.3.1: NUL only in literal8.
	if bytes.IndexByte(s, 0) >= 0 {
		d.fail("%s holds a NUL", what)
		return ""
	}
	d.pos += len(s)
	return string(s)
}

package imapwire

// ParseTag splits a command, with or without its line end: "a uid fetch 1 flags" is the tag "a", the name "UID FETCH" and the
// rest " 1 flags", for NewDecoder. It may be asked already when only the first line of a command has come. The
// error is a *SyntaxError with the tag in it if there was one. A name is not checked for being known.
func ParseTag(cmd []byte) (tag, name string, rest []byte, err error) {
	d := NewDecoder(cmd, DecoderOptions{})
	// RFC 9051, 9: tag = 1*<any ASTRING-CHAR except "+">
	tag = string(d.while("a tag", func(c byte) bool { return isAStringChar(c) && c != '+' }))
	if d.err == nil && d.peek() == '+' {
		d.expected("a tag without a plus sign")
	}
	if d.err != nil {
		return "", "", nil, d.err
	}
	d.o.Tag = tag
	d.space("a command")
	name = d.commandName()
	if name == "UID" {
		d.space("a command after UID")
		name += " " + d.commandName()
	}
	if d.err != nil {
		return tag, "", nil, d.err
	}
	return tag, name, d.b[d.pos:], nil
}

// commandName reads one word of a command's name.
func (d *Decoder) commandName() string {
	name := d.atom("a command")
	if len(name) > maxCommandName {
		d.fail("there is no command %s...", name[:maxCommandName])
		return ""
	}
	if c := d.peek(); c != 0 && c != ' ' && c != '\r' && c != '\n' {
		d.expected("a space after " + upper([]byte(name)))
	}
	return upper([]byte(name))
}

// ParseNone reads the arguments of a command that has none: CAPABILITY, NOOP, LOGOUT, STARTTLS, CHECK, CLOSE, EXPUNGE, IDLE,
// NAMESPACE, UNSELECT.
func ParseNone(d *Decoder) error { return d.end() }

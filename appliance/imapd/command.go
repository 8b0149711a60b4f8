package imapd

import (
	"errors"
	"io"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// A command is a line of the command table.
type command struct {
	in state // where it may be given
	// still: sequence numbers must not move while it runs, so that no EXPUNGE
	// is sent (RFC 9051, 7.5.1).
	still bool
	run   func(*conn, *request) error
}

// commandTable returns all commands by name. A command is one file and one
// line here.
func commandTable() map[string]command {
	return map[string]command{
		"CAPABILITY": {in: anyState, run: (*conn).capability},
		"NOOP":       {in: anyState, run: (*conn).noop},
		"LOGOUT":     {in: anyState, run: (*conn).logout},
		"ID":         {in: anyState, run: (*conn).id},

		"STARTTLS":     {in: notAuthenticated, run: (*conn).startTLS},
		"AUTHENTICATE": {in: notAuthenticated, run: (*conn).authenticate},
		"LOGIN":        {in: notAuthenticated, run: (*conn).login},

		"ENABLE":      {in: signedIn, run: (*conn).enable},
		"SELECT":      {in: signedIn, run: (*conn).selectMailbox},
		"EXAMINE":     {in: signedIn, run: (*conn).examine},
		"CREATE":      {in: signedIn, run: (*conn).create},
		"DELETE":      {in: signedIn, run: (*conn).delete},
		"RENAME":      {in: signedIn, run: (*conn).rename},
		"SUBSCRIBE":   {in: signedIn, run: (*conn).subscribe},
		"UNSUBSCRIBE": {in: signedIn, run: (*conn).unsubscribe},
		"LIST":        {in: signedIn, run: (*conn).list},
		"LSUB":        {in: signedIn, run: (*conn).lsub},
		"NAMESPACE":   {in: signedIn, run: (*conn).namespace},
		"STATUS":      {in: signedIn, run: (*conn).status},
		"APPEND":      {in: signedIn, run: (*conn).append},
		"IDLE":        {in: signedIn, run: (*conn).idle},

		"CHECK":       {in: selected, run: (*conn).noop},
		"CLOSE":       {in: selected, run: (*conn).close},
		"UNSELECT":    {in: selected, run: (*conn).unselect},
		"EXPUNGE":     {in: selected, run: (*conn).expunge},
		"UID EXPUNGE": {in: selected, run: (*conn).uidExpunge},
		"FETCH":       {in: selected, still: true, run: (*conn).fetch},
		"UID FETCH":   {in: selected, run: (*conn).uidFetch},
		"STORE":       {in: selected, still: true, run: (*conn).store},
		"UID STORE":   {in: selected, run: (*conn).uidStore},
		"SEARCH":      {in: selected, still: true, run: (*conn).search},
		"UID SEARCH":  {in: selected, run: (*conn).uidSearch},
		"COPY":        {in: selected, run: (*conn).copy},
		"UID COPY":    {in: selected, run: (*conn).uidCopy},
		"MOVE":        {in: selected, run: (*conn).move},
		"UID MOVE":    {in: selected, run: (*conn).uidMove},
	}
}

// A request is a command that has been read.
type request struct {
	tag, name string
	args      *imapwire.Decoder
	message   *imapwire.Literal // announced and not read yet: APPEND's message

	still    bool   // see command.still
	code     string // response code of the OK, without brackets
	text     string // of the OK; "": name and "completed"
	answered bool   // the tagged answer has been given
}

// decoder returns a decoder for the arguments in rest.
func (c *conn) decoder(tag string, rest []byte) *imapwire.Decoder {
	return imapwire.NewDecoder(rest, imapwire.DecoderOptions{Tag: tag, UTF8: c.utf8()})
}

// utf8 reports whether mailbox names and quoted strings are UTF-8.
func (c *conn) utf8() bool { return c.enabled&(featUTF8Accept|featIMAP4rev2) != 0 }

func (c *conn) commandLimit() int {
	if c.state == notAuthenticated {
		return maxCommandBefore
	}
	return maxCommand
}

// readCommand reads a command up to its end or up to the message of an
// APPEND. A request without an error is to be run; with an error, that is
// its answer; nil and nil is a blank line.
func (c *conn) readCommand() (*request, error) {
	limit := c.commandLimit()
	c.command.Reset(limit)
	r := &request{}
	for first := true; ; first = false {
		err := c.readLine(limit)
		if isLinkError(err) {
			return nil, err
		}
		if first {
			if err == nil && isBlank(c.line) {
				return nil, nil // clients send some after literals
			}
			r.tag, r.name, _, _ = imapwire.ParseTag(c.line)
		}
		if err != nil {
			return r, c.refuse(bad("the line is too long"), c.in.tail)
		}
		literal, more, err := c.command.AddLine(c.line)
		switch {
		case err != nil:
			return r, c.refuse(bad("the command is too long"), c.line)
		case !more:
			return r, c.parseHead(r)
		case c.command.MessageNext():
			r.message = &literal
			return r, c.parseHead(r)
		}
		if err := c.readLiteral(literal); err != nil {
			return r, err
		}
	}
}

func isBlank(line []byte) bool {
	return len(line) == 0 || len(line) == 1 || len(line) == 2 && line[0] == '\r'
}

// parseHead splits what the collector has.
func (c *conn) parseHead(r *request) error {
	tag, name, rest, err := imapwire.ParseTag(c.command.Bytes())
	if c.trace {
		c.traceCommand(name, c.command.Bytes())
	}
	if err != nil {
		return err
	}
	r.tag, r.name, r.args = tag, name, c.decoder(tag, rest)
	return nil
}

// readLiteral reads a literal into the collector.
func (c *conn) readLiteral(l imapwire.Literal) error {
	p, err := c.command.AddLiteral(l)
	if err != nil {
		return c.refuse(bad("the literal is too large here"), c.line)
	}
	if !l.NonSync {
		c.out.line("+ go ahead")
	}
	_, err = io.ReadFull(c, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &linkError{err}
	}
	return err
}

// refuse throws away the rest of a command whose last line, or the end of
// it, is line, and returns answer. What the client sends without waiting
// for us is never run as commands.
func (c *conn) refuse(answer error, line []byte) error {
	limit := c.commandLimit()
	for {
		l, ok := imapwire.LiteralTail(line)
		if !ok || !l.NonSync {
			return answer // a client that waits for "+" sends nothing more
		}
		if err := c.drain(l.Size); err != nil {
			return err
		}
		err := c.readLine(limit)
		line = c.line
		if errors.Is(err, errLineTooLong) {
			line = c.in.tail
		} else if err != nil {
			return err
		}
	}
}

// drain throws a literal away, or gives up the connection when it is far
// beyond everything that is allowed.
func (c *conn) drain(n int64) error {
	limit := int64(maxDrain)
	if c.state != notAuthenticated {
		limit = max(limit, 4*c.server.o.AppendLimit)
	}
	if n > limit {
		return errDrainedEnough
	}
	var p [512]byte
	for n > 0 {
		got, err := c.Read(p[:min(n, int64(len(p)))])
		if err != nil {
			return err
		}
		n -= int64(got)
	}
	return nil
}

// drainMessage throws away the message of an APPEND that was refused, if it
// comes anyway.
func (c *conn) drainMessage(r *request) error {
	if r.message == nil || !r.message.NonSync {
		return nil
	}
	size := r.message.Size
	r.message = nil
	if err := c.drain(size); err != nil {
		return err
	}
	err := c.readLine(c.commandLimit())
	line := c.line
	if errors.Is(err, errLineTooLong) {
		line = c.in.tail
	} else if err != nil {
		return err
	}
	return c.refuse(nil, line)
}

// run runs a command that has been read.
func (c *conn) run(r *request) error {
	cmd, ok := c.server.commands[r.name]
	switch {
	case !ok:
		return bad("there is no such command here")
	case cmd.in&c.state == 0:
		return wrongState(cmd, c.state)
	}
	r.still = cmd.still
	return cmd.run(c, r)
}

func wrongState(cmd command, now state) error {
	switch {
	case now == notAuthenticated:
		return bad("please sign in first")
	case cmd.in == selected:
		return bad("no mailbox is selected")
	default:
		return bad("you are signed in already")
	}
}

// finish says what else happened in the mailbox and gives the tagged answer.
func (c *conn) finish(r *request, err error) error {
	if r.answered {
		c.bad = 0
		return nil
	}
	if aerr := c.announce(!r.still); aerr != nil {
		if isLinkError(aerr) {
			return aerr
		}
		if !errors.Is(aerr, store.ErrClosed) { // the account was removed: no fault of ours
			c.fault(r, aerr) // logged; the answer stays what it was
		}
	}
	a := c.answerTo(r, err)
	if a.status == "BAD" {
		if c.bad++; c.bad > maxBad || c.state == notAuthenticated && c.bad > maxBadBefore {
			c.answer(r.tag, a)
			return errTooManyBad
		}
	} else {
		c.bad = 0
	}
	c.answer(r.tag, a)
	return nil
}

// answer writes a tagged answer, or an untagged one where no tag was read.
func (c *conn) answer(tag string, a answer) {
	if tag == "" {
		tag = "*"
	}
	c.out.begin()
	b := append(c.out.buf, tag...)
	b = append(b, ' ')
	b = append(b, a.status...)
	b = append(b, ' ')
	if a.code != "" {
		b = append(b, '[')
		b = append(b, a.code...)
		b = append(b, "] "...)
	}
	b = imapwire.AppendText(b, a.text)
	c.out.buf = append(b, '\r', '\n')
	c.out.done()
}

package imapd

import (
	"strconv"

	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// append is APPEND (RFC 9051, 6.3.12; UTF8: RFC 6855, 4; literal8: RFC 3516;
// limits: RFC 7889).
func (c *conn) append(r *request) error {
	if r.message == nil {
		// The line has ended without a message: the parser says what is missing.
		if _, err := imapwire.ParseAppend(r.args); err != nil {
			return err
		}
		return bad("a message was expected")
	}
	a, err := imapwire.ParseAppend(r.args)
	if err != nil {
		return err
	}
	// Whatever can be refused is refused before the message comes.
	if a.Message.Size > c.server.o.AppendLimit {
		return no(imap.ResponseCodeTooBig, "a message may have "+strconv.FormatInt(c.server.o.AppendLimit, 10)+" octets at most")
	}
	to, err := c.target(a.Mailbox)
	if err != nil {
		return err
	}
	defer c.release(to)
	if err := c.account.CheckRoom(1, a.Message.Size); err != nil {
		return err
	}
	in := c.server.o.Store.NewIncoming()
	defer in.Close()
	if err := c.receive(r, a, in); err != nil {
		return err
	}
	uids, err := to.Append(c.ctx, []store.AppendMessage{{In: in, Flags: a.Flags, Date: a.Date}})
	if err != nil {
		return err
	}
	validity := to.UIDValidity()
	if validity == 0 {
		return nil // somebody deleted the mailbox since: there is no UID to tell
	}
	b := append([]byte("APPENDUID "), strconv.FormatUint(uint64(validity), 10)...)
	r.code = string(imapwire.AppendNumSet(append(b, ' '), uids))
	return nil
}

// receive reads the message and what follows it. Whatever goes wrong with
// keeping it, all of it is read.
func (c *conn) receive(r *request, a imapwire.AppendArgs, in *store.Incoming) error {
	if !a.Message.NonSync {
		c.out.line("+ go ahead")
	}
	r.message = nil // from here on it is read, whatever happens
	box := outputPool.Get().(*[]byte)
	defer outputPool.Put(box)
	var fault error
	for left := a.Message.Size; left > 0; {
		n, err := c.Read((*box)[:min(left, spillAt)])
		if err != nil {
			return err
		}
		left -= int64(n)
		if fault == nil {
			_, fault = in.Write((*box)[:n])
		}
	}
	if err := c.appendEnd(a); err != nil {
		return err
	}
	return fault
}

// appendEnd reads what follows the message: the end of the line.
func (c *conn) appendEnd(a imapwire.AppendArgs) error {
	err := c.readLine(c.commandLimit())
	if isLinkError(err) {
		return err
	}
	if err != nil {
		return c.refuse(bad("the line is too long"), c.in.tail)
	}
	if _, more := imapwire.LiteralTail(c.line); more {
		return c.refuse(bad("one APPEND takes one message here"), c.line)
	}
	return imapwire.ParseAppendEnd(c.decoder("", c.line), a)
}

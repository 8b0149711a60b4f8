package imapwire

import (
	"bytes"
	"errors"
)

// ErrTooLong is what a Collector says of a command beyond its limit.
var ErrTooLong = errors.New("the command is too long")

// keptBuffer is the size up to which a Collector keeps its buffer for the next command.
const keptBuffer = 4096

// Collector gathers the lines and literals of one command, up to a limit of octets. It reads nothing itself:
//
//	c.Reset(limit)
//	for {
//		read a line
//		lit, more, err := c.AddLine(line)
//		if err != nil { refuse, see below }
//		if !more { break }                    // c.Bytes() is the whole command
//		if c.MessageNext() { stream it }      // c.Bytes() is what ParseTag and ParseAppend want
//		room, err := c.AddLiteral(lit)
//		if err != nil { refuse }
//		unless lit.NonSync, send "+ ..."; then fill the room
//	}
//
// Refusing: answer BAD (c.Bytes() still begins with the tag) or NO [TOOBIG]. A client that announced a plain literal
// waits for the answer and sends no octets. After {n+} they come whatever the answer is (RFC 7888, 4): drain lit.Size
// octets and the rest of the command behind them, a line again, which LiteralTail may say ends in a further literal; or
// close the connection. Never run them as commands.
//
// Not for concurrent use. The zero value allows nothing: Reset it first.
type Collector struct {
	buf   []byte
	limit int
	line  int  // where the last line begins in buf
	over  bool // something was refused; buf is what came before it
}

// Reset begins a new command of at most limit octets. A buffer that has grown large is given back.
func (c *Collector) Reset(limit int) {
	if cap(c.buf) > keptBuffer {
		c.buf = nil
	}
	*c = Collector{buf: c.buf[:0], limit: limit}
}

// AddLine takes a line with its line end. With more set the line announces the literal l, and the command goes on
// behind it. ErrTooLong comes with l and more just the same; of the line only what the limit allows is kept.
func (c *Collector) AddLine(line []byte) (l Literal, more bool, err error) {
	l, more = LiteralTail(line)
	room := c.limit - len(c.buf)
	if c.over || len(line) > room {
		c.over = true
		c.buf = append(c.buf, line[:max(0, min(len(line), room))]...)
		return l, more, ErrTooLong
	}
	c.buf = append(c.buf, line...)
	return l, more, nil
}

// AddLiteral makes room for the literal that AddLine announced and returns it to be filled before the next line is
// added; ErrTooLong if the command would pass its limit.
func (c *Collector) AddLiteral(l Literal) ([]byte, error) {
	if c.over || l.Size > int64(c.limit-len(c.buf)) {
		c.over = true
		return nil, ErrTooLong
	}
	n := len(c.buf)
	c.buf = append(c.buf, make([]byte, int(l.Size))...)
	c.line = len(c.buf)
	return c.buf[n:], nil
}

// MessageNext reports, when the last line announced a literal, whether that is the message of an APPEND and not one
// of its other arguments: the mailbox name has come already.
func (c *Collector) MessageNext() bool {
	l, ok := LiteralTail(c.buf[c.line:])
	if c.over || !ok {
		return false
	}
	_, name, rest, err := ParseTag(c.Bytes())
	return err == nil && name == "APPEND" && len(bytes.TrimLeft(rest[:len(rest)-l.Len], " ")) > 0
}

// Bytes returns what has come so far, without the last line end; once something was refused, the beginning. It is valid until the
// next call of another method.
func (c *Collector) Bytes() []byte {
	if c.over {
		return c.buf
	}
	return c.buf[:c.line+len(trimLineEnd(c.buf[c.line:]))]
}

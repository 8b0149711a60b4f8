package imapwire

import (
	"bytes"
	"errors"
)

// ErrTooLong is what a Collector says of a command beyond its limit.
var ErrTooLong = errors.New("the command is too long")

// keptBuffer is the size up to which a Collector keeps its buffer for the next command.
const keptBuffer = 4096

// tailSize is how much of an over-long line is kept to see whether it announces a literal: ~{18446744073709551615+}CRLF
// and some leading zeros.
const tailSize = 64

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
	line  int    // where the last line begins in buf
	tail  []byte // once over the limit: the last octets of the line
	over  bool
}

// Reset begins a new command of at most limit octets. A buffer that has grown large is given back.
func (c *Collector) Reset(limit int) {
	if cap(c.buf) > keptBuffer {
		c.buf = nil
	}
	*c = Collector{buf: c.buf[:0], limit: limit, tail: c.tail[:0]}
}

// AddPiece takes a part of a line that is too long for the reader's buffer and has no line end yet; the rest of the
// line follows with AddPiece or AddLine. It never fails: AddLine tells.
func (c *Collector) AddPiece(b []byte) { c.add(b) }

// AddLine takes a line with its line end, or the last piece of one. With more set the line announces the literal l,
// and the command goes on behind it. ErrTooLong comes with l and more just the same.
func (c *Collector) AddLine(b []byte) (l Literal, more bool, err error) {
	c.add(b)
	if c.over {
		l, more = LiteralTail(c.tail)
		return l, more, ErrTooLong
	}
	l, more = LiteralTail(c.buf[c.line:])
	return l, more, nil
}

func (c *Collector) add(b []byte) {
	if !c.over && len(b) <= c.limit-len(c.buf) {
		c.buf = append(c.buf, b...)
		return
	}
	if !c.over {
		c.over = true
		c.tail = append(c.tail[:0], last(c.buf[c.line:], tailSize)...)
	}
	c.tail = append(c.tail, last(b, tailSize)...)
	if len(c.tail) > tailSize {
		c.tail = c.tail[:copy(c.tail, last(c.tail, tailSize))]
	}
	if room := c.limit - len(c.buf); room > 0 && room < len(b) {
		c.buf = append(c.buf, b[:room]...)
	}
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// AddLiteral makes room for the literal that AddLine announced and returns it to be filled before the next line is
// added; ErrTooLong if the command would pass its limit.
func (c *Collector) AddLiteral(l Literal) ([]byte, error) {
	if c.over || l.Size > int64(c.limit-len(c.buf)) {
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
	if !ok || c.over {
		return false
	}
	_, name, rest, err := ParseTag(c.Bytes())
	return err == nil && name == "APPEND" && len(bytes.TrimLeft(rest[:len(rest)-l.Len], " ")) > 0
}

// Bytes returns what has come so far, without the last line end; beyond the limit, its beginning. It is valid until the
// next call of another method.
func (c *Collector) Bytes() []byte {
	if c.over {
		return c.buf
	}
	return c.buf[:c.line+len(trimLineEnd(c.buf[c.line:]))]
}

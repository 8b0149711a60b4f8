package imapwire

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// DecoderOptions say what the client has enabled.
type DecoderOptions struct {
	Tag  string // of the command, for SyntaxError
	UTF8 bool   // mailbox names are UTF-8: after ENABLE IMAP4rev2 or UTF8=ACCEPT
}

// Decoder reads the arguments of one command. It is not for concurrent use.
//
// Its methods keep the first fault and put the position at the end, so that whatever runs after a fault finds
// nothing and stops; a Parse function asks once, with end.
type Decoder struct {
	b   []byte
	pos int
	o   DecoderOptions
	err error

	secret bool // the arguments hold a password: errors do not repeat them
}

// NewDecoder reads args, the rest that ParseTag returned: it starts with the space before the first argument and
// may have its line end or not. The bytes are only read, and only until the Parse function returns.
func NewDecoder(args []byte, o DecoderOptions) *Decoder {
	return &Decoder{b: args, o: o}
}

// fail keeps the fault if it is the first one. The words of the client in it are cut to a length worth reading.
func (d *Decoder) fail(format string, args ...any) {
	const longest = 200
	if d.err != nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	d.failWith(&SyntaxError{Tag: d.o.Tag, Text: text})
}

func (d *Decoder) failWith(err error) {
	if d.err == nil {
		d.err = err
		d.pos = len(d.b)
	}
}

// expected fails with what should stand here and what does.
func (d *Decoder) expected(what string) {
	if d.err == nil {
		d.fail("expected %s, found %s", what, d.found())
	}
}

// found names what stands at the position.
func (d *Decoder) found() string {
	const most = 20
	rest := d.b[d.pos:]
	if i := bytes.IndexAny(rest, "\r\n"); i >= 0 {
		rest = rest[:i]
	}
	switch {
	case len(rest) == 0:
		return "the end of the line"
	case d.secret:
		return "something else"
	case rest[0] == ' ':
		return "a space"
	case len(rest) > most:
		return strconv.QuoteToASCII(string(rest[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(rest))
}

// peek returns the next byte, 0 at the end.
func (d *Decoder) peek() byte {
	if d.pos < len(d.b) {
		return d.b[d.pos]
	}
	return 0
}

// accept takes the byte c if it is next.
func (d *Decoder) accept(c byte) bool {
	if d.pos < len(d.b) && d.b[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

// space takes the space before an argument, called what in the error.
func (d *Decoder) space(what string) {
	if d.err == nil && !d.skipSpaces() {
		d.expected("a space and then " + what)
	}
}

// skipSpaces takes spaces and reports whether there were any.
func (d *Decoder) skipSpaces() bool {
	start := d.pos
	for d.accept(' ') {
	}
	return d.pos > start
}

// more takes spaces and reports whether there were any and an argument follows them on this line.
func (d *Decoder) more() bool { return d.skipSpaces() && !d.atLineEnd() }

func (d *Decoder) atLineEnd() bool {
	return d.pos == len(d.b) || d.b[d.pos] == '\r' || d.b[d.pos] == '\n'
}

// end returns the first fault; bytes left over are one.
func (d *Decoder) end() error {
	if d.skipSpaces(); !d.atLineEnd() {
		d.expected("the end of the command")
	}
	if d.err == nil && len(trimLineEnd(d.b[d.pos:])) > 0 {
		d.fail("a line end stands within the command")
	}
	return d.err
}

// trimLineEnd takes one CRLF or bare LF off the end.
func trimLineEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
		if n := len(b); n > 0 && b[n-1] == '\r' {
			b = b[:n-1]
		}
	}
	return b
}

// list reads "(" [item *(SP item)] ")". It calls item before each one, at most most times, and returns how often.
func (d *Decoder) list(what string, most int, item func()) int {
	if !d.accept('(') {
		d.expected(what + " in parentheses")
		return 0
	}
	n := 0
	for d.skipSpaces(); !d.accept(')'); n++ {
		if d.err != nil {
			return 0
		}
		if n == most {
			d.fail("more than %d entries in %s", most, what)
			return 0
		}
		item()
		if !d.skipSpaces() && d.peek() != ')' {
			d.expected("a space or a closing parenthesis after " + what)
		}
	}
	return n
}

// options reads a parenthesised list of words, each with whatever it brings along: known reads the rest of an
// option whose name (upper case) it knows and reports whether it does.
func (d *Decoder) options(what string, known func(name string) bool) int {
	return d.list(what, maxOptions, func() {
		name := d.word(what)
		if d.err == nil && !known(name) {
			d.fail("%s is not known in %s", name, what)
		}
	})
}

// isAtomChar is ATOM-CHAR of RFC 9051, 9: no atom-specials, no 8-bit.
func isAtomChar(c byte) bool {
	switch c {
	case '(', ')', '{', ' ', '%', '*', '"', '\\', ']':
		return false
	}
	return c > 0x1f && c < 0x7f
}

// isAStringChar is ASTRING-CHAR: "]" is allowed as well.
func isAStringChar(c byte) bool { return isAtomChar(c) || c == ']' }

// isListChar is list-char of RFC 9051, 9.
func isListChar(c byte) bool { return isAStringChar(c) || c == '%' || c == '*' }

// isWordChar is what names of options, items and search keys consist of.
func isWordChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '.' || c == '-'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// while takes bytes as long as ok holds, at least one.
func (d *Decoder) while(what string, ok func(byte) bool) []byte {
	start := d.pos
	for d.pos < len(d.b) && ok(d.b[d.pos]) {
		d.pos++
	}
	if d.pos == start {
		d.expected(what)
		return nil
	}
	return d.b[start:d.pos]
}

// atom reads an atom as it stands.
func (d *Decoder) atom(what string) string { return string(d.while(what, isAtomChar)) }

// word reads a name of the protocol and returns it in upper case.
func (d *Decoder) word(what string) string { return upper(d.while(what, isWordChar)) }

// acceptWord takes the word want (upper case) if it stands here alone.
func (d *Decoder) acceptWord(want string) bool {
	end := d.pos + len(want)
	if end > len(d.b) || upper(d.b[d.pos:end]) != want || end < len(d.b) && isAStringChar(d.b[end]) {
		return false
	}
	d.pos = end
	return true
}

// upper returns ASCII letters in upper case and the rest as it is.
func upper(b []byte) string {
	for _, c := range b {
		if 'a' <= c && c <= 'z' {
			return upperCopy(b)
		}
	}
	return string(b)
}

func upperCopy(b []byte) string {
	u := make([]byte, len(b))
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		u[i] = c
	}
	return string(u)
}

// number reads a number of at most 63 bits (number64 of RFC 9051, mod-sequences of RFC 7162).
func (d *Decoder) number(what string) int64 {
	return int64(d.unsigned(what, math.MaxInt64))
}

// unsigned reads a number up to most.
func (d *Decoder) unsigned(what string, most uint64) uint64 {
	digits := d.while(what, isDigit)
	if d.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || n > most {
		d.fail("%s is too large a number", what)
		return 0
	}
	return n
}

package imapreader

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// What one answer may hold. It is well above what servers send. Passing a limit is an *Excess, but for lists, whose further
// entries are passed over.
const (
	maxText       = 64 << 10 // octets of a string that is kept
	maxList       = 100      // entries of a list that is kept
	maxListOctets = 8 << 10  // of all entries of one
	maxDepth      = 100      // of lists in one another
	maxPassed     = 1 << 20  // octets of a literal that nobody has asked for
)

// A scanner reads the tokens of responses. It keeps its first error, which ends the connection.
type scanner struct {
	r   *bufio.Reader
	err error
}

func (s *scanner) fail(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if s.err == nil {
		s.err = err
	}
}

// nonsense notes that something else should stand here.
func (s *scanner) nonsense(want string) {
	next, _ := s.r.Peek(min(20, s.r.Buffered()))
	s.fail(fmt.Errorf("the server's answer makes no sense: %s should stand before %q", want, next))
}

// tooMuch notes that a server goes past a limit.
func (s *scanner) tooMuch(format string, args ...any) { s.fail(&Excess{fmt.Sprintf(format, args...)}) }

// peek is the next octet, 0 after an error.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	b, err := s.r.Peek(1)
	if err != nil {
		s.fail(err)
		return 0
	}
	return b[0]
}

// accept takes c if it is next.
func (s *scanner) accept(c byte) bool {
	if s.peek() != c || s.err != nil {
		return false
	}
	_, err := s.r.Discard(1)
	return err == nil
}

func (s *scanner) expect(c byte) {
	if s.err == nil && !s.accept(c) {
		s.nonsense(strconv.Quote(string(c)))
	}
}

func (s *scanner) spaces() {
	for s.accept(' ') {
	}
}

// word reads up to one of the octets in stop, a space or the end of the line.
func (s *scanner) word(stop string) string {
	var b []byte
	for s.err == nil {
		c := s.peek()
		if c == ' ' || c == '\r' || c == '\n' || strings.IndexByte(stop, c) >= 0 || s.err != nil {
			break
		}
		if b = append(b, c); len(b) > maxText {
			s.tooMuch("a word of more than %d octets", maxText)
		}
		_, _ = s.r.Discard(1)
	}
	return string(b)
}

func (s *scanner) number(what string, bits int) uint64 {
	n, err := strconv.ParseUint(s.word("()[]<>"), 10, bits)
	if err != nil && s.err == nil {
		s.nonsense(what)
	}
	return n
}

// text reads an atom, a quoted string, a literal or NIL, which is "".
func (s *scanner) text() string {
	switch s.peek() {
	case '"':
		return s.quoted()
	case '{', '~':
		n := s.literal()
		if n > maxText {
			s.tooMuch("a text of %d octets", n)
		}
		if s.err != nil {
			return ""
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(s.r, b); err != nil {
			s.fail(err)
		}
		return string(b)
	}
	w := s.word("()")
	if strings.EqualFold(w, "NIL") {
		return ""
	}
	return w
}

func (s *scanner) quoted() string {
	s.expect('"')
	var b []byte
	for s.err == nil {
		c, err := s.r.ReadByte()
		if err == nil && c == '\\' {
			c, err = s.r.ReadByte()
		} else if c == '"' {
			return string(b)
		}
		if err != nil {
			s.fail(err)
		}
		if b = append(b, c); c == '\n' {
			s.nonsense("the end of a string")
		} else if len(b) > maxText {
			s.tooMuch("a text of more than %d octets", maxText)
		}
	}
	return ""
}

// literal reads the head of a literal, and is how many octets follow.
func (s *scanner) literal() int64 {
	s.accept('~')
	s.expect('{')
	digits := strings.TrimSuffix(s.word("}"), "+")
	n, err := strconv.ParseInt(digits, 10, 64)
	if (err != nil || n < 0) && s.err == nil {
		s.nonsense("the length of a literal")
	}
	s.expect('}')
	s.lineEnd()
	return n
}

func (s *scanner) lineEnd() {
	s.accept('\r')
	s.expect('\n')
}

// list reads strings in parentheses, of which it keeps so many as anybody uses.
func (s *scanner) list() (list []string) {
	octets := 0
	if s.peek() != '(' {
		s.text() // NIL
		return nil
	}
	s.expect('(')
	for s.spaces(); s.err == nil && !s.accept(')'); s.spaces() {
		if c := s.peek(); c == '(' || c == '\r' || c == '\n' {
			s.nonsense("a word in a list")
			break
		}
		w := s.text()
		if octets += len(w); len(list) < maxList && octets <= maxListOctets {
			list = append(list, w)
		}
	}
	return list
}

// skip passes over one value of any kind.
func (s *scanner) skip(depth int) {
	switch s.peek() {
	case '(':
		if depth == maxDepth {
			s.tooMuch("lists in lists in lists, more than %d deep", maxDepth)
			return
		}
		s.expect('(')
		for s.spaces(); s.err == nil && !s.accept(')'); s.spaces() {
			if c := s.peek(); c == '\r' || c == '\n' {
				s.nonsense("the end of a list")
			}
			s.skip(depth + 1)
		}
	case '{', '~':
		s.discard(s.literal())
	case '"':
		s.quoted()
	case ')', '[', ']':
		s.nonsense("a value")
	default:
		s.word("()")
	}
}

// discard passes over the octets of a literal.
func (s *scanner) discard(n int64) {
	if n > maxPassed {
		s.tooMuch("%d octets that nobody has asked for", n)
	}
	if s.err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, s.r, n); err != nil {
		s.fail(err)
	}
}

// maxShown is how much is kept of a line for people.
const maxShown = 500

// line reads the rest of a line, of which it keeps so many octets.
func (s *scanner) line(most int) string {
	var b []byte
	for s.err == nil {
		part, err := s.r.ReadSlice('\n')
		b = append(b, part[:min(len(part), most-len(b))]...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			s.fail(err)
		}
	}
	return strings.TrimRight(string(b), "\r\n")
}

// skipLine passes over the rest of a response, and literals in it.
func (s *scanner) skipLine() {
	var tail []byte
	for s.err == nil {
		part, err := s.r.ReadSlice('\n')
		if tail = append(tail, part...); len(tail) > 40 {
			tail = append(tail[:0], tail[len(tail)-40:]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			s.fail(err)
			return
		}
		n, ok := literalAtEnd(tail)
		if !ok {
			return
		}
		s.discard(n)
		tail = tail[:0]
	}
}

// literalAtEnd is the length of the literal whose head ends the line.
func literalAtEnd(line []byte) (int64, bool) {
	line = bytes.TrimRight(line, "\r\n")
	i := bytes.LastIndexByte(line, '{')
	if i < 0 || line[len(line)-1] != '}' {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(string(line[i+1:len(line)-1]), "+"), 10, 64)
	return n, err == nil && n >= 0
}

package message

import (
	"errors"
	"strconv"
	"strings"
)

var errAnswer = errors.New("no valid IMAP structure")

// answer reads back the parts of the IMAP grammar that this package writes:
// strings, NIL, lists.
type answer struct {
	s   string
	i   int
	err error
}

// byte takes one octet that must come.
func (a *answer) byte(c byte) {
	if a.err == nil && a.i < len(a.s) && a.s[a.i] == c {
		a.i++
		return
	}
	a.err = errAnswer
}

func (a *answer) peek() byte {
	if a.err != nil || a.i >= len(a.s) {
		return 0
	}
	return a.s[a.i]
}

// nstring takes a string or NIL.
func (a *answer) nstring() (s string, present bool) {
	switch a.peek() {
	case '"':
		return a.quoted(), true
	case '{':
		return a.literal(), true
	}
	a.null()
	return "", false
}

// string takes a string that must not be NIL.
func (a *answer) string() string {
	s, present := a.nstring()
	if !present {
		a.err = errAnswer
	}
	return s
}

func (a *answer) null() bool {
	if a.err == nil && strings.HasPrefix(a.s[a.i:], "NIL") {
		a.i += 3
		return true
	}
	a.err = errAnswer
	return false
}

func (a *answer) quoted() string {
	start := a.i + 1
	for i := start; i < len(a.s); i++ {
		switch c := a.s[i]; {
		case c == '"':
			a.i = i + 1
			return unescape(a.s[start:i])
		case c == '\\':
			i++
		case c >= 0x80 || c == '\r' || c == '\n' || c == 0:
			a.err = errAnswer
			return ""
		}
	}
	a.err = errAnswer
	return ""
}

func (a *answer) literal() string {
	number, rest, ok := strings.Cut(a.s[a.i+1:], "}\r\n")
	n, err := strconv.ParseUint(number, 10, 31)
	if !ok || err != nil || int(n) > len(rest) || strings.IndexByte(rest[:n], 0) >= 0 {
		a.err = errAnswer
		return ""
	}
	a.i = len(a.s) - len(rest) + int(n)
	return rest[:n]
}

// list takes NIL or a parenthesised list, with item for each thing in it.
func (a *answer) list(separated bool, item func()) {
	if a.peek() != '(' {
		a.null()
		return
	}
	a.i++
	for first := true; a.err == nil && (first || a.peek() != ')'); first = false {
		if !first && separated {
			a.byte(' ')
		}
		item()
	}
	a.byte(')')
}

// params takes a parameter list.
func (a *answer) params() []param {
	var list []param
	a.list(true, func() {
		name := a.string()
		a.byte(' ')
		list = append(list, param{name, a.string()})
	})
	return list
}

func (a *answer) end() error {
	if a.err == nil && a.i != len(a.s) {
		a.err = errAnswer
	}
	return a.err
}

// stringEnd returns the index after the string that s starts with.
func stringEnd(s string) int {
	a := answer{s: s}
	a.string()
	return a.i
}

package imapwire

import "math"

// Literal is the announcement of a literal at the end of a line: {n} {n+} ~{n} ~{n+}.
type Literal struct {
	Size    int64 // octets that follow the line
	NonSync bool  // "+" was given: the client does not wait to be asked (RFC 7888)
	Binary  bool  // "~" was given: literal8, which may hold NUL (RFC 3516)
	Len     int   // octets of the announcement itself, without the line end
}

// LiteralTail reports whether the line, with or without its line end, announces a literal. More digits than an
// int64 holds come out as the largest Size there is, which no limit allows.
func LiteralTail(line []byte) (l Literal, ok bool) {
	b := trimLineEnd(line)
	end := len(b)
	i := end - 1
	if i < 0 || b[i] != '}' {
		return Literal{}, false
	}
	i--
	if i >= 0 && b[i] == '+' {
		l.NonSync = true
		i--
	}
	last := i
	for i >= 0 && isDigit(b[i]) {
		i--
	}
	if i < 0 || i == last || b[i] != '{' {
		return Literal{}, false
	}
	l.Size = saturated(b[i+1 : last+1])
	if i > 0 && b[i-1] == '~' {
		l.Binary = true
		i--
	}
	l.Len = end - i
	return l, true
}

// saturated is the value of decimal digits, at most math.MaxInt64.
func saturated(digits []byte) int64 {
	var n int64
	for _, c := range digits {
		v := int64(c - '0')
		if n > (math.MaxInt64-v)/10 {
			return math.MaxInt64
		}
		n = n*10 + v
	}
	return n
}

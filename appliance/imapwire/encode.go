package imapwire

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The Append functions append to dst what RFC 9051, 9 calls by the same name. A parameter allow8bit says whether the
// client takes UTF-8 in quoted strings, which it does once it has enabled IMAP4rev2 or UTF8=ACCEPT.

// AppendString appends s in quotes if it can stand there, else as a literal. NUL, which no string may hold, is left
// out.
func AppendString[S ~string | ~[]byte](dst []byte, s S, allow8bit bool) []byte {
	if quotable(s, allow8bit) {
		return appendQuoted(dst, s)
	}
	n := 0
	for i := range len(s) {
		if s[i] != 0 {
			n++
		}
	}
	dst = AppendLiteralHeader(dst, int64(n), false)
	if n == len(s) {
		return append(dst, s...)
	}
	for i := range len(s) {
		if s[i] != 0 {
			dst = append(dst, s[i])
		}
	}
	return dst
}

// quotable reports whether s can stand in quotes: no NUL, CR or LF, and 8-bit only as UTF-8 that the client takes. A long
// one is better off as a literal, since some clients limit the length of a line.
func quotable[S ~string | ~[]byte](s S, allow8bit bool) bool {
	const longest = 1000
	if len(s) > longest {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == 0 || c == '\r' || c == '\n' || c >= utf8.RuneSelf && !allow8bit {
			return false
		}
	}
	return !allow8bit || validUTF8(s)
}

// validUTF8 is utf8.Valid for both strings and bytes, without a copy.
func validUTF8[S ~string | ~[]byte](s S) bool {
	var buf [utf8.UTFMax]byte
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		n := copy(buf[:], s[i:])
		r, size := utf8.DecodeRune(buf[:n])
		if r == utf8.RuneError && size == 1 {
			return false
		}
		i += size
	}
	return true
}

// appendQuoted appends s in quotes. It is for what is known to fit there; NUL, CR and LF, which do not, are left out.
func appendQuoted[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case 0, '\r', '\n':
		case '"', '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// appendAString appends s as an atom if it can be one, else like AppendString.
func appendAString[S ~string | ~[]byte](dst []byte, s S, allow8bit bool) []byte {
	for i := 0; i < len(s); i++ {
		if !isAStringChar(s[i]) {
			return AppendString(dst, s, allow8bit)
		}
	}
	if len(s) == 0 || len(s) == 3 && strings.EqualFold(string(s), "NIL") {
		return appendQuoted(dst, s)
	}
	return append(dst, s...)
}

// AppendMailbox appends a mailbox name: in modified UTF-7, or as it is if the client has enabled UTF-8; INBOX and what
// else can be an atom without quotes.
func AppendMailbox(dst []byte, name string, utf8Enabled bool) []byte {
	if utf8Enabled {
		return appendAString(dst, name, true)
	}
	if isAtomInUTF7(name) {
		return appendUTF7(dst, name, false)
	}
	dst = append(dst, '"')
	dst = appendUTF7(dst, name, true)
	return append(dst, '"')
}

// isAtomInUTF7 reports whether the name in modified UTF-7 can be an atom. What is encoded can.
func isAtomInUTF7(name string) bool {
	for i := range len(name) {
		if c := name[i]; isUTF7Direct(c) && !isAStringChar(c) {
			return false
		}
	}
	return name != "" && !strings.EqualFold(name, "NIL")
}

// AppendFlags appends flags and keywords in parentheses.
func AppendFlags(dst []byte, flags []string) []byte {
	dst = append(dst, '(')
	for i, f := range flags {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, f...)
	}
	return append(dst, ')')
}

// AppendNumSet appends numbers or UIDs as a set, in their order, with ranges for those that follow one another. The order
// is kept so that the two sets of COPYUID correspond (RFC 9051, 7.1). An empty set cannot be written; nothing is appended.
func AppendNumSet[U ~uint32](dst []byte, numbers []U) []byte {
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(numbers[i]), 10)
		if last > i {
			dst = append(dst, ':')
			dst = strconv.AppendUint(dst, uint64(numbers[last]), 10)
		}
		i = last + 1
	}
	return dst
}

// AppendDateTime appends t in quotes, in its own zone: "17-Jul-1996 02:44:25 -0700".
func AppendDateTime(dst []byte, t time.Time) []byte {
	return t.AppendFormat(dst, `"_2-Jan-2006 15:04:05 -0700"`)
}

// AppendLiteralHeader appends {size} or, for a binary literal, ~{size}, and the line end; the octets come next.
func AppendLiteralHeader(dst []byte, size int64, binary bool) []byte {
	if binary {
		dst = append(dst, '~')
	}
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, size, 10)
	return append(dst, "}\r\n"...)
}

// AppendText appends the text for people at the end of a response: one line of US-ASCII, whatever the words are made
// of, and never empty (RFC 9051, 9: text = 1*TEXT-CHAR). Any response code stands before it.
func AppendText(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, '-')
	}
	for i, r := range text {
		switch {
		case r < 0x20 || r == 0x7f:
			r = ' '
		case r >= utf8.RuneSelf:
			r = '?'
		case r == '[' && i == 0:
			// At the beginning it would be read as a response code.
			r = '('
		}
		dst = append(dst, byte(r))
	}
	return dst
}

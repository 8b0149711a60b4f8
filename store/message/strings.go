package message

import "strconv"

// maxQuoted is the longest string that is sent quoted: some clients read
// quoted strings into a buffer of a line.
const maxQuoted = 1000

// appendString appends a string of RFC 9051, 9: quoted where it may be,
// otherwise a literal. Raw octets above 127 are no valid quoted string before
// UTF8=ACCEPT, and a literal is valid always. s must hold no NUL.
func appendString(dst []byte, s string) []byte {
	if !quotable(s) {
		dst = append(dst, '{')
		dst = strconv.AppendInt(dst, int64(len(s)), 10)
		dst = append(dst, "}\r\n"...)
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

func quotable(s string) bool {
	if len(s) > maxQuoted {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || c == '\r' || c == '\n' || c == 0 {
			return false
		}
	}
	return true
}

// appendNString appends s, or NIL if there is none.
func appendNString(dst []byte, s string, present bool) []byte {
	if !present {
		return append(dst, "NIL"...)
	}
	return appendString(dst, s)
}

package imapwire

import (
	"encoding/base64"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// base64UTF7 is modified base64: "," for "/" (RFC 3501, 5.1.3).
const base64UTF7 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

// encodeUTF7 returns s in modified UTF-7 (RFC 3501, 5.1.3). What is not valid UTF-8 becomes U+FFFD.
func encodeUTF7(s string) string { return string(appendUTF7(nil, s, false)) }

// appendUTF7 appends s in modified UTF-7, with a backslash before what needs one in quotes if escape is set.
func appendUTF7(dst []byte, s string, escape bool) []byte {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '&':
			dst = append(dst, '&', '-')
			i++
		case isUTF7Direct(c):
			if escape && (c == '"' || c == '\\') {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
			i++
		default:
			n := 0
			for i+n < len(s) && !isUTF7Direct(s[i+n]) {
				n++
			}
			dst = appendUTF7Run(dst, s[i:i+n])
			i += n
		}
	}
	return dst
}

// isUTF7Direct: printable US-ASCII represents itself.
func isUTF7Direct(c byte) bool { return 0x20 <= c && c <= 0x7e }

// appendUTF7Run appends &...- for characters none of which represents itself.
func appendUTF7Run(dst []byte, s string) []byte {
	dst = append(dst, '&')
	var bits uint32 // not yet written, in the low n bits
	n := 0
	unit := func(u uint32) {
		bits, n = bits<<16|u, n+16
		for n >= 6 {
			n -= 6
			dst = append(dst, base64UTF7[bits>>n&0x3f])
		}
		bits &= 1<<n - 1
	}
	for _, r := range s {
		if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
			unit(uint32(r1))
			unit(uint32(r2))
		} else {
			unit(uint32(r))
		}
	}
	if n > 0 {
		dst = append(dst, base64UTF7[bits<<(6-n)&0x3f])
	}
	return append(dst, '-')
}

// parseUTF7 returns the UTF-8 of s in modified UTF-7. Only the one right encoding of a name is taken, as RFC 3501 wants it
// ("superfluous shifts" and encoded US-ASCII are forbidden), so that no mailbox has two names.
func parseUTF7(s string) (string, error) {
	shift := false
	for i := range len(s) {
		if !isUTF7Direct(s[i]) {
			return "", fmt.Errorf("%+.60q holds characters that modified UTF-7 must encode", s)
		}
		shift = shift || s[i] == '&'
	}
	if !shift {
		return s, nil
	}
	name, ok := decodeUTF7(s)
	if !ok || encodeUTF7(name) != s {
		return "", fmt.Errorf("%+.60q is not valid modified UTF-7", s)
	}
	return name, nil
}

// decodeUTF7 decodes s, which is printable US-ASCII, without asking whether it is the right encoding.
func decodeUTF7(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '&' {
			out = append(out, s[i])
			continue
		}
		start := i + 1
		for i++; i < len(s) && s[i] != '-'; i++ {
		}
		if i == len(s) {
			return "", false
		}
		if i == start {
			out = append(out, '&')
			continue
		}
		var ok bool
		if out, ok = appendUTF16(out, s[start:i]); !ok {
			return "", false
		}
	}
	return string(out), true
}

// appendUTF16 appends the UTF-8 of modified base64 of UTF-16.
func appendUTF16(out []byte, b64 string) ([]byte, bool) {
	raw, err := base64.NewEncoding(base64UTF7).WithPadding(base64.NoPadding).DecodeString(b64)
	if err != nil || len(raw)%2 != 0 {
		return nil, false
	}
	for i := 0; i < len(raw); i += 2 {
		r := rune(raw[i])<<8 | rune(raw[i+1])
		if utf16.IsSurrogate(r) {
			if i += 2; i >= len(raw) {
				return nil, false
			}
			r = utf16.DecodeRune(r, rune(raw[i])<<8|rune(raw[i+1]))
			if r == utf8.RuneError {
				return nil, false
			}
		}
		if r == 0 {
			return nil, false
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}

package maildir

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Modified UTF-7 (RFC 3501, 5.1.3) of one level of a folder name.

// modified is the base64 of RFC 3501: "," for "/", no padding.
var modified = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

func printable(c byte) bool { return c >= 0x20 && c < 0x7f }

// encodeUTF7 writes s, which is UTF-8, in modified UTF-7.
func encodeUTF7(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '&':
			b.WriteString("&-")
			i++
		case printable(c):
			b.WriteByte(c)
			i++
		default:
			end := i + 1
			for end < len(s) && !printable(s[end]) {
				end++
			}
			b.WriteByte('&')
			b.WriteString(modified.EncodeToString(utf16Bytes(s[i:end])))
			b.WriteByte('-')
			i = end
		}
	}
	return b.String()
}

// utf16Bytes is s in UTF-16, high byte first.
func utf16Bytes(s string) []byte {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = append(b, byte(u>>8), byte(u))
	}
	return b
}

// decodeUTF7 reads modified UTF-7; not ok where it is not exactly what
// encodeUTF7 writes (RFC 3501, 5.1.3: no superfluous shifts, nothing printable
// in base64).
func decodeUTF7(s string) (text string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		if !printable(c) {
			return "", false
		}
		if c != '&' {
			b.WriteByte(c)
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", false
		}
		if end == 1 {
			b.WriteByte('&')
		} else if !decodeShifted(&b, s[i+1:i+end]) {
			return "", false
		}
		i += end + 1
	}
	text = b.String()
	return text, encodeUTF7(text) == s
}

// decodeShifted writes the text of one base64 run to b.
func decodeShifted(b *strings.Builder, run string) bool {
	raw, err := modified.DecodeString(run)
	if err != nil || len(raw)%2 != 0 {
		return false
	}
	units := make([]uint16, 0, len(raw)/2)
	for i := 0; i < len(raw); i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	for _, r := range utf16.Decode(units) {
		if r == utf8.RuneError {
			return false
		}
		b.WriteRune(r)
	}
	return true
}

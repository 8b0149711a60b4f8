package message

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// DecodeHeaderText returns the text of a raw header value as UTF-8: line ends
// removed, the encoded words of RFC 2047 decoded also where they stand against
// its rules (in quotes, without space around them, with spaces inside, cut in
// the middle of a character), raw octets taken for UTF-8 or else Windows-1252.
// What looks like an encoded word and is none stays as it is.
func DecodeHeaderText(raw []byte) string {
	return string(appendHeaderText(nil, raw))
}

// appendHeaderText appends what DecodeHeaderText returns.
func appendHeaderText(dst, raw []byte) []byte {
	if isASCII(raw) && !bytes.ContainsAny(raw, "\r\n") && !bytes.Contains(raw, []byte("=?")) {
		return append(dst, raw...)
	}
	d := headerText{rest: raw, out: dst}
	if bytes.IndexByte(raw, '\n') >= 0 || bytes.IndexByte(raw, '\r') >= 0 {
		d.rest = unfold(raw)
	}
	for d.next() {
	}
	d.flush()
	return d.out
}

func isASCII(b []byte) bool { return asciiLen(b) == len(b) }

// asciiLen returns how many octets at the start of b are ASCII.
func asciiLen(b []byte) int {
	n := 0
	for len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	for n < len(b) && b[n] < utf8.RuneSelf {
		n++
	}
	return n
}

// unfold removes line ends.
func unfold(raw []byte) []byte {
	b := make([]byte, 0, len(raw))
	for _, c := range raw {
		if c != '\r' && c != '\n' {
			b = append(b, c)
		}
	}
	return b
}

type headerText struct {
	rest    []byte
	out     []byte
	word    []byte // decoded octets of the encoded words at hand
	charset string // of those
	after   bool   // an encoded word came last
	noMore  bool   // no encoded word can end in the rest
}

// next takes plain text up to an encoded word, and that word.
func (d *headerText) next() bool {
	for skip := 0; ; skip += 2 {
		i := -1
		if !d.noMore {
			i = bytes.Index(d.rest[skip:], []byte("=?"))
		}
		if i < 0 {
			d.plain(d.rest)
			d.rest = nil
			return false
		}
		skip += i
		charset, text, n := d.encodedWord(d.rest[skip:])
		if n == 0 {
			continue
		}
		if skip > 0 && (!d.after || len(bytes.TrimLeft(d.rest[:skip], " \t")) > 0) {
			d.plain(d.rest[:skip])
		} // else RFC 2047, 6.2: white space between encoded words is not shown
		if d.charset != charset {
			d.flush()
			d.charset = charset
		}
		d.word = append(d.word, text...)
		d.after = true
		d.rest = d.rest[skip+n:]
		return true
	}
}

func (d *headerText) plain(b []byte) {
	d.flush()
	d.after = false
	if !isASCII(b) {
		b = toUTF8(b, "")
	}
	d.out = append(d.out, b...)
}

func (d *headerText) flush() {
	if len(d.word) > 0 {
		d.out = append(d.out, toUTF8(d.word, d.charset)...)
		d.word = d.word[:0]
	}
}

// encodedWord reads =?charset?encoding?text?= at the start of b. n is its
// length, 0 if there is none.
func (d *headerText) encodedWord(b []byte) (charset string, text []byte, n int) {
	i := bytes.IndexByte(b[2:min(len(b), 2+maxToken)], '?')
	if i <= 0 || len(b) < i+7 || b[i+4] != '?' {
		return "", nil, 0
	}
	start := i + 5
	end := bytes.Index(b[start:], []byte("?="))
	if end < 0 {
		d.noMore = true
		return "", nil, 0
	}
	charset, text, n = strings.ToLower(string(b[2:i+2])), b[start:start+end], start+end+2
	switch b[i+3] {
	case 'q', 'Q':
		return charset, decodeQ(text), n
	case 'b', 'B':
		return charset, decodeB(text), n
	}
	return "", nil, 0
}

// decodeQ undoes RFC 2047's Q encoding.
func decodeQ(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '_':
			out = append(out, ' ')
		case b[i] == '=' && i+2 < len(b) && hexDigit(b[i+1]) < 16 && hexDigit(b[i+2]) < 16:
			out = append(out, hexDigit(b[i+1])<<4|hexDigit(b[i+2]))
			i += 2
		default:
			out = append(out, b[i])
		}
	}
	return out
}

// decodeB undoes the B encoding, with or without padding.
func decodeB(b []byte) []byte {
	digits := make([]byte, 0, len(b))
	for _, c := range b {
		if base64Digit(c) < 64 {
			digits = append(digits, c)
		}
	}
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1] // six bits are no octet
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, _ := base64.RawStdEncoding.Decode(out, digits) // only digits: cannot fail
	return out[:n]
}

package message

import (
	"bufio"
	"io"
)

// DecodeTransfer undoes a Content-Transfer-Encoding and forgives what it can:
// in base64, octets outside of the alphabet, missing or early padding and
// several runs one after another; in quoted-printable, a broken "=XX", which
// stays as it is, lower-case digits, and white space at line ends. A reader of
// EncodingOther fails with ErrUnknownEncoding.
func DecodeTransfer(r io.Reader, enc Encoding) io.Reader {
	switch enc {
	case EncodingBase64:
		return &base64Reader{r: r}
	case EncodingQuotedPrintable:
		return &qpReader{r: bufio.NewReaderSize(r, 4096)}
	case EncodingOther:
		return failingReader{ErrUnknownEncoding}
	}
	return r
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

type base64Reader struct {
	r    io.Reader
	bits uint32 // of the digits since the last whole group
	n    int    // how many digits those are
	err  error
	out  [2]byte // the rest of a group that had no room
	left int
}

func (b *base64Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n := copy(p, b.out[:b.left])
		copy(b.out[:], b.out[n:b.left])
		b.left -= n
		if n > 0 {
			return n, nil
		}
		if b.err != nil {
			return 0, b.err
		}
		// Decoding in place: a group of three never overtakes its digits,
		// except for the three at most that were read before.
		in := p[min(3, len(p)-1):]
		if len(p) <= 3 {
			in = in[:1]
		}
		k, err := b.r.Read(in)
		b.err = err
		if n = b.decode(p, in[:k]); n > 0 {
			return n, nil
		}
	}
}

func (b *base64Reader) decode(p, in []byte) int {
	n := 0
	put := func(c byte) {
		if n < len(p) {
			p[n] = c
			n++
			return
		}
		b.out[b.left] = c
		b.left++
	}
	for _, c := range in {
		d := base64Digit(c)
		switch {
		case d < 64:
			b.bits = b.bits<<6 | uint32(d)
			if b.n++; b.n == 4 {
				put(byte(b.bits >> 16))
				put(byte(b.bits >> 8))
				put(byte(b.bits))
				b.bits, b.n = 0, 0
			}
		case c == '=':
			b.flush(put)
		}
	}
	if b.err == io.EOF {
		b.flush(put)
	}
	return n
}

// flush ends a group that has less than four digits.
func (b *base64Reader) flush(put func(byte)) {
	switch b.n {
	case 2:
		put(byte(b.bits >> 4))
	case 3:
		put(byte(b.bits >> 10))
		put(byte(b.bits >> 2))
	}
	b.bits, b.n = 0, 0
}

// base64Digit returns the value of a digit, or 64 for anything else.
func base64Digit(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c - 'A'
	case 'a' <= c && c <= 'z':
		return c - 'a' + 26
	case '0' <= c && c <= '9':
		return c - '0' + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return 64
}

// maxPendingSpace is how much white space is held back until it is known
// whether a line ends there. More than that is let through.
const maxPendingSpace = 256

type qpReader struct {
	r       *bufio.Reader
	buf     []byte // what fill decodes into
	pending []byte // of buf, not read yet
	space   []byte // white space that may turn out to be at a line's end
	err     error
}

func (q *qpReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	for n == 0 {
		if len(q.pending) > 0 {
			n = copy(p, q.pending)
			q.pending = q.pending[n:]
			break
		}
		if q.err != nil {
			return 0, q.err
		}
		q.fill()
	}
	return n, nil
}

// fill decodes up to 1 KiB.
func (q *qpReader) fill() {
	out := q.buf[:0]
	for len(out) < 1024 {
		out = q.plain(out)
		c, err := q.r.ReadByte()
		if err != nil {
			q.err = err
			break
		}
		switch c {
		case ' ', '\t':
			if q.space = append(q.space, c); len(q.space) >= maxPendingSpace {
				out = append(out, q.space...)
				q.space = q.space[:0]
			}
			continue
		case '\r', '\n':
			q.space = q.space[:0] // RFC 2045, 6.7 (3): it was added on the way
			out = append(out, c)
			continue
		}
		out = append(out, q.space...)
		q.space = q.space[:0]
		if c == '=' {
			out = q.escape(out)
		} else {
			out = append(out, c)
		}
	}
	q.buf, q.pending = out, out
}

// plain takes what is read already up to the next octet that may mean something:
// an "=", an end of a line, or white space before one.
func (q *qpReader) plain(out []byte) []byte {
	b, _ := q.r.Peek(min(q.r.Buffered(), 1024-len(out))) // cannot fail: it is read already
	if len(b) == 0 || b[0] == ' ' || b[0] == '\t' {      // a long run of it is looked through once
		return out
	}
	n := 0
	for n < len(b) && b[n] != '=' && b[n] != '\r' && b[n] != '\n' {
		n++
	}
	for n > 0 && (b[n-1] == ' ' || b[n-1] == '\t') {
		n--
	}
	if n == 0 {
		return out
	}
	out = append(out, q.space...)
	q.space = q.space[:0]
	out = append(out, b[:n]...)
	q.r.Discard(n) // cannot fail: it is read already
	return out
}

// escape decodes what follows a "=".
func (q *qpReader) escape(out []byte) []byte {
	next, _ := q.r.Peek(2)
	if len(next) == 2 && hexDigit(next[0]) < 16 && hexDigit(next[1]) < 16 {
		q.r.Discard(2) // cannot fail: these were peeked
		return append(out, hexDigit(next[0])<<4|hexDigit(next[1]))
	}
	next, _ = q.r.Peek(maxPendingSpace)
	i := 0
	for i < len(next) && (next[i] == ' ' || next[i] == '\t') {
		i++
	}
	switch {
	case i == len(next) && i < maxPendingSpace: // at the end of the text
	case i < len(next) && next[i] == '\n':
		i++
	case i+1 < len(next) && next[i] == '\r' && next[i+1] == '\n':
		i += 2
	default:
		return append(out, '=')
	}
	q.r.Discard(i) // cannot fail: these were peeked
	return out
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

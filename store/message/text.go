package message

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// NewTextReader serves the text of a part as UTF-8, for searching: the
// transfer encoding undone as DecodeTransfer does it, the charset converted.
// An unknown encoding is taken for none. A charset nobody knows, and octets
// that are no UTF-8 where UTF-8 or ASCII was promised, are taken for
// Windows-1252, the superset of Latin-1, as browsers do.
func NewTextReader(r io.Reader, enc Encoding, charset string) io.Reader {
	if enc != EncodingOther {
		r = DecodeTransfer(r, enc)
	}
	decoder := charsetDecoder(charset)
	if _, loose := decoder.(looseUTF8); loose {
		return &looseReader{r: r}
	}
	return transform.NewReader(r, decoder)
}

// A looseReader does what looseUTF8 does, in place: most text is the UTF-8 that it
// should be.
type looseReader struct {
	r     io.Reader
	held  [utf8.UTFMax]byte // octets that begin a rune
	n     int               // how many
	wrong io.Reader         // from where it turned out to be no UTF-8; nil: not so far
}

// minLoose is what a buffer has room for at least, to be read into.
const minLoose = 2 * utf8.UTFMax

func (l *looseReader) Read(b []byte) (int, error) {
	if l.wrong != nil {
		return l.wrong.Read(b)
	}
	if len(b) < minLoose {
		return l.convert(nil, nil, b)
	}
	n := copy(b, l.held[:l.n])
	got, err := l.r.Read(b[n:])
	text := b[:n+got]
	whole := len(text) - unfinished(text)
	if !utf8.Valid(text[:whole]) || err != nil && whole < len(text) {
		return l.convert(text, err, b)
	}
	l.n = copy(l.held[:], text[whole:])
	return whole, err
}

// convert goes on with what has to be converted: first text, or where there is
// none what is held, then what r has, unless that was err.
func (l *looseReader) convert(text []byte, err error, b []byte) (int, error) {
	if text == nil {
		text = l.held[:l.n]
	}
	rest := l.r
	if err != nil {
		rest = failing{err}
	}
	l.wrong = transform.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(text)), rest), looseUTF8{})
	return l.wrong.Read(b)
}

// failing is a reader that has ended.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// charsetDecoder returns what turns a charset into UTF-8. It never fails on
// any input.
func charsetDecoder(charset string) transform.Transformer {
	name, _, _ := strings.Cut(charset, "*") // RFC 2231, 5: charset*language
	name = strings.ToLower(strings.Trim(name, " \t'\""))
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit", "unknown", "x-unknown", "8bit":
		return looseUTF8{}
	case "utf-16": // RFC 2781, 4.3: big endian unless a mark says otherwise
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder()
	}
	if enc := findCharset(name); enc != nil {
		return enc.NewDecoder()
	}
	return looseUTF8{}
}

func findCharset(name string) encoding.Encoding {
	enc, err := htmlindex.Get(name)
	if err == nil && enc != encoding.Replacement {
		if enc == unicode.UTF8 {
			return nil
		}
		return enc
	}
	if enc, err = ianaindex.MIME.Encoding(name); err == nil && enc != nil {
		return enc
	}
	if i := strings.LastIndexAny(name, "-"); i > 0 && strings.HasPrefix(name, "cp") { // cp-1252
		if enc, err = htmlindex.Get("cp" + name[i+1:]); err == nil {
			return enc
		}
	}
	return nil
}

// looseUTF8 lets UTF-8 pass and takes every other octet for Windows-1252.
type looseUTF8 struct{ transform.NopResetter }

func (looseUTF8) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if n := copy(dst[nDst:], src[nSrc:][:asciiLen(src[nSrc:])]); n > 0 {
			nDst += n
			nSrc += n
			continue
		}
		if nDst == len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		r, n := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && n <= 1 {
			if !atEOF && !utf8.FullRune(src[nSrc:]) {
				return nDst, nSrc, transform.ErrShortSrc
			}
			r, n = charmap.Windows1252.DecodeByte(src[nSrc]), 1
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += n
	}
	return nDst, nSrc, nil
}

// toUTF8 converts b.
func toUTF8(b []byte, charset string) []byte {
	out, _, err := transform.Bytes(charsetDecoder(charset), b)
	if err != nil {
		out, _, _ = transform.Bytes(looseUTF8{}, b) // never fails
	}
	return out
}

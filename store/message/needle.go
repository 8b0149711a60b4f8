package message

import (
	"bufio"
	"bytes"
	"io"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A Needle is a string that is looked for without regard to case, in any
// script, and however accented letters are composed (RFC 5051). It is never
// changed, so several goroutines may use it.
type Needle struct{ folded []byte }

// NewNeedle returns a Needle for UTF-8 text.
func NewNeedle(s string) *Needle { return &Needle{appendFolded(nil, []byte(s))} }

// The sizes of what is held while text is searched or folded.
const (
	rawPiece    = 4 << 10
	foldedPiece = 16 << 10 // an octet of raw text becomes four at most, nearly always
)

// A pieceBuffer is what is held while text is searched or folded.
type pieceBuffer struct {
	raw    []byte // rawPiece octets
	folded []byte // empty
	lines  *bufio.Reader
}

var pieceBuffers = sync.Pool{New: func() any {
	return &pieceBuffer{make([]byte, rawPiece), make([]byte, 0, foldedPiece), bufio.NewReaderSize(nil, lineBuffer)}
}}

// In reports whether UTF-8 text holds the needle.
func (n *Needle) In(s string) bool {
	if len(s) > rawPiece {
		return bytes.Contains(appendFolded(nil, []byte(s)), n.folded)
	}
	box := pieceBuffers.Get().(*pieceBuffer)
	defer pieceBuffers.Put(box)
	return bytes.Contains(appendFolded(box.folded, box.raw[:copy(box.raw, s)]), n.folded)
}

// foldReader folds UTF-8 text and shows it to f in pieces, which are valid until
// f returns. The next piece begins with as many octets of this one as f says.
// It ends when f wants no more. The error is that of the reader.
func foldReader(box *pieceBuffer, r io.Reader, f func(folded []byte) (keep int, more bool)) error {
	raw, folded := box.raw, box.folded
	rest := 0 // octets of an unfinished rune at the start of raw
	for {
		got, err := r.Read(raw[rest:])
		text := raw[:rest+got]
		whole := len(text)
		if err == nil {
			whole -= unfinished(text)
		}
		folded = appendFolded(folded, text[:whole])
		keep, more := f(folded)
		if !more || err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		folded = append(folded[:0], folded[len(folded)-keep:]...)
		rest = copy(raw, text[whole:])
	}
}

// unfinished is how many octets at the end of b begin a rune that is not all
// there.
func unfinished(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// appendFolded appends UTF-8 text with its differences of case and of
// composition taken away. What it appends is UTF-8 whatever comes, and of a
// text cut between runes it makes the same as of the whole.
func appendFolded(dst, text []byte) []byte {
	for {
		n := asciiLen(text)
		dst = asciiLower(dst, text[:n])
		if text = text[n:]; len(text) == 0 {
			return dst
		}
		p := norm.NFKD.Properties(text)
		r, size := utf8.DecodeRune(text)
		if d := p.Decomposition(); d != nil && size == p.Size() {
			for len(d) > 0 {
				r, n := utf8.DecodeRune(d)
				dst = utf8.AppendRune(dst, foldRune(r))
				d = d[n:]
			}
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		text = text[size:]
	}
}

func foldRune(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }

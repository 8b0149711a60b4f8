package message

import (
	"bytes"
	"io"
	"strings"
)

// A Search is a text that is looked for in one place of messages: a needle, and
// the segments of WriteSearchText that may hold it. It is never changed, so
// several goroutines may use it.
type Search struct {
	needle []byte // folded
	prefix []byte // what a segment must begin with
	header bool   // the fields of the message's own header are looked through
	body   bool   // all other segments are
}

// TextSearch looks for text in the header and the body (RFC 9051, 6.4.4: TEXT).
func TextSearch(text string) *Search {
	return &Search{needle: NewNeedle(text).folded, header: true, body: true}
}

// BodySearch looks for text in the body (BODY).
func BodySearch(text string) *Search { return &Search{needle: NewNeedle(text).folded, body: true} }

// FieldSearch looks for text in the values of the fields of that name in the
// message's own header (HEADER). Names are ASCII, in any case of their letters; no
// field has another one.
func FieldSearch(name, text string) *Search {
	return &Search{needle: NewNeedle(text).folded, prefix: asciiLower(nil, []byte(name+": ")), header: canBeField(name)}
}

// canBeField reports whether a field may have the name. What ends a name is in none.
func canBeField(name string) bool { return isASCII([]byte(name)) && strings.IndexByte(name, ':') < 0 }

// Parts returns what the text that WriteSearchText writes of a message holds,
// each within a segment, where the search finds something: what can be ruled out
// without the text. They must not be changed.
func (q *Search) Parts() [][]byte { return [][]byte{q.prefix, q.needle} }

// InMessage looks into a message in wire form. The error is that of wire.
func (q *Search) InMessage(wire io.ReaderAt, s *Structure) (found bool, err error) {
	look := textLook{q: q}
	walk := newTextWalk(wire, s, &look)
	defer walk.close()
	if q.header {
		err = walk.header(0)
	}
	if err == nil && q.body {
		err = walk.body()
	}
	return look.found, err
}

// InText looks into what WriteSearchText has written of a message, the first head
// octets of it of the header. It answers as InMessage does, and for a text that
// was cut as far as it goes. The error is that of text.
func (q *Search) InText(text io.Reader, head int64) (found bool, err error) {
	if !q.body {
		text = io.LimitReader(text, head)
	}
	if !q.header {
		if _, err := io.CopyN(io.Discard, text, head); err != nil {
			if err == io.EOF {
				err = nil
			}
			return false, err
		}
	}
	look := textLook{q: q}
	err = readSegments(text, &look)
	return look.found, err
}

// readSegments goes through segments that are written down.
func readSegments(text io.Reader, to textTaker) error {
	box := pieceBuffers.Get().(*pieceBuffer)
	defer pieceBuffers.Put(box)
	buf := box.folded[:cap(box.folded)]
	kept := 0 // octets at the start of buf that to wants to see again
	for {
		n, err := text.Read(buf[kept:])
		rest, more := takeSegments(buf[:kept+n], to)
		if !more || err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if kept = copy(buf, rest); kept > len(buf)/2 { // a needle as long as that
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// takeSegments hands on what b holds and returns what is to come again.
func takeSegments(b []byte, to textTaker) (rest []byte, more bool) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, SegmentEnd)
		if i < 0 {
			keep, more := to.piece(b)
			return b[len(b)-keep:], more
		}
		if _, more := to.piece(b[:i]); !more || !to.end() {
			return nil, false
		}
		b = b[i+1:]
	}
	return nil, true
}

// textLook looks into segments.
type textLook struct {
	q      *Search
	inside bool // the segment at hand begins as it should
	not    bool // it does not
	found  bool
}

func (l *textLook) piece(folded []byte) (keep int, more bool) {
	if l.not {
		return 0, true
	}
	if !l.inside {
		n := min(len(folded), len(l.q.prefix))
		l.not = !bytes.Equal(folded[:n], l.q.prefix[:n])
		if l.inside = !l.not && n == len(l.q.prefix); !l.inside {
			return n, true
		}
		folded = folded[n:]
	}
	l.found = bytes.Contains(folded, l.q.needle)
	return min(len(folded), max(0, len(l.q.needle)-1)), !l.found
}

func (l *textLook) end() (more bool) {
	l.inside, l.not = false, false
	return true
}

package message

import (
	"cmp"
	"io"
)

// SegmentEnd ends each segment of the text that WriteSearchText writes. It is no
// part of UTF-8, so that no needle reaches from one segment into the next.
const SegmentEnd = 0xFF

// WriteSearchText writes the text that SEARCH looks through to w: folded, in
// segments, each with SegmentEnd behind it. A segment is a header field, "name:
// value" with the value decoded, behind a space where the name is not ASCII, or the
// text of a part, decoded; what is no text is not read. First come the fields of the message's own header, head octets in
// all, then the body: the fields of parts and of messages inside, and their
// texts, in the order of the parts. Text in an unknown encoding stays as it is.
//
// wire is the message in wire form. An error of w ends it and is returned, as
// are errors of wire; head then is what was written of the header.
func WriteSearchText(w io.Writer, wire io.ReaderAt, s *Structure) (head int64, err error) {
	out := textOutput{w: w}
	walk := newTextWalk(wire, s, &out)
	defer walk.close()
	err = walk.header(0)
	head = out.n
	if err == nil {
		err = walk.body()
	}
	return head, cmp.Or(out.err, err)
}

// A textTaker takes the segments of a message's text, folded.
type textTaker interface {
	// piece takes a piece of the segment at hand, which is valid until it returns.
	// The next piece of the segment begins with as many octets of this one as it
	// says. The walk ends when it wants no more.
	piece(folded []byte) (keep int, more bool)
	// end ends the segment at hand.
	end() (more bool)
}

// A textWalk goes through the segments of a message's text.
type textWalk struct {
	wire io.ReaderAt
	s    *Structure
	to   textTaker
	done bool // to wants no more
	box  *pieceBuffer
}

func newTextWalk(wire io.ReaderAt, s *Structure, to textTaker) textWalk {
	return textWalk{wire: wire, s: s, to: to, box: pieceBuffers.Get().(*pieceBuffer)}
}

func (w *textWalk) close() {
	w.box.lines.Reset(nil) // it would keep the message
	pieceBuffers.Put(w.box)
}

// header goes through the fields of a part's header.
func (w *textWalk) header(part int) error {
	l := lines{r: w.box.lines}
	l.r.Reset(w.section(w.s.Parts[part].Header))
	return l.scan(func(name string, value []byte) bool {
		text := w.box.raw[:0]
		if !canBeField(name) { // folded, it could be taken for another one
			text = append(text, ' ')
		}
		text = append(append(text, name...), ": "...)
		text = appendHeaderText(text, value)
		_, more := w.to.piece(appendFolded(w.box.folded, text))
		w.done = !more || !w.to.end()
		return !w.done
	})
}

// body goes through all segments but those of the message's own header.
func (w *textWalk) body() error {
	for i := 0; i < len(w.s.Parts) && !w.done; i++ {
		if i > 0 {
			if err := w.header(i); err != nil {
				return err
			}
		}
		if p := &w.s.Parts[i]; p.isText() && !w.done {
			if err := w.text(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *textWalk) text(p *Part) error {
	err := foldReader(w.box, NewTextReader(w.section(p.Body), p.Encoding, p.Charset), func(folded []byte) (keep int, more bool) {
		keep, more = w.to.piece(folded)
		w.done = !more
		return keep, more
	})
	if err == nil && !w.done {
		w.done = !w.to.end()
	}
	return err
}

func (w *textWalk) section(r Range) io.Reader { return io.NewSectionReader(w.wire, r.Offset, r.Len) }

// isText reports whether the part is a leaf of text.
func (p *Part) isText() bool { return p.First == 0 && (p.Type == "TEXT" || p.Type == "") }

// textOutput writes segments.
type textOutput struct {
	w   io.Writer
	n   int64
	err error
}

func (o *textOutput) piece(folded []byte) (keep int, more bool) {
	_, o.err = o.w.Write(folded)
	o.n += int64(len(folded))
	return 0, o.err == nil
}

func (o *textOutput) end() (more bool) {
	_, more = o.piece([]byte{SegmentEnd})
	return more
}

package message

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// StoredEnvelope returns the ENVELOPE in what AppendBinary wrote, a part of b,
// without decoding the rest. The caller knows that b is whole.
func StoredEnvelope(b []byte) ([]byte, error) {
	r := readStored(b)
	if r.bad {
		return nil, errBinary
	}
	return r.part.envelope, nil
}

// AppendStoredBodyStructure appends the BODYSTRUCTURE in what AppendBinary
// wrote, as Decode and AppendBodyStructure would, but without allocating. The
// caller knows that b is whole. On an error dst is as it was.
func AppendStoredBodyStructure(dst, b []byte) ([]byte, error) {
	r := readStored(b)
	out := r.appendBody(dst, 0)
	if r.bad || r.at != r.count || len(r.b) > 0 {
		return dst, errBinary
	}
	return out, nil
}

// A storedReader passes over the compact form, a part at a time. It fails once
// and then stays failed.
type storedReader struct {
	b     []byte
	bad   bool
	count uint64
	at    uint64 // index of part
	part  storedPart
}

// A storedPart is what BODYSTRUCTURE needs of a part.
type storedPart struct {
	parent      uint64 // one more than its index
	size, lines uint64
	multipart   bool
	fields, ext []byte
	envelope    []byte
}

// readStored reads up to the first part.
func readStored(b []byte) storedReader {
	if len(b) < 2 || b[0] != binaryVersion {
		return storedReader{bad: true}
	}
	r := storedReader{b: b[2:]}
	r.number() // size
	r.number() // lines
	r.text()   // References
	r.count = r.number()
	r.read()
	return r
}

func (r *storedReader) read() {
	p := &r.part
	p.parent = r.number()
	r.number() // header.offset
	r.number() // header.len
	p.size, p.lines = r.number(), r.number()
	m := r.take(1)
	p.multipart = len(m) == 1 && m[0] == 1
	p.fields, p.ext, p.envelope = r.text(), r.text(), r.text()
}

// next goes on to the next part, if there is one.
func (r *storedReader) next() {
	if r.at++; r.at < r.count {
		r.read()
	}
}

// hasChild reports whether the part at hand is a child of the one at index parent.
func (r *storedReader) hasChild(parent uint64) bool {
	return !r.bad && r.at < r.count && r.part.parent == parent+1
}

// appendBody appends the part at hand, whose children come next, as
// Structure.appendBody does.
func (r *storedReader) appendBody(dst []byte, depth int) []byte {
	if r.bad = r.bad || depth > maxDepth+1; r.bad {
		return dst
	}
	p, at := r.part, r.at
	r.next()
	dst = append(dst, '(')
	if p.multipart {
		for r.hasChild(at) {
			dst = r.appendBody(dst, depth+1)
		}
		dst = append(append(dst, ' '), p.fields...)
		return append(append(append(dst, ' '), p.ext...), ')')
	}
	dst = append(append(dst, p.fields...), ' ')
	dst = strconv.AppendUint(dst, p.size, 10)
	message := r.hasChild(at)
	if message {
		dst = append(append(dst, ' '), r.part.envelope...)
		dst = r.appendBody(append(dst, ' '), depth+1)
	}
	if message || len(p.fields) >= 6 && bytes.EqualFold(p.fields[:6], []byte(`"TEXT"`)) {
		dst = strconv.AppendUint(append(dst, ' '), p.lines, 10)
	}
	return append(append(append(dst, ' '), p.ext...), ')')
}

func (r *storedReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *storedReader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.take(uint64(n))
	return v
}

func (r *storedReader) text() []byte { return r.take(r.number()) }

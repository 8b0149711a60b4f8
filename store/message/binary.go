package message

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// binaryVersion is the first octet of the compact form. A cache that starts
// with another one is to be made again.
const binaryVersion = 1

const (
	binaryBareLF = 1 << iota
	binaryNUL
)

var errBinary = errors.New("the stored structure is damaged")

// AppendBinary appends a compact form of all that the Structure holds, which
// Decode reads. It does not depend on word size or byte order.
//
//	version flags size lines references count part...
//	part: parent header.offset header.len body.len lines fields ext envelope
//
// Numbers are unsigned varints, texts have their length before them. The
// parent is one more than its index, the offset is relative to the part
// before, the rest of a Part follows from these.
func (s *Structure) AppendBinary(dst []byte) []byte {
	flags := byte(0)
	if !s.CRLF {
		flags |= binaryBareLF
	}
	if s.HasNUL {
		flags |= binaryNUL
	}
	dst = append(dst, binaryVersion, flags)
	dst = binary.AppendUvarint(dst, uint64(s.Size))
	dst = binary.AppendUvarint(dst, uint64(s.Lines))
	dst = appendText(dst, s.References)
	dst = binary.AppendUvarint(dst, uint64(len(s.Parts)))
	last := int64(0)
	for i := range s.Parts {
		p := &s.Parts[i]
		dst = binary.AppendUvarint(dst, uint64(p.Parent+1))
		dst = binary.AppendUvarint(dst, uint64(p.Header.Offset-last))
		last = p.Header.Offset
		dst = binary.AppendUvarint(dst, uint64(p.Header.Len))
		dst = binary.AppendUvarint(dst, uint64(p.Body.Len))
		dst = binary.AppendUvarint(dst, uint64(p.Lines))
		multipart := byte(0)
		if p.IsMultipart() {
			multipart = 1
		}
		dst = append(dst, multipart)
		dst = appendText(dst, p.fields)
		dst = appendText(dst, p.ext)
		dst = appendText(dst, p.envelope)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// Decode reads what AppendBinary wrote. Anything else is an error; what it
// accepts is a tree whose parts lie within their parents and whose answers are
// valid, so that a damaged cache can do no harm.
func Decode(b []byte) (*Structure, error) {
	d := decoder{s: string(b)}
	s := d.structure()
	if d.err == nil && len(d.s) > 0 {
		d.err = errBinary
	}
	if d.err == nil {
		d.err = s.check()
	}
	if d.err != nil {
		return nil, fmt.Errorf("reading a message structure of %d octets: %w", len(b), d.err)
	}
	return s, nil
}

type decoder struct {
	s   string
	err error
}

func (d *decoder) structure() *Structure {
	version, flags := d.byte(), d.byte()
	if version != binaryVersion {
		d.err = errBinary
	}
	s := &Structure{CRLF: flags&binaryBareLF == 0, HasNUL: flags&binaryNUL != 0}
	s.Size, s.Lines = d.number(), d.number()
	s.References = d.text()
	n := d.number()
	if d.err != nil || n < 1 || n > maxParts+maxDepth || n > int64(len(d.s)) {
		d.err = errBinary
		return s
	}
	s.Parts = make([]Part, n)
	last := make([]int32, n) // the latest child of each
	offset := int64(0)
	for i := range s.Parts {
		p := &s.Parts[i]
		parent := d.number() - 1
		offset += d.number()
		p.Header = Range{offset, d.number()}
		p.Body = Range{p.Header.End(), d.number()}
		p.Lines = d.number()
		multipart := d.byte()
		p.fields, p.ext, p.envelope = d.text(), d.text(), d.text()
		p.derive(multipart == 1, d)
		if d.err != nil || parent >= int64(i) || (parent < 0) != (i == 0) || offset < 0 || multipart > 1 {
			d.err = errBinary
			return s
		}
		p.Parent = int32(parent)
		if i == 0 {
			continue
		}
		if l := last[parent]; l == 0 {
			s.Parts[parent].First = int32(i)
		} else {
			s.Parts[l].Next = int32(i)
		}
		last[parent] = int32(i)
	}
	return s
}

// derive sets what follows from the texts of a part, and checks those.
func (p *Part) derive(multipart bool, d *decoder) {
	a := answer{s: p.fields, err: d.err}
	typ := "multipart"
	if !multipart {
		typ = a.string()
		a.byte(' ')
	}
	p.Type, p.Subtype = upper(typ), upper(a.string())
	a.byte(' ')
	params := a.params()
	if !multipart {
		a.byte(' ')
		a.nstring()
		a.byte(' ')
		a.nstring()
		a.byte(' ')
		p.Encoding = parseEncoding(a.string())
	}
	if p.Type == "TEXT" {
		m := mimeFields{params: params}
		p.Charset = m.charsetParam()
	}
	d.err = a.end()
	if p.IsMultipart() != multipart {
		d.err = errBinary
	}
	ext := answer{s: p.ext, err: d.err}
	if !multipart {
		ext.nstring()
		ext.byte(' ')
	}
	ext.list(true, func() {
		ext.string()
		ext.byte(' ')
		ext.params()
	})
	ext.byte(' ')
	ext.list(true, func() { ext.string() })
	ext.byte(' ')
	ext.nstring()
	d.err = ext.end()
}

func (d *decoder) byte() byte {
	if len(d.s) == 0 {
		d.err = errBinary
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

// number reads a varint that fits an int64 with room to add a few.
func (d *decoder) number() int64 {
	var n uint64
	for shift := 0; shift < 63; shift += 7 {
		c := d.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if n > 1<<56 {
				break
			}
			return int64(n)
		}
	}
	d.err = errBinary
	return 0
}

func (d *decoder) text() string {
	n := d.number()
	if d.err != nil || n > int64(len(d.s)) {
		d.err = errBinary
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

// check verifies the tree: depth first, parts in their parents and one after
// another, an ENVELOPE where one belongs.
func (s *Structure) check() error {
	depth := make([]int, len(s.Parts))
	for i := range s.Parts {
		p := &s.Parts[i]
		container := p.IsMultipart() || p.IsMessage()
		if container != (p.First != 0) || p.IsMessage() && s.Parts[p.First].Next != 0 {
			return errBinary
		}
		message := i == 0
		outer := Range{0, s.Size}
		if i > 0 {
			parent := &s.Parts[p.Parent]
			message = parent.IsMessage()
			outer = parent.Body
			depth[i] = depth[p.Parent] + 1
		}
		if p.Header.Offset < outer.Offset || p.Body.End() > outer.End() || p.Lines > s.Lines || depth[i] > maxDepth+1 {
			return errBinary
		}
		if p.Next != 0 && s.Parts[p.Next].Header.Offset < p.Body.End() {
			return errBinary
		}
		if i > 0 && !s.follows(i) {
			return errBinary
		}
		if message != (p.envelope != "") {
			return errBinary
		}
		if message {
			if _, err := parseEnvelope(p.envelope); err != nil {
				return err
			}
		}
	}
	return nil
}

// follows says whether part i stands where depth first order has it: it is
// the first child of the part before, or the next of one of its ancestors.
func (s *Structure) follows(i int) bool {
	p := &s.Parts[i]
	if s.Parts[p.Parent].First == int32(i) {
		return int(p.Parent) == i-1
	}
	for at := int32(i - 1); at > 0; at = s.Parts[at].Parent {
		if s.Parts[at].Next == int32(i) {
			return true
		}
	}
	return false
}

package index

import (
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/s2"
)

// Texts are packed in blocks, each by itself: octets that follow (u16), then a block
// of S2. The text of letters takes two thirds of its room then, where DEFLATE at its
// fastest leaves half; but DEFLATE takes eight times as long to pack and a megabyte
// to work in, and it is the processor that deliveries and searches wait for.
const (
	packBlock  = 32 << 10 // octets of text in a block, at most
	packHeader = 2
)

// mostPacked is what a block may take, packed.
var mostPacked = s2.MaxEncodedLen(packBlock)

// A packer packs one text after the other. Its memory is one block and what is
// packed.
type packer struct {
	packed []byte
	block  [packBlock]byte
	n      int
}

func (p *packer) add(text []byte) {
	for len(text) > 0 {
		n := copy(p.block[p.n:], text)
		text = text[n:]
		if p.n += n; p.n == packBlock {
			p.flush()
		}
	}
}

// flush packs what is in the block.
func (p *packer) flush() {
	if p.n == 0 {
		return
	}
	start := len(p.packed)
	at := start + packHeader
	p.packed = slices.Grow(p.packed, packHeader+s2.MaxEncodedLen(p.n))
	n := len(s2.Encode(p.packed[at:cap(p.packed)], p.block[:p.n]))
	p.packed = p.packed[:at+n]
	le.PutUint16(p.packed[start:], uint16(n))
	p.n = 0
}

// reset forgets the text, for a new one. What was packed is not used again.
func (p *packer) reset() { p.packed, p.n = p.packed[:0], 0 }

var errUnpack = errors.New("the packed text is damaged")

// An unpacker reads a text from what was packed, however damaged that is, in the
// memory of two blocks.
type unpacker struct {
	packed io.Reader
	in     []byte
	block  [packBlock]byte
	text   []byte // of block, what has not been read yet
}

func (u *unpacker) reset(packed io.Reader) { u.packed, u.text = packed, nil }

func (u *unpacker) Read(b []byte) (int, error) {
	if len(u.text) == 0 {
		if err := u.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, u.text)
	u.text = u.text[n:]
	return n, nil
}

// next unpacks a block.
func (u *unpacker) next() error {
	var head [packHeader]byte
	if _, err := io.ReadFull(u.packed, head[:]); err != nil {
		return err // io.EOF at the end
	}
	n := int(le.Uint16(head[:]))
	if n > mostPacked {
		return errUnpack
	}
	if u.in == nil {
		u.in = make([]byte, mostPacked)
	}
	in := u.in[:n]
	if _, err := io.ReadFull(u.packed, in); err != nil {
		return errUnpack
	}
	size, err := s2.DecodedLen(in)
	if err != nil || size == 0 || size > packBlock {
		return errUnpack
	}
	if u.text, err = s2.Decode(u.block[:], in); err != nil {
		return errUnpack
	}
	return nil
}

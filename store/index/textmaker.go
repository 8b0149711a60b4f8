package index

import (
	"errors"
	"hash/crc32"
	"sync"
)

// The bounds of what is kept of one message's text. A text that passes one is
// cut there, and what is not found in it has to be looked for in the message.
const (
	maxText   = 1 << 20   // octets
	maxPacked = 256 << 10 // octets, packed
)

// ErrTextFull says that a text is as long as texts may be.
var ErrTextFull = errors.New("the text is cut here")

// A TextMaker makes entries for text files, one after the other, in 100 KiB of
// memory and what the text takes, packed. It is for one goroutine.
type TextMaker struct {
	signer signer
	packer packer
	size   int
	cut    bool
}

// NewTextMaker returns a TextMaker ready for a text.
func NewTextMaker() *TextMaker { return &TextMaker{} }

// Write adds to the text: UTF-8 in segments that an octet 0xFF ends. Once the text
// is as long as it may be, the error is ErrTextFull.
func (t *TextMaker) Write(text []byte) (int, error) {
	n := min(len(text), maxText-t.size)
	t.signer.add(text[:n])
	t.packer.add(text[:n])
	t.size += n
	if n < len(text) || len(t.packer.packed) > maxPacked {
		t.cut = true
		return n, ErrTextFull
	}
	return n, nil
}

// Entry returns the entry of the text, whose first head octets are those of the
// message's header, and makes the TextMaker ready for the next one.
func (t *TextMaker) Entry(head int64) *TextEntry {
	t.packer.flush()
	packed := t.packer.packed
	sig := t.signer.signature()
	b := entryBuffer(textHeader + len(sig) + len(packed))[:textHeader]
	e := &TextEntry{b: append(append(b, sig...), packed...), head: textHead{
		cut: t.cut, size: uint32(t.size), head: uint32(head),
		signature: uint32(len(sig)), signatureSum: crc32.Checksum(sig, castagnoli),
		packed: uint32(len(packed)), packedSum: crc32.Checksum(packed, castagnoli),
	}}
	t.Reset()
	return e
}

// Reset forgets the text, for a new one.
func (t *TextMaker) Reset() {
	t.signer.reset()
	t.packer.reset()
	t.size, t.cut = 0, false
	if cap(t.packer.packed) > maxKeptPacked {
		t.packer.packed = nil
	}
}

// maxKeptPacked is how large a buffer a TextMaker keeps from one text to the next.
const maxKeptPacked = 32 << 10

// A TextEntry is a message's text as a text file holds it: signature and text,
// packed. It can be appended once.
type TextEntry struct {
	head textHead
	b    []byte // room for the head, then signature and packed text
}

// entryBuffers hold what entries were made in, after they have been appended.
var entryBuffers sync.Pool

// entryBuffer returns a buffer with room for n octets.
func entryBuffer(n int) []byte {
	if b, ok := entryBuffers.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:0]
	}
	return make([]byte, 0, max(n, minEntryBuffer))
}

const (
	minEntryBuffer = 8 << 10 // so that most fit
	maxEntryBuffer = 32 << 10
)

// giveBack ends the use of the entry.
func (e *TextEntry) giveBack() {
	if b := e.b; cap(b) <= maxEntryBuffer {
		entryBuffers.Put(&b)
	}
	e.b = nil
}

const (
	textMagic  = 0x4C54
	textHeader = 2 + 2 + 7*4 + 4
)

// A textHead begins each entry of a text file.
type textHead struct {
	uid          uint32
	cut          bool   // the message has more text
	size         uint32 // octets of text
	head         uint32 // those of the message's header
	signature    uint32 // octets
	signatureSum uint32
	packed       uint32 // octets
	packedSum    uint32
}

// put writes the head to the first textHeader octets of b.
func (h *textHead) put(b []byte) {
	le.PutUint16(b, textMagic)
	le.PutUint16(b[2:], uint16(octet(h.cut)))
	for i, v := range []uint32{h.uid, h.size, h.head, h.signature, h.signatureSum, h.packed, h.packedSum} {
		le.PutUint32(b[4+4*i:], v)
	}
	le.PutUint32(b[textHeader-4:], crc32.Checksum(b[:textHeader-4], castagnoli))
}

// readTextHead reads the head of the entry in b; ErrNoData if it is not one of
// message uid that is n octets long.
func readTextHead(b []byte, uid uint32, n int64) (h textHead, err error) {
	if len(b) < textHeader || le.Uint16(b) != textMagic || le.Uint32(b[textHeader-4:]) != crc32.Checksum(b[:textHeader-4], castagnoli) {
		return h, ErrNoData
	}
	h.cut = le.Uint16(b[2:]) == 1
	for i, v := range []*uint32{&h.uid, &h.size, &h.head, &h.signature, &h.signatureSum, &h.packed, &h.packedSum} {
		*v = le.Uint32(b[4+4*i:])
	}
	if h.uid != uid || h.length() != n || h.size > maxText || h.head > h.size || h.signature < minSignature || h.signature > maxSignature || h.signature&(h.signature-1) != 0 {
		return h, ErrNoData
	}
	return h, nil
}

// length returns how many octets the entry takes.
func (h *textHead) length() int64 { return textHeader + int64(h.signature) + int64(h.packed) }

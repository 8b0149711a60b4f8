package index

import "math/bits"

// A signature says which trigrams, three octets that follow each other, a text
// can hold: a bit for each hash of one. It can say that a text holds no such
// trigram, never that it does. Its size is a power of two, so that its halves
// can be laid over each other: the hash modulo the new size still is its bit.
const (
	minSignature = 1 << 5  // octets
	maxSignature = 1 << 11 // octets
)

// segmentEnd is an octet that ends a segment of text: no trigram reaches over it.
const segmentEnd = 0xFF

// trigramHash returns the bit of a trigram in a signature of maxSignature.
func trigramHash(trigram uint32) uint32 {
	h := trigram * 0x9E3779B1 // Knuth's multiplicative hash: the golden ratio
	return (h ^ h>>15) % (maxSignature * 8)
}

// A signer makes the signature of a text that comes in pieces.
type signer struct {
	bits  [maxSignature]byte
	last  uint32 // the last three octets
	whole int    // how many of them are of this segment
}

func (s *signer) reset() { *s = signer{} }

func (s *signer) add(text []byte) {
	last, whole := s.last, s.whole
	for _, c := range text {
		if c == segmentEnd {
			whole = 0
			continue
		}
		last = (last<<8 | uint32(c)) & 0xFFFFFF
		if whole < 2 {
			whole++
			continue
		}
		h := trigramHash(last)
		s.bits[h/8] |= 1 << (h % 8)
	}
	s.last, s.whole = last, whole
}

// signature returns the signature, valid until the next use, as small as it can
// be with no more than a third of its bits set. Smaller ones would cost more time than
// they save: what a signature does not rule out is unpacked and looked through.
func (s *signer) signature() []byte {
	sig := s.bits[:]
	for len(sig) > minSignature {
		half := len(sig) / 2
		set := 0
		for i, b := range sig[:half] {
			set += bits.OnesCount8(b | sig[half+i])
		}
		if 3*set > half*8 {
			break
		}
		for i, b := range sig[half:] {
			sig[i] |= b
		}
		sig = sig[:half]
	}
	return sig
}

// mayHold reports whether the text of a signature can hold part, which is
// within a segment.
func mayHold(signature, part []byte) bool {
	size := uint32(len(signature)) * 8
	for i := 0; i+3 <= len(part); i++ {
		h := trigramHash(uint32(part[i])<<16|uint32(part[i+1])<<8|uint32(part[i+2])) % size
		if signature[h/8]&(1<<(h%8)) == 0 {
			return false
		}
	}
	return true
}

package message

import "slices"

// Range is a run of octets of a message in wire form.
type Range struct{ Offset, Len int64 }

// End is the offset of the first octet after the range.
func (r Range) End() int64 { return r.Offset + r.Len }

// Structure is what one pass over a message found. It is never changed after
// Close or Decode returned it and may be used by several goroutines.
type Structure struct {
	Size   int64 // octets, wire form
	Lines  int64 // line ends in the whole message
	CRLF   bool  // the stored bytes are the wire form already: no bare LF
	HasNUL bool  // the message holds at least one NUL
	Parts  []Part

	// References is the unfolded raw value of the first References field, at
	// most maxReferences octets of it. The other fields that make a thread,
	// Message-ID and In-Reply-To, are in the ENVELOPE.
	References string
}

// Part is one node of the MIME tree. Parts stand in Structure.Parts depth
// first, a parent before its children; Parts[0] is the message itself.
//
// A multipart's children are its parts. A message/rfc822 (or message/global)
// has exactly one child, the message that it holds: that child's Header is the
// header of the embedded message. The child has no part number of its own.
type Part struct {
	Header Range // with the blank line that ends it
	Body   Range
	Lines  int64 // line ends in Body

	Type, Subtype string // upper case
	Encoding      Encoding
	Charset       string // of the charset parameter, as it came; "" where none is given

	Parent int32 // index into Structure.Parts; -1 for Parts[0]
	First  int32 // first child, 0 for none
	Next   int32 // next part with the same parent, 0 for none

	fields   string // BODYSTRUCTURE: from the media type up to the encoding
	ext      string // BODYSTRUCTURE: MD5 (not for multiparts) up to location
	envelope string // only of Parts[0] and of a message/rfc822's child
}

// IsMultipart says whether the children are parts of a multipart.
func (p *Part) IsMultipart() bool { return p.Type == "MULTIPART" }

// IsMessage says whether the body is a message, which is the only child.
func (p *Part) IsMessage() bool {
	return p.Type == "MESSAGE" && p.First != 0
}

// Children returns the indexes of the children of Parts[part].
func (s *Structure) Children(part int) []int {
	var list []int
	for c := s.Parts[part].First; c != 0; c = s.Parts[c].Next {
		list = append(list, int(c))
	}
	return list
}

// Find resolves an IMAP part number (RFC 9051, 6.4.5): every message has at
// least part 1; numbers below a message/rfc822 count the parts of the embedded
// message. The empty path is the message itself.
func (s *Structure) Find(path []int) (part int, ok bool) {
	at, message := 0, true // message: the next number counts in the message Parts[at]
	for _, n := range path {
		switch p := &s.Parts[at]; {
		case p.IsMultipart():
			if at, ok = s.child(at, n); !ok {
				return 0, false
			}
		case message:
			if n != 1 { // RFC 9051, 6.4.5: a non-multipart message has the single part 1
				return 0, false
			}
		default:
			return 0, false
		}
		message = false
		if s.Parts[at].IsMessage() && !slices.Equal(path, path[:0]) {
			message = true
		}
	}
	return at, true
}

func (s *Structure) child(part, n int) (int, bool) {
	c := s.Parts[part].First
	for ; n > 1 && c != 0; n-- {
		c = s.Parts[c].Next
	}
	return int(c), c != 0 && n == 1
}

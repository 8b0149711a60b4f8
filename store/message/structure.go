package message

// Range is a run of octets of a message in wire form.
type Range struct{ Offset, Len int64 }

// End is the offset of the first octet after the range.
func (r Range) End() int64 { return r.Offset + r.Len }

// Structure is what one pass over a message found. It is never changed after
// Close or Decode returned it, so several goroutines may use it.
type Structure struct {
	Size   int64 // octets, wire form
	Lines  int64 // line ends in the whole message
	CRLF   bool  // the stored bytes are the wire form already: no bare LF
	HasNUL bool  // the message holds at least one NUL
	Parts  []Part

	// References is the unfolded raw value of the first References field,
	// at most 8 KiB of it. The other fields that make a thread, Message-ID
	// and In-Reply-To, are in the ENVELOPE.
	References string
}

// Part is one node of the MIME tree. Parts stand in Structure.Parts depth
// first, a parent before its children; Parts[0] is the message itself.
//
// The children of a multipart are its parts; it has at least one. A
// message/rfc822 has exactly one child, the message that it holds: the child's
// Header is the header of the embedded message, and the child has no part
// number of its own unless it is the only part 1 of that message.
type Part struct {
	Header Range // with the blank line that ends it
	Body   Range // starts where Header ends
	Lines  int64 // line ends in Body

	Type, Subtype string // upper case
	Encoding      Encoding
	Charset       string // of text parts, as it came; "us-ascii" where none is given; "" for other types

	Parent int32 // index into Structure.Parts; -1 for Parts[0]
	First  int32 // first child; 0 for none
	Next   int32 // next child of the same parent; 0 for none

	fields   string // BODYSTRUCTURE from the media type up to the encoding; a multipart's subtype and parameters
	ext      string // BODYSTRUCTURE from the MD5 (a multipart's: the disposition) up to the location
	envelope string // ENVELOPE; only Parts[0] and the child of a message/rfc822 have one
}

// IsMultipart says whether the children are the parts of a multipart.
func (p *Part) IsMultipart() bool { return p.Type == "MULTIPART" }

// IsMessage says whether the body is a message/rfc822, whose message is the
// only child.
func (p *Part) IsMessage() bool { return p.Type == "MESSAGE" && p.Subtype == "RFC822" }

// Find resolves an IMAP part number (RFC 9051, 6.4.5). Every message has at
// least part 1; numbers below a message/rfc822 are those of the embedded
// message. The empty path is the message itself.
func (s *Structure) Find(path []int) (part int, ok bool) {
	at := 0
	whole := true // at is a whole message: its own number 1 has not been used up
	for _, n := range path {
		if p := &s.Parts[at]; !whole && p.IsMessage() {
			at, whole = int(p.First), true
		}
		switch p := &s.Parts[at]; {
		case p.IsMultipart():
			if at = s.child(p, n); at == 0 {
				return 0, false
			}
		case !whole || n != 1: // RFC 9051, 6.4.5: what is no multipart has only part 1
			return 0, false
		}
		whole = false
	}
	return at, true
}

// child returns the index of the n-th child (from 1), or 0.
func (s *Structure) child(p *Part, n int) int {
	if n < 1 {
		return 0
	}
	c := p.First
	for ; n > 1 && c != 0; n-- {
		c = s.Parts[c].Next
	}
	return int(c)
}

// Section names what is wanted of a part, as in BODY[1.2.MIME].
type Section uint8

const (
	SectionBody   Section = iota // BODY[1.2]; with an empty path BODY[], the whole message
	SectionHeader                // BODY[HEADER], and BODY[1.2.HEADER] of a message/rfc822
	SectionText                  // BODY[TEXT], and BODY[1.2.TEXT] of a message/rfc822
	SectionMIME                  // BODY[1.2.MIME]
)

// Section resolves a part number and what is wanted of the part to octets. It
// is false where the message has no such part, or where RFC 9051, 6.4.5 does
// not define the section: HEADER and TEXT of a part that holds no message,
// MIME of the message itself.
func (s *Structure) Section(path []int, what Section) (Range, bool) {
	part, ok := s.Find(path)
	if !ok {
		return Range{}, false
	}
	p := &s.Parts[part]
	switch {
	case what == SectionBody && len(path) == 0:
		return Range{0, s.Size}, true
	case what == SectionBody:
		return p.Body, true
	case what == SectionMIME:
		return p.Header, len(path) > 0
	}
	if len(path) > 0 {
		if !p.IsMessage() {
			return Range{}, false
		}
		p = &s.Parts[p.First]
	}
	if what == SectionHeader {
		return p.Header, true
	}
	return p.Body, true
}

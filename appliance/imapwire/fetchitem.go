package imapwire

import (
	"math"
	"slices"
	"strconv"
)

// FetchKind says which data item of a message is meant.
type FetchKind uint8

// The data items of FETCH. Macros (ALL, FULL, FAST) are replaced by what they stand for.
const (
	FetchUID           FetchKind = iota + 1
	FetchFlags                   // FLAGS
	FetchInternalDate            // INTERNALDATE
	FetchSize                    // RFC822.SIZE
	FetchEnvelope                // ENVELOPE
	FetchBody                    // BODY, the structure without extension data
	FetchBodyStructure           // BODYSTRUCTURE
	FetchSection                 // BODY[section]<partial>, with Peek for BODY.PEEK
	FetchBinary                  // BINARY[part]<partial>, with Peek for BINARY.PEEK
	FetchBinarySize              // BINARY.SIZE[part]
	FetchRFC822                  // RFC822, with Peek for RFC822.PEEK (RFC 1730; old clients still send it)
	FetchRFC822Header            // RFC822.HEADER
	FetchRFC822Text              // RFC822.TEXT, with Peek for RFC822.TEXT.PEEK
	FetchModSeq                  // MODSEQ, RFC 7162
	FetchEmailID                 // EMAILID, RFC 8474
	FetchThreadID                // THREADID, RFC 8474
	FetchSaveDate                // SAVEDATE, RFC 8514
	FetchPreview                 // PREVIEW, RFC 8970, with Peek for PREVIEW (LAZY)
)

// FetchItem is one data item that FETCH asks for.
type FetchItem struct {
	Kind    FetchKind
	Peek    bool    // do not set \Seen; for PREVIEW: only if it costs nothing
	Section Section // of FetchSection, FetchBinary and FetchBinarySize
	Partial Partial // of FetchSection and FetchBinary
}

// Partial is the <offset.length> behind a section, in octets of the text (of the decoded text for BINARY).
type Partial struct {
	Set    bool  // whether there is one at all
	Offset int64 // may lie behind the end
	Length int64 // at least 1; Offset+Length does not overflow
}

// SetsSeen reports whether fetching the item sets \Seen (RFC 9051, 6.4.5).
func (i FetchItem) SetsSeen() bool {
	switch i.Kind {
	case FetchSection, FetchBinary, FetchRFC822, FetchRFC822Text:
		return !i.Peek
	}
	return false
}

// sameAnswer reports whether both items are answered by the same data.
func (i FetchItem) sameAnswer(o FetchItem) bool {
	return i.Kind == o.Kind && i.Partial == o.Partial && i.Section.Spec == o.Section.Spec &&
		slices.Equal(i.Section.Part, o.Section.Part) && slices.Equal(i.Section.Fields, o.Section.Fields)
}

// fetchItem reads the rest of the data item of that name (upper case), if there is such an item.
func (d *Decoder) fetchItem(name string) (i FetchItem, ok bool) {
	switch name {
	case "BODY.PEEK", "BODY", "BINARY", "BINARY.PEEK", "BINARY.SIZE":
		return d.sectionItem(name), true
	case "PREVIEW":
		i.Kind, i.Peek = FetchPreview, d.previewLazy()
		return i, true
	case "RFC822.PEEK":
		return FetchItem{Kind: FetchRFC822, Peek: true}, true
	case "RFC822.TEXT.PEEK":
		return FetchItem{Kind: FetchRFC822Text, Peek: true}, true
	}
	for k := FetchUID; k <= FetchPreview; k++ {
		if k.String() == name {
			return FetchItem{Kind: k}, true
		}
	}
	return FetchItem{}, false
}

// sectionItem reads the brackets and what follows of one of the items that have them.
func (d *Decoder) sectionItem(name string) (i FetchItem) {
	if name == "BODY" && d.peek() != '[' {
		return FetchItem{Kind: FetchBody}
	}
	switch name {
	case "BODY", "BODY.PEEK":
		i.Kind = FetchSection
		i.Section = d.section(name)
	case "BINARY", "BINARY.PEEK":
		i.Kind = FetchBinary
		i.Section = d.binarySection(name)
	case "BINARY.SIZE":
		i.Kind = FetchBinarySize
		i.Section = d.binarySection(name)
		return i
	}
	i.Peek = name == "BODY.PEEK" || name == "BINARY.PEEK"
	if d.peek() == '<' {
		i.Partial = d.partial()
	}
	return i
}

// partial reads <offset.length>.
func (d *Decoder) partial() Partial {
	p := Partial{Set: true}
	d.accept('<')
	p.Offset = d.number("the offset in <offset.length>")
	if !d.accept('.') {
		d.expected("a dot in <offset.length>")
	}
	p.Length = d.number("the length in <offset.length>")
	if !d.accept('>') {
		d.expected("a closing > in <offset.length>")
	}
	// RFC 9051, 9: partial = "<" number64 "." nz-number64 ">"
	if p.Length == 0 {
		d.fail("the length in <offset.length> must not be 0")
	}
	p.Length = min(p.Length, math.MaxInt64-p.Offset)
	return p
}

// previewLazy reads the one modifier there is of PREVIEW, (LAZY) (RFC 8970, 3.1). Other parentheses belong to the FETCH.
func (d *Decoder) previewLazy() bool {
	start := d.pos
	if d.skipSpaces() && d.accept('(') && d.acceptWord("LAZY") && d.accept(')') {
		return true
	}
	d.pos = start
	return false
}

// String returns the item's name on the wire, without brackets and PEEK.
func (k FetchKind) String() string {
	switch k {
	case FetchUID:
		return "UID"
	case FetchFlags:
		return "FLAGS"
	case FetchInternalDate:
		return "INTERNALDATE"
	case FetchSize:
		return "RFC822.SIZE"
	case FetchEnvelope:
		return "ENVELOPE"
	case FetchBody, FetchSection:
		return "BODY"
	case FetchBodyStructure:
		return "BODYSTRUCTURE"
	case FetchBinary:
		return "BINARY"
	case FetchBinarySize:
		return "BINARY.SIZE"
	case FetchRFC822:
		return "RFC822"
	case FetchRFC822Header:
		return "RFC822.HEADER"
	case FetchRFC822Text:
		return "RFC822.TEXT"
	case FetchModSeq:
		return "MODSEQ"
	case FetchEmailID:
		return "EMAILID"
	case FetchThreadID:
		return "THREADID"
	case FetchSaveDate:
		return "SAVEDATE"
	case FetchPreview:
		return "PREVIEW"
	}
	return ""
}

// AppendName appends the item's name as a FETCH response has it: as it was asked for, in capitals, without PEEK, and
// of a partial only the offset (RFC 9051, 7.5.2).
func (i FetchItem) AppendName(dst []byte) []byte {
	dst = append(dst, i.Kind.String()...)
	switch i.Kind {
	case FetchSection, FetchBinary, FetchBinarySize:
		dst = append(dst, '[')
		dst = i.Section.append(dst)
		dst = append(dst, ']')
	}
	if i.Partial.Set {
		dst = append(dst, '<')
		dst = strconv.AppendInt(dst, i.Partial.Offset, 10)
		dst = append(dst, '>')
	}
	return dst
}

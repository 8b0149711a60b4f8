package imapwire

import (
	"math"
	"strconv"
)

// SectionSpec says which text of a part is meant.
type SectionSpec uint8

// The section texts of RFC 9051, 6.4.5.1.
const (
	SectionAll             SectionSpec = iota // nothing named: the whole part or message
	SectionHeader                             // HEADER
	SectionHeaderFields                       // HEADER.FIELDS (Fields)
	SectionHeaderFieldsNot                    // HEADER.FIELDS.NOT (Fields)
	SectionText                               // TEXT
	SectionMIME                               // MIME, never without Part
)

// String returns the name on the wire.
func (s SectionSpec) String() string {
	switch s {
	case SectionHeader:
		return "HEADER"
	case SectionHeaderFields:
		return "HEADER.FIELDS"
	case SectionHeaderFieldsNot:
		return "HEADER.FIELDS.NOT"
	case SectionText:
		return "TEXT"
	case SectionMIME:
		return "MIME"
	}
	return ""
}

// Section is what stands in the brackets of BODY[...].
type Section struct {
	Part   []int // part numbers, each at least 1; empty for the message itself
	Spec   SectionSpec
	Fields []string // of HEADER.FIELDS and HEADER.FIELDS.NOT, as the client spelled them
}

// section reads the brackets of BODY and BODY.PEEK.
func (d *Decoder) section(item string) Section {
	var s Section
	if !d.accept('[') {
		d.expected("a section in brackets after " + item)
		return s
	}
	part, dot := d.sectionPart()
	s.Part = part
	if dot || len(part) == 0 && d.peek() != ']' {
		d.sectionSpec(&s)
	}
	if !d.accept(']') {
		d.expected("a bracket that closes the section")
	}
	return s
}

// binarySection reads the brackets of BINARY: part numbers or nothing (RFC 3516, 6: section-binary).
func (d *Decoder) binarySection(item string) Section {
	var s Section
	if !d.accept('[') {
		d.expected("a part number in brackets after " + item)
		return s
	}
	part, dot := d.sectionPart()
	if dot || !d.accept(']') {
		d.expected("nothing but a part number in the brackets of " + item)
	}
	s.Part = part
	return s
}

// sectionPart reads part numbers with dots between them and tells whether a dot followed the last.
func (d *Decoder) sectionPart() (part []int, dot bool) {
	for isDigit(d.peek()) {
		n := d.unsigned("a part number", math.MaxInt32)
		if d.err == nil && n == 0 {
			d.fail("0 is not a part number")
		}
		part = append(part, int(n))
		if len(part) > maxSectionParts {
			d.fail("a section has more than %d part numbers", maxSectionParts)
		}
		if dot = d.accept('.'); !dot {
			return part, false
		}
	}
	return part, dot
}

func (d *Decoder) sectionSpec(s *Section) {
	name := d.word("a section text")
	for spec := SectionHeader; spec <= SectionMIME; spec++ {
		if spec.String() == name {
			s.Spec = spec
		}
	}
	switch s.Spec {
	case SectionAll:
		d.fail("there is no section %s", name)
	case SectionMIME:
		// RFC 9051, 9: section-text = section-msgtext / "MIME", behind a part only.
		if len(s.Part) == 0 {
			d.fail("MIME needs a part number before it")
		}
	case SectionHeaderFields, SectionHeaderFieldsNot:
		d.space("a list of header fields")
		d.sectionFields(s)
	}
}

func (d *Decoder) sectionFields(s *Section) {
	n := d.list("the list of header fields", maxSectionFields, func() {
		s.Fields = append(s.Fields, d.fieldName())
	})
	if n == 0 {
		d.fail("the list of header fields is empty")
	}
}

// fieldName reads the name of a header field. One that can be no field's name is allowed, it is in no message, but for
// what would break the lines of the answer that repeats it.
func (d *Decoder) fieldName() string {
	name := d.astring("the name of a header field")
	for i := range len(name) {
		if c := name[i]; c < 0x20 || c >= 0x7f {
			d.fail("the name of a header field holds characters that no field has")
			return ""
		}
	}
	return name
}

// append appends what stands in the brackets.
func (s Section) append(dst []byte) []byte {
	for i, n := range s.Part {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	if s.Spec == SectionAll {
		return dst
	}
	if len(s.Part) > 0 {
		dst = append(dst, '.')
	}
	dst = append(dst, s.Spec.String()...)
	if s.Spec == SectionHeaderFields || s.Spec == SectionHeaderFieldsNot {
		dst = append(dst, " ("...)
		for i, f := range s.Fields {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = appendAString(dst, f, false)
		}
		dst = append(dst, ')')
	}
	return dst
}

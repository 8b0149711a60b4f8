package message

import "bytes"

// Parser finds the structure of the message that is written to it. It never
// fails and never keeps a line or a body: its memory is bounded by the limits
// of the package doc, and its time is linear in the message.
//
// A Parser is for one goroutine. After Close, Reset makes it ready for the
// next message.
type Parser struct {
	s     *Structure
	off   int64 // octets of wire form seen
	lines int64 // line ends seen
	bare  bool  // a bare LF was seen

	// The line at hand.
	lineOff int64  // where it starts
	begun   bool   // some of it was seen
	cr      bool   // a CR was seen that is text only if no LF follows
	decided bool   // kind is known; line is no longer needed
	line    []byte // its start, at most linePrefix octets, until decided
	kind    lineKind

	inHeader bool
	hdr      header
	open     []frame // the parts not ended yet, the message itself first
	live     int     // frames with a boundary that can still come
	sealed   bool    // a limit was passed: no boundary is looked for any more
	kept     int     // octets of text in s.Parts
}

// frame is a part that is not ended yet.
type frame struct {
	part      int32
	last      int32  // its latest child
	boundary  string // with the leading "--"; "" when none can come
	bodyLines int64  // line ends before its body
	message   bool   // its header is that of a message: it has an ENVELOPE
	digest    bool   // its parts are message/rfc822 by default
}

type lineKind uint8

const (
	lineText      lineKind = iota // nothing in it matters
	lineValue                     // the rest belongs to the field at hand
	lineBlank                     // ends the header
	lineDelimiter                 // a part starts after it
)

// NewParser returns a Parser for one message.
func NewParser() *Parser {
	p := &Parser{line: make([]byte, 0, linePrefix)}
	p.Reset()
	return p
}

// Reset forgets everything, for a new message. A Structure that Close returned
// stays as it is.
func (p *Parser) Reset() {
	value := p.hdr.value[:0]
	if cap(value) > maxKeptBuffer {
		value = nil
	}
	*p = Parser{s: &Structure{}, line: p.line[:0], open: p.open[:0], hdr: header{value: value}}
	p.s.Parts = make([]Part, 0, 4)
	p.begin(true, "text", "plain")
}

// Write takes the next bytes of the message, as they are stored. It always
// takes all of them and never returns an error.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	if !p.s.HasNUL {
		p.s.HasNUL = bytes.IndexByte(b, 0) >= 0
	}
	for len(b) > 0 {
		if !p.begun && !p.inHeader {
			b = p.skipBody(b)
		}
		if len(b) > 0 {
			b = p.piece(b)
		}
	}
	return n, nil
}

// skipBody passes over whole lines of a body as fast as it can, up to the
// first one that may be a delimiter or is not complete in b.
func (p *Parser) skipBody(b []byte) []byte {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 || p.live > 0 && i >= 2 && b[0] == '-' && b[1] == '-' {
			return b
		}
		p.off += int64(i) + 1
		if i == 0 || b[i-1] != '\r' {
			p.off++ // RFC 9051, 4.3: lines end with CRLF on the wire
			p.bare = true
		}
		p.lines++
		b = b[i+1:]
	}
}

// piece takes what b has of the line at hand and returns what comes after.
func (p *Parser) piece(b []byte) []byte {
	if !p.begun {
		p.begun, p.decided, p.lineOff, p.line = true, false, p.off, p.line[:0]
	}
	i := bytes.IndexByte(b, '\n')
	text := b
	if i >= 0 {
		text = b[:i]
	}
	if p.cr && i != 0 {
		p.text([]byte{'\r'}) // it did not belong to a line end
		p.cr = false
	}
	if n := len(text); n > 0 && text[n-1] == '\r' {
		p.cr = true
		text = text[:n-1]
	}
	if len(text) > 0 {
		p.text(text)
	}
	if i < 0 {
		return nil
	}
	p.endLine()
	return b[i+1:]
}

// text takes octets of the line at hand that are no part of its end.
func (p *Parser) text(t []byte) {
	p.off += int64(len(t))
	if !p.decided {
		n := min(linePrefix-len(p.line), len(t))
		p.line = append(p.line, t[:n]...)
		if t = t[n:]; len(t) == 0 {
			return
		}
		p.decide(false)
	}
	if p.kind == lineValue {
		p.hdr.add(t)
	}
}

// endLine ends the line at hand with the LF that was just seen.
func (p *Parser) endLine() {
	if !p.decided {
		p.decide(true)
	}
	if !p.cr {
		p.bare = true
	}
	p.off += 2
	p.lines++
	p.begun, p.cr = false, false
	switch p.kind {
	case lineBlank:
		p.endHeader()
	case lineDelimiter:
		p.begin(false, "text", "plain")
	}
}

// decide says what the line at hand is, from its start in p.line, which is all
// of it if complete is set.
func (p *Parser) decide(complete bool) {
	p.decided = true
	p.kind = lineText
	if p.delimiter(complete) {
		return
	}
	if !p.inHeader {
		return
	}
	switch {
	case complete && len(bytes.Trim(p.line, "\r")) == 0:
		p.kind = lineBlank // CR CR LF too: programs that translate LF to CRLF twice write it
	case p.line[0] == ' ' || p.line[0] == '\t':
		p.kind = lineValue
		p.hdr.fold(p.line)
	default:
		p.kind = lineValue
		p.hdr.start(p.line)
	}
}

// Close ends the message and returns its structure.
func (p *Parser) Close() *Structure {
	if p.begun {
		if p.cr {
			p.text([]byte{'\r'})
		}
		if !p.decided {
			p.decide(true)
		}
	}
	p.closeFrames(0, p.off, p.lines)
	s := p.s
	s.Size, s.Lines, s.CRLF = p.off, p.lines, !p.bare
	return s
}

package message

import "bytes"

// delimiter looks whether the line at hand separates or ends the parts of an
// open multipart, and ends what it ends.
func (p *Parser) delimiter(complete bool) bool {
	line := p.line
	if p.live == 0 || len(line) < 2 || line[0] != '-' || line[1] != '-' {
		return false
	}
	if complete {
		line = bytes.TrimRight(line, " \t\r") // RFC 2046, 5.1.1: transport-padding
	}
	at := p.matchBoundary(line)
	if at < 0 {
		return false
	}
	f := &p.open[at]
	closing := bytes.HasPrefix(line[len(f.boundary):], []byte("--"))

	// RFC 2046, 5.1.1: the line end before a delimiter belongs to the
	// delimiter, unless it already ended the header.
	end, lines := p.lineOff, p.lines
	if inner := &p.s.Parts[p.open[len(p.open)-1].part]; !p.inHeader && end-2 >= inner.Body.Offset {
		end, lines = end-2, lines-1
	}
	p.closeFrames(at+1, end, lines)
	p.inHeader = false
	if closing {
		p.kind = lineText
		f.boundary = ""
		p.live--
	} else {
		p.kind = lineDelimiter
	}
	return true
}

// matchBoundary returns the index of the open multipart whose delimiter line
// is, or -1. RFC 2046, 5.1.1: a line that begins with the delimiter is one,
// whatever follows. So where the boundary of one multipart begins with that of
// another, the longest counts, except that the whole line wins over all; the
// innermost wins over its equals.
func (p *Parser) matchBoundary(line []byte) int {
	best := -1
	for i := len(p.open) - 1; i >= 0; i-- {
		b := p.open[i].boundary
		if b == "" || len(b) > len(line) || string(line[:len(b)]) != b {
			continue
		}
		if best < 0 || len(b) > len(p.open[best].boundary) {
			best = i
		}
		if rest := line[len(b):]; len(rest) == 0 || string(rest) == "--" {
			return i
		}
	}
	return best
}

// begin opens a part whose header starts here, below the innermost open one.
func (p *Parser) begin(message bool, typ, subtype string) {
	index := int32(len(p.s.Parts))
	part := Part{Header: Range{Offset: p.off}, Parent: -1}
	if n := len(p.open); n > 0 {
		parent := &p.open[n-1]
		part.Parent = parent.part
		if parent.last == 0 {
			p.s.Parts[parent.part].First = index
		} else {
			p.s.Parts[parent.last].Next = index
		}
		parent.last = index
		if parent.digest {
			typ, subtype = "message", "rfc822" // RFC 2046, 5.1.5
		}
	}
	p.s.Parts = append(p.s.Parts, part)
	p.open = append(p.open, frame{part: index, message: message})
	p.inHeader = true
	p.hdr.reset(message && p.kept < maxText, typ, subtype)
	if len(p.s.Parts) >= maxParts {
		p.seal()
	}
}

// seal makes the newest part the last one: it lasts until the message ends.
func (p *Parser) seal() {
	p.sealed = true
	p.live = 0
	for i := range p.open {
		p.open[i].boundary = ""
	}
}

// endHeader ends the header of the innermost part where the pass stands, and
// looks into its body if that has parts.
func (p *Parser) endHeader() {
	p.endHeaderAt(p.off, p.lines)
}

func (p *Parser) endHeaderAt(off, lines int64) {
	p.inHeader = false
	p.hdr.end()
	f := &p.open[len(p.open)-1]
	part := &p.s.Parts[f.part]
	part.Header.Len = off - part.Header.Offset
	part.Body.Offset = off
	f.bodyLines = lines

	m := p.hdr.mime()
	if p.sealed || len(p.open) >= maxDepth {
		m.makeOpaque()
	}
	if f.message {
		part.envelope = nilEnvelope
		if p.kept < maxText {
			part.envelope = p.hdr.envelope()
		}
		if f.part == 0 {
			p.s.References = p.hdr.text(fieldReferences)
		}
	}
	m.fill(part, p.kept < maxText)
	p.kept += len(part.fields) + len(part.ext) + len(part.envelope)

	switch {
	case part.IsMultipart():
		f.digest = part.Subtype == "DIGEST"
		if m.boundary != "" {
			f.boundary = "--" + m.boundary[:min(len(m.boundary), maxBoundary)]
			p.live++
		}
	case part.IsMessage():
		// The embedded message starts where the pass stands, which is the
		// end of the message if the header was cut there.
		p.begin(true, "text", "plain")
		p.s.Parts[len(p.s.Parts)-1].Header.Offset = off
	}
}

// closeFrames ends the open parts from the innermost down to p.open[from];
// their bodies reach up to end, before which lines line ends were seen.
func (p *Parser) closeFrames(from int, end, lines int64) {
	for p.inHeader && len(p.open) > from {
		p.endHeaderAt(end, lines) // cut off; may open an embedded message, whose header is cut as well
	}
	for len(p.open) > from {
		f := &p.open[len(p.open)-1]
		part := &p.s.Parts[f.part]
		part.Body.Len = end - part.Body.Offset
		part.Lines = lines - f.bodyLines
		if f.boundary != "" {
			p.live--
		}
		if part.IsMultipart() && part.First == 0 {
			p.addEmptyPart(f.part, end)
		}
		p.open = p.open[:len(p.open)-1]
	}
}

// addEmptyPart gives a multipart that has no part an empty text: RFC 9051's
// BODYSTRUCTURE cannot say "no parts". Dovecot does the same.
func (p *Parser) addEmptyPart(parent int32, off int64) {
	index := int32(len(p.s.Parts))
	p.s.Parts[parent].First = index
	part := Part{Header: Range{Offset: off}, Body: Range{Offset: off}, Parent: parent}
	h := header{typ: "text", subtype: "plain"}
	m := h.mime()
	m.fill(&part, true)
	p.s.Parts = append(p.s.Parts, part)
}

// upper returns s in upper case, ASCII letters only: media types have no
// others that mean anything (RFC 2045, 5.1). The common ones cost nothing.
func upper(s string) string {
	switch s {
	case "text":
		return "TEXT"
	case "plain":
		return "PLAIN"
	case "html":
		return "HTML"
	case "multipart":
		return "MULTIPART"
	case "application":
		return "APPLICATION"
	}
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

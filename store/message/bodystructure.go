package message

import "strconv"

// AppendBodyStructure appends the BODYSTRUCTURE of the message (RFC 9051,
// 7.5.2), ready to send, with extension data.
func (s *Structure) AppendBodyStructure(dst []byte) []byte { return s.appendBody(dst, 0, true) }

// AppendBody appends the same without extension data, for FETCH BODY.
func (s *Structure) AppendBody(dst []byte) []byte { return s.appendBody(dst, 0, false) }

// AppendEnvelope appends the ENVELOPE of the message (RFC 9051, 7.5.2), ready
// to send.
func (s *Structure) AppendEnvelope(dst []byte) []byte {
	return append(dst, s.Parts[0].envelope...)
}

// appendBody recurses as deep as the parts are nested, which is at most
// maxDepth and one.
func (s *Structure) appendBody(dst []byte, part int32, ext bool) []byte {
	p := &s.Parts[part]
	dst = append(dst, '(')
	if p.IsMultipart() {
		for c := p.First; c != 0; c = s.Parts[c].Next {
			dst = s.appendBody(dst, c, ext)
		}
		dst = append(dst, ' ')
		if ext {
			dst = append(dst, p.fields...)
			dst = append(dst, ' ')
			dst = append(dst, p.ext...)
		} else {
			dst = append(dst, p.fields[:stringEnd(p.fields)]...)
		}
		return append(dst, ')')
	}
	dst = append(dst, p.fields...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, p.Body.Len, 10)
	if p.IsMessage() {
		dst = append(dst, ' ')
		dst = append(dst, s.Parts[p.First].envelope...)
		dst = append(dst, ' ')
		dst = s.appendBody(dst, p.First, ext)
	}
	if p.IsMessage() || p.Type == "TEXT" {
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.Lines, 10)
	}
	if ext {
		dst = append(dst, ' ')
		dst = append(dst, p.ext...)
	}
	return append(dst, ')')
}
